"""Less common ways to end, with real processes."""

import math
import os
import signal
import subprocess
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from waiting import until

from runner.conftest import long_plan, pid_of, plan
from runner.test_runner import stored_as_running
from sqrtscale import runner
from sqrtscale.runner import faults, process, pulse
from sqrtscale.runner.log import train_log
from sqrtscale.runner.scheduler import Scheduler
from sqrtscale.runner.supervisor import Supervisor, time_limit

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
    assert record.state == "FAILED" and record.reason.startswith("device = 'cuda:63' cannot be used here: No GPU")
    (_, kind, data), = store.events(record.id)
    assert kind == "ended" and data["exit_code"] is None  # no child was started
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


@pytest.mark.fault(
    "the training process alone is told to end (SIGTERM, SIGHUP, SIGINT)",
    "INTERRUPTED, also before it can hear it")
def test_a_child_told_to_end_by_somebody_else_is_interrupted(store, home):
    id = runner.submit(store, long_plan())
    running(store, id)
    os.kill(pid_of(home, CHILD, id), signal.SIGHUP)
    record = ended(store, id)
    assert (record.state, record.reason) == ("INTERRUPTED", "the training process was told to end from outside")


def test_a_supervisor_that_is_told_to_stop_interrupts_and_the_scheduler_does_not_go_on_with_it(store):
    id = stored_as_running(store)
    store.set_resume_after_restart(id, True)
    supervisor = Supervisor(store, id)
    supervisor._on_signal(signal.SIGTERM, None)
    with subprocess.Popen(["sleep", "60"], process_group=0) as child:
        supervisor._end(*supervisor._trained(child, 0, (("cpu",), []), math.inf))
    assert (store.get(id).state, store.get(id).reason) == ("INTERRUPTED", "the supervisor was stopped by SIGTERM")
    assert not Scheduler(store, []).look() and store.get(id).state == "INTERRUPTED"


@pytest.mark.parametrize("told", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_child_told_to_end_before_it_can_hear_is_interrupted_too(store, told):
    id = stored_as_running(store)
    train_log(id).parent.mkdir(parents=True)
    train_log(id).touch()
    usual = partial(signal.signal, told, signal.SIG_DFL)  # who runs the tests may ignore it
    with subprocess.Popen(["sleep", "60"], process_group=0, preexec_fn=usual) as child:
        child.send_signal(told)
        end = Supervisor(store, id)._watch(child, math.inf)
    assert (end.state, end.reason) == ("INTERRUPTED", "the training process was told to end from outside")


def test_a_crash_is_nobodys_doing_from_outside(store):
    id = stored_as_running(store)
    with subprocess.Popen(["sh", "-c", "kill -SEGV $$"], process_group=0) as child:
        end = Supervisor(store, id)._watch(child, math.inf)
    assert (end.state, end.reason) == ("FAILED", "the training process died of SIGSEGV")


@pytest.mark.fault(
    "the training process is stopped",
    "ended by force after 10 s; FAILED with that reason. One that hangs otherwise *, after half an hour: compiled code gives no"
    " sign of life for minutes")
def test_a_child_that_stands_still_is_ended_by_force_and_is_no_fault_of_a_gpu(store, monkeypatch):
    monkeypatch.setattr(pulse, "STOPPED_AFTER", -1.0)
    id = stored_as_running(store)
    with subprocess.Popen(["sleep", "60"], process_group=0) as child:
        os.kill(child.pid, signal.SIGSTOP)
        until(lambda: process.stopped(child.pid), what="its stop")
        end = Supervisor(store, id)._watch(child, math.inf)
    assert (end.state, child.returncode) == ("FAILED", -signal.SIGKILL) and "hung, or was stopped" in end.reason
    assert not faults.is_fault(end, ("cuda:0",))


def test_a_stopped_child_does_not_outlive_its_killed_supervisor(store, home):
    """It cannot see by itself that its supervisor is gone."""
    id = runner.submit(store, long_plan())
    running(store, id)
    child, supervisor = pid_of(home, CHILD, id), pid_of(home, SUPERVISOR, id)
    os.kill(child, signal.SIGSTOP)
    os.kill(supervisor, signal.SIGKILL)
    until(lambda: not runner.process.started(supervisor), what="the end of the supervisor")
    assert ended(store, id).state == "LOST"  # by the scheduler
    until(lambda: not runner.process.started(child), what="the end of the child")


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
