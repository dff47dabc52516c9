"""Less common ways to end, with real processes."""

import math
import os
import signal
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from waiting import until

from runner.conftest import long_plan, pid_of, plan
from sqrtscale import runner
from sqrtscale.runner.supervisor import time_limit

CHILD, SUPERVISOR = "sqrtscale.runner.child", "sqrtscale.runner"


def ended(store, id):
    """The record of a calibration once it has ended; nobody but its supervisor helps it to."""
    until(lambda: store.get(id).final, 120, f"the end of {id}")
    return store.get(id)


def running(store, id):
    """Wait until the calibration has stored points."""
    until(lambda: store.curves_version(id) != "0", 120, f"the first points of {id}")


def test_devices_do_not_wait_for_each_other_and_no_torch_is_in_a_supervisor(store, home):
    first = runner.submit(store, long_plan())
    running(store, first)
    record = ended(store, runner.submit(store, replace(plan(), device="cuda:63")))
    assert store.get(first).state == "RUNNING"
    assert record.state == "FAILED" and record.reason.startswith("device = 'cuda:63' is not on this machine: give one of cpu")
    (_, kind, data), = store.events(record.id)
    assert kind == "ended" and data["exit_code"] == 1 and "Traceback" in data["end_of_log"]
    supervisor, child = (Path(f"/proc/{pid_of(home, module, first)}/maps").read_text() for module in (SUPERVISOR, CHILD))
    assert "/torch/" not in supervisor and "/streamlit/" not in supervisor and "/torch/" in child


def test_cancelled_before_the_child_has_read_its_plan_is_cancelled_and_not_failed(store):
    id = store.create(plan())
    runner.launch.start_supervisor(id)
    until(lambda: store.get(id).state == "STARTING", what="the start")
    runner.cancel(store, id)
    record = ended(store, id)
    assert (record.state, record.reason) == ("CANCELLED", "cancelled by the user")
    assert {run.state for run in record.runs} == {"CANCELLED"}


def test_the_child_steps_back_where_somebody_cancelled(store):
    """What the supervisor sees when the cancel comes between two of its looks."""
    id = store.create(plan())
    store.transition(id, "STARTING", among=["QUEUED"])
    store.request_cancel(id)
    done = subprocess.run(runner.launch.command("runner.child", id, "cpu"), env=runner.launch.environment(), timeout=60)
    assert done.returncode == 3


def test_a_child_that_hears_nothing_is_killed_after_a_grace(store, home):
    id = runner.submit(store, long_plan())
    running(store, id)
    child = pid_of(home, CHILD, id)
    os.kill(child, signal.SIGSTOP)
    runner.cancel(store, id)
    assert ended(store, id).state == "CANCELLED"
    assert not runner.process.started(child)


def test_a_child_told_to_end_by_somebody_else_is_cancelled(store, home):
    id = runner.submit(store, long_plan())
    running(store, id)
    os.kill(pid_of(home, CHILD, id), signal.SIGTERM)
    record = ended(store, id)
    assert (record.state, record.reason) == ("CANCELLED", "the training process was told to end from outside")


def test_a_stopped_child_does_not_outlive_its_killed_supervisor(store, home):
    """It cannot see by itself that its supervisor is gone."""
    id = runner.submit(store, long_plan())
    running(store, id)
    child, supervisor = pid_of(home, CHILD, id), pid_of(home, SUPERVISOR, id)
    os.kill(child, signal.SIGSTOP)
    os.kill(supervisor, signal.SIGKILL)
    until(lambda: not runner.process.started(supervisor), what="the end of the supervisor")
    assert runner.reconcile(store) == [id]
    until(lambda: not runner.process.started(child), what="the end of the child")


def test_one_that_waits_replaces_a_dead_supervisor_ahead_of_it(store, home):
    first, second, third = (runner.submit(store, one) for one in (long_plan(), plan(), plan()))
    running(store, first)
    until(lambda: store.get(third).pid, what="the last supervisor's word")
    killed = until(lambda: store.get(second).pid, what="the waiting supervisor's word")
    os.kill(killed, signal.SIGKILL)
    until(lambda: not runner.process.started(killed), what="its end")
    store.request_cancel(first)  # and no page looks from here on
    assert ended(store, third).state == ended(store, second).state == "DONE"
    assert store.get(second).ended_at <= store.get(third).started_at


def test_a_home_named_relative_to_the_working_folder(tmp_path, monkeypatch, request):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SQRTSCALE_HOME", "own")
    store = request.getfixturevalue("store")
    try:
        assert ended(store, runner.submit(store, plan())).state == "DONE"
    finally:
        store.close()


def test_a_time_limit_that_is_no_time_is_a_failure_with_a_reason(store, monkeypatch):
    monkeypatch.setenv("SQRTSCALE_TIMEOUT_S", "soon")
    record = ended(store, runner.submit(store, plan()))
    assert record.state == "FAILED" and "SQRTSCALE_TIMEOUT_S = 'soon' is not a time" in record.reason


@pytest.mark.parametrize("text, seconds", [("", math.inf), ("0", math.inf), ("90", 90), (" 1.5 ", 1.5)])
def test_a_time_limit(monkeypatch, text, seconds):
    monkeypatch.setenv("SQRTSCALE_TIMEOUT_S", text)
    assert time_limit() == seconds
