"""Calibrations as processes: real ones, really killed."""

import itertools
import os
import signal
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace

import pytest
from scipy.stats import norm
from sqlalchemy import update
from waiting import until

from runner.conftest import long_plan, pid_of, plan
from sqrtscale import runner
from sqrtscale.diagnostics import about
from sqrtscale.home import calibration_folder
from sqrtscale.plan import make_plan
from sqrtscale.report import stopped_early, verdicts
from sqrtscale.rules import FieldError, TrainingConfig
from sqrtscale.runner import locks, process, reconciliation
from sqrtscale.store.models import Calibration

CHILD, SUPERVISOR = "sqrtscale.runner.child", "sqrtscale.runner"


def ended(store, id, seconds=120):
    """The record once it is final, with the store kept in step as a page would."""
    def look():
        runner.reconcile(store)
        record = store.get(id)
        return record if record.final else None

    return until(look, seconds, f"the end of {id}, which is {store.get(id).state}")


def running(store, id):
    """Wait until the calibration has stored points."""
    until(lambda: store.curves_version(id) != "0", 120, f"the first points of {id}")
    return store.get(id)


def nobody_left(home, id):
    until(lambda: not pid_of(home, CHILD, id) and not pid_of(home, SUPERVISOR, id), 30, "the end of its processes")


def test_a_calibration_runs_to_its_end_and_stays(store, home):
    id = runner.submit(store, plan(), "first")
    record = ended(store, id)
    assert (record.state, record.reason, record.progress) == ("DONE", "", 1.0)
    assert {run.state for run in record.runs} == {"DONE"}
    assert record.environment["packages"]["torch"] and record.environment["device"] == "cpu"
    assert record.environment["executor"] == record.executors == "compiled"
    assert record.started_at <= record.ended_at and record.device
    curves = store.curves(id)
    points = len(plan().evaluation_points)
    results = curves[curves["metric"].map(about).isna()]  # the others were measured beside the training
    assert results.groupby(["arm", "metric"]).size().to_dict() == {
        (arm, metric): points for arm in ("base", "scaled") for metric in ("val_loss", "train_loss", "val_accuracy")}
    assert record.outcome == "cannot tell" and record.answer.startswith("Not decided yet: one seed cannot tell")
    assert all(part in runner.read_log(id) for part in ("training on", "base, seed 0: DONE", record.answer))
    nobody_left(home, id)
    assert not (calibration_folder(id) / "reserve").exists()
    assert runner.reconcile(store) == [] and store.get(id) == record


def test_a_calibration_on_several_devices_waits_for_all_of_them_and_others_only_for_theirs(store, home):
    """Nobody has a GPU 97: each of these ends as soon as its turn has come."""
    held = locks.take(locks.device_lock("cuda:98"))
    both = runner.submit(store, replace(plan(), device="cuda:97,cuda:98"))
    behind = runner.submit(store, replace(plan(), device="cuda:97"))
    free = runner.submit(store, replace(plan(), device="cuda:96"))
    assert "cannot be used here" in ended(store, free).reason
    assert {store.get(id).state for id in (both, behind)} == {"QUEUED"}
    assert not locks.held(locks.device_lock("cuda:97"))  # nothing is kept from others meanwhile
    os.close(held)
    first, second = ended(store, both), ended(store, behind)
    assert "cannot be used here" in first.reason and "cannot be used here" in second.reason
    assert first.ended_at < second.ended_at


def test_seeds_that_a_clear_verdict_does_not_need_are_left_out_and_can_be_had_later(store, home):
    """Eight steps against 128: that differs, however few the seeds."""
    base = TrainingConfig("adam", 4, {"lr": 1e-3})
    chosen = dict(seeds=5, samples=512, start="scratch", arms=["base", "scaled"], device="cpu", decay_form="half-life")
    id = runner.submit(store, make_plan("pydoc", base, 64, stop_early=True, **chosen))
    record = ended(store, id)
    assert (record.state, record.progress) == ("DONE", 1.0)
    assert all(run.state == ("DONE" if run.seed < 3 else "SKIPPED") for run in record.runs)
    assert "clear after 3 of 5 seeds" in runner.read_log(id) and "3 seeds" in stopped_early(record)
    (verdict,) = verdicts(record, store.curves(id)).values()
    # The share of 5 % that O'Brien and Fleming's spending gives 3 of 5 seeds, at both its tests.
    assert verdict.functionals[0].level == pytest.approx(2 * norm.sf(1.959964 / 0.6**0.5), rel=1e-5)
    nobody_left(home, id)
    again = ended(store, runner.submit(store, make_plan("pydoc", base, 64, **chosen)))
    assert {run.state for run in again.runs} == {"DONE"} and len(store.reused(again.id)) == 6
    assert not stopped_early(again)


def test_one_at_a_time_in_order_and_cancel_of_a_waiting_one(store, home):
    first, second, third = (runner.submit(store, one) for one in (long_plan(), plan(), plan()))
    running(store, first)
    assert store.get(second).state == store.get(third).state == "QUEUED"
    assert runner.cancel(store, second) == "CANCELLED"
    assert runner.cancel(store, first) == "CANCELLING"
    record = ended(store, first)
    assert (record.state, record.reason) == ("CANCELLED", "cancelled by the user")
    assert {run.state for run in record.runs} == {"CANCELLED"}
    assert len(store.curves(first)) > 0
    nobody_left(home, first)
    assert ended(store, third).state == "DONE"
    assert ended(store, second).reason == "cancelled before it started"
    nobody_left(home, second)


@pytest.mark.fault("the supervisor of a calibration is killed", "its child ends; LOST, with the end of its log")
def test_a_second_supervisor_steps_back_and_a_killed_one_is_noticed_and_its_child_ended(store, home):
    id = runner.submit(store, long_plan())
    running(store, id)
    assert subprocess.run([sys.executable, "-m", SUPERVISOR, id], timeout=60).returncode == 1
    assert store.get(id).state == "RUNNING"
    os.kill(pid_of(home, SUPERVISOR, id), signal.SIGKILL)
    record = ended(store, id)
    assert record.state == "LOST" and "supervisor process ended unexpectedly" in record.reason
    assert "training on" in record.reason  # the end of the log
    nobody_left(home, id)
    again = runner.submit(store, plan())  # the device is free again
    assert ended(store, again).state == "DONE"


def test_a_time_limit_ends_it(store, monkeypatch):
    monkeypatch.setenv("SQRTSCALE_TIMEOUT_S", "1")
    record = ended(store, runner.submit(store, long_plan()))
    assert record.state == "TIMED_OUT" and "SQRTSCALE_TIMEOUT_S = 1" in record.reason


def test_a_diverging_base_fails_with_one_line_and_a_traceback_in_the_log(store):
    wild = TrainingConfig("adam", 8, {"lr": 1e9, "eps": 1e-30})
    id = runner.submit(store, plan(base=wild, start="warm", warm_samples=800))
    record = ended(store, id)
    assert record.state == "FAILED" and "the warm start diverged" in record.reason and "\n" not in record.reason
    assert "Traceback" in runner.read_log(id)
    states = {run.arm: run.state for run in record.runs}
    assert states == {"warm start": "DIVERGED", "base": "FAILED", "scaled": "FAILED"}


def pretend(store, id, **columns):
    """Write columns that only another machine or another time could have written."""
    with store._write.begin() as session:
        session.execute(update(Calibration).where(Calibration.id == id).values(**columns))


def stored_as_running(store, **identity):
    id = store.create(plan())
    store.transition(id, "STARTING", among=["QUEUED"])
    store.transition(id, "RUNNING", among=["STARTING"])
    me = process.me()
    store.set_process(id, **{**dict(host=me.host, boot_id=me.boot_id, pid=me.pid, pid_started=me.pid_started), **identity})
    return id


def test_a_reboot_is_noticed(store):
    id = stored_as_running(store, boot_id="another boot")
    assert runner.reconcile(store) == [id]
    assert (store.get(id).state, store.get(id).reason) == ("INTERRUPTED", "the machine was restarted")


def test_another_process_with_the_same_pid_is_not_taken_for_it(store):
    id = stored_as_running(store, pid_started="1")
    assert runner.reconcile(store) == [id] and store.get(id).state == "LOST"
    alive = stored_as_running(store)
    assert runner.reconcile(store) == [] and store.get(alive).state == "RUNNING"


@pytest.fixture
def passing(monkeypatch):
    """A clock of this process's own looks, on which four seconds pass between two of them."""
    looks = itertools.count()
    monkeypatch.setattr("sqrtscale.runner.pulse.time", SimpleNamespace(monotonic=lambda: 4.0 * next(looks)))


@pytest.mark.fault(
    "another machine that shares the database falls silent *",
    "what it trained is INTERRUPTED after 3 minutes of looks by an app, a scheduler or a waiting command, and goes on there as "
    "after a restart; `runs cancel` ends it at once then")
def test_another_host_is_judged_by_its_heartbeats_while_somebody_looks(store, passing):
    """A database that was away for an hour shows old heartbeats of a machine that is well."""
    id = stored_as_running(store, host="elsewhere", pid=1)
    pretend(store, id, heartbeat_at=store.now() - timedelta(hours=1))
    assert not any(runner.reconcile(store) for _ in range(45))
    store.heartbeat(id)
    looks = [runner.reconcile(store) for _ in range(47)]
    assert looks[-1] == [id] and not any(looks[:-1])  # 46 x 4 s = 184 s
    assert store.get(id).state == "INTERRUPTED" and "no word from its host elsewhere" in store.get(id).reason
    cancelled = stored_as_running(store, host="elsewhere", pid=1)
    store.heartbeat(cancelled)
    assert runner.cancel(store, cancelled) == "CANCELLING"
    pretend(store, cancelled, heartbeat_at=store.now() - timedelta(hours=1))
    assert runner.cancel(store, cancelled) == "CANCELLED"


@pytest.mark.parametrize("where", ["here", "elsewhere"])
def test_one_that_cannot_be_read_is_left_alone_while_it_runs(store, where, monkeypatch):
    """Another version that shares the store can read it and trains it."""
    id = stored_as_running(store, **({} if where == "here" else {"host": where}))
    pretend(store, id, plan=plan().as_dict() | {"task": "gone"})
    store.heartbeat(id)
    assert runner.reconcile(store) == [] and [one.state for one in store.active()] == ["RUNNING"]
    pretend(store, id, pid_started="1")
    monkeypatch.setattr(reconciliation, "STALE", -1.0)
    assert runner.reconcile(store) == [id]


def test_it_trains_on_the_devices_that_were_taken_for_it(store, monkeypatch):
    id = store.create(replace(plan(), device="cuda:7"))
    store.transition(id, "STARTING", among=["QUEUED"])
    done = subprocess.run(runner.launch.command("runner.child", id, "cpu"), env=runner.launch.environment(), timeout=60)
    assert done.returncode == 0 and store.get(id).environment["device"] == "cpu"
    monkeypatch.setattr(runner, "occupied", lambda name: ("cuda:77",))
    with pytest.raises(FieldError, match="is not on this machine"):
        runner.estimate(plan())


def test_one_that_was_cancelled_and_lost_its_supervisor_is_cancelled(store):
    id = stored_as_running(store, pid_started="1")
    assert runner.cancel(store, id) == "CANCELLED"


def test_ctrl_c_in_the_submitting_terminal_does_not_end_it(store, home):
    code = ("import sys; sys.path.insert(0, 'tests')\nfrom runner.conftest import plan\nfrom sqrtscale import runner\n"
            "from sqrtscale.store import Store\nimport signal\n"
            "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a shell starts what runs behind it without one
            "print(runner.submit(Store.open(), plan(samples=6400)), flush=True)\nsignal.pause()")
    submitting = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, process_group=0)
    id = submitting.stdout.readline().strip()
    os.killpg(submitting.pid, signal.SIGINT)
    submitting.wait(30)
    assert ended(store, id).state == "DONE"


def test_bad_arguments_of_the_supervisor(store):
    for arguments, message in (([], "usage"), (["nothere"], "there is no calibration nothere")):
        done = subprocess.run([sys.executable, "-m", SUPERVISOR, *arguments], capture_output=True, text=True)
        assert done.returncode == 2 and message in done.stderr


def test_estimate_and_a_device_that_is_not_there():
    found = runner.estimate(plan())
    assert found.seconds > 0 and set(found.arms) == {"base", "scaled"} and found.device
    missing = plan()
    object.__setattr__(missing, "device", "cuda:99")
    with pytest.raises(FieldError, match=r"device = 'cuda:99' is not on this machine"):
        runner.estimate(missing)


def test_locks_are_free_when_their_holder_is_gone(home):
    path = locks.alive_lock("x")
    assert not locks.held(path)
    descriptor = locks.take(path)
    assert locks.held(path) and locks.take(path) is None
    os.close(descriptor)
    assert not locks.held(path)
