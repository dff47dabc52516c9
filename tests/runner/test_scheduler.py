"""One scheduler a home, elected and replaced; a disk that is full, processes that hang: real ones."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from disks import filled, mount
from sqlalchemy import update
from waiting import until

from runner.conftest import long_plan, pid_of, plan, processes_of
from sqrtscale import runner
from sqrtscale.home import calibration_folder
from sqrtscale.runner import election, locks, process, pulse, reconciliation, scheduler
from sqrtscale.runner.log import train_log
from sqrtscale.runner.patience import Patience, patient
from sqrtscale.runner.pulse import Silence
from sqrtscale.runner.scheduler import Scheduler
from sqrtscale.runner.supervisor import Supervisor
from sqrtscale.store import Store, connect
from sqrtscale.store.models import Calibration

CHILD, SUPERVISOR = "sqrtscale.runner.child", "sqrtscale.runner"


def schedulers(home: Path) -> list[int]:
    return [pid for pid, command in processes_of(home).items() if "--schedule" in command]


def pretend(store, id, **columns):
    """Write columns that only another machine or another time could have written."""
    with store._write.begin() as session:
        session.execute(update(Calibration).where(Calibration.id == id).values(**columns))


def queued(store, **more):
    """One in the queue of this home, as submit leaves it, without a scheduler."""
    id = store.create(replace(plan(), **more), host=process.host())
    calibration_folder(id).mkdir(parents=True)
    return id


@pytest.mark.fault(
    "the scheduler is killed or stopped",
    "a supervisor, a page or a command starts another one; nothing is lost with it")
def test_one_small_process_for_all_that_wait_replaced_when_it_dies_or_stands_still(store, home):
    first = runner.submit(store, long_plan())
    others = [runner.submit(store, plan()) for _ in range(4)]
    until(lambda: store.curves_version(first) != "0", 120, "the first points")
    (old,) = schedulers(home)
    names = [command.partition(" -m ")[2] for command in processes_of(home).values()]
    assert len(names) == 3 and {name.split()[0] for name in names} == {SUPERVISOR, CHILD}  # scheduler, supervisor, child
    maps = Path(f"/proc/{old}/maps").read_text()
    assert not any(f"/{library}/" in maps for library in ("torch", "pandas", "scipy", "streamlit"))
    os.kill(old, signal.SIGKILL)  # the supervisor sees it
    (second,) = until(lambda: [pid for pid in schedulers(home) if pid != old], what="another scheduler")
    os.kill(second, signal.SIGSTOP)
    (third,) = until(lambda: [pid for pid in schedulers(home) if pid not in (old, second)], what="a third scheduler")
    assert not process.started(second)
    for id in (*others, first):
        runner.cancel(store, id)
    until(lambda: store.get(first).final and not processes_of(home), what="the end of everybody")
    assert third and {store.get(id).state for id in (first, *others)} == {"CANCELLED"}


@pytest.mark.fault(
    "a supervisor is stopped (SIGSTOP), also before it has begun, or in the middle of a transaction of SQLite; or hangs *",
    "it and its child are ended by force, after 10 s where it is stopped, else 120 s; LOST, or CANCELLED where somebody has "
    "cancelled; one that had not begun is started again")
def test_a_supervisor_that_stands_still_is_ended_by_force_and_cancel_works_all_the_same(store, home):
    id = runner.submit(store, long_plan())
    until(lambda: store.curves_version(id) != "0", 120, "the first points")
    os.kill(pid_of(home, SUPERVISOR, id), signal.SIGSTOP)
    assert runner.cancel(store, id) == "CANCELLING"
    until(lambda: store.get(id).final, what="its end")
    record = store.get(id)
    assert record.state == "CANCELLED" and "its supervisor process hung and was ended by force" in record.reason
    until(lambda: not pid_of(home, CHILD, id), what="the end of the child")


@contextmanager
def stands_still(*command, **named):
    """A process in a session of its own that somebody has stopped; ended at last."""
    with subprocess.Popen(command, start_new_session=True, **named) as process_of_it:
        try:
            os.kill(process_of_it.pid, signal.SIGSTOP)
            until(lambda: process.stopped(process_of_it.pid), what="its stop")
            yield process_of_it
        finally:
            process_of_it.kill()


def test_a_supervisor_that_stands_still_before_it_has_begun_is_ended_by_force(store, monkeypatch):
    """The row knows one before it, or none; it has taken the lock, but given no sign of life."""
    monkeypatch.setattr(pulse, "STOPPED_AFTER", -1.0)
    id = queued(store)
    pretend(store, id, pid=1, pid_started="1")
    looking = Scheduler(store, [])
    lock = locks.take(locks.alive_lock(id))
    with stands_still("sleep", "60", pass_fds=[lock]) as supervisor:
        locks.sign(lock, supervisor.pid)
        os.close(lock)
        looking._start(store.underway()[0])
        assert supervisor.wait() == -signal.SIGKILL and not locks.held(locks.alive_lock(id))
    with stands_still("sleep", "60") as supervisor:
        looking.started[id] = supervisor
        looking._start(store.underway()[0])
        assert supervisor.wait() == -signal.SIGKILL


def test_a_supervisor_that_lives_may_be_silent_until_it_has_begun(store, monkeypatch):
    """Its pulse file is there from the submission on, and itself waits for the database first, for as long as that is away."""
    id = queued(store)
    pulse.say(pulse.pulse_file(id, "supervisor"), "")
    looking = Scheduler(store, [])
    monkeypatch.setattr(looking.silence, "of", lambda key, sign: 3600.0)
    for begun, signal_of_its_end in ((False, signal.SIGTERM), (True, signal.SIGKILL)):
        with subprocess.Popen(["sleep", "60"], start_new_session=True) as supervisor:
            if begun:
                pretend(store, id, **vars(process.here(supervisor.pid)))
            looking.started[id] = supervisor
            looking._start(store.underway()[0])
            supervisor.terminate()  # the scheduler's signal, where there is one, came first
            assert supervisor.wait() == -signal_of_its_end


def test_a_supervisor_that_stands_still_in_the_middle_of_a_transaction_blocks_nobody(store, monkeypatch):
    """It holds SQLite's lock, so that nobody else can write, not even that it has been ended."""
    monkeypatch.setattr(connect, "BUSY_TIMEOUT_MS", 10)
    id = queued(store)
    code = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute('BEGIN IMMEDIATE'); print(1, flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", code, store.url.database], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          start_new_session=True) as supervisor:
        pretend(store, id, state="RUNNING", **vars(process.here(supervisor.pid)))
        supervisor.stdout.read(1)
        os.kill(supervisor.pid, signal.SIGSTOP)
        patience = Patience(lambda line: None)
        assert reconciliation.end_by_force(patient(Store.open(tries=1), patience), store.underway()[0], "it hung")
        assert supervisor.wait() == -signal.SIGKILL
    assert (store.get(id).state, store.get(id).reason.partition(";")[0]) == ("LOST", "it hung")


def test_silence_counts_while_somebody_looks_and_no_sign_changes(monkeypatch):
    """A machine that slept for an hour has heard nothing, and that is nobody's fault."""
    now = iter([0.0, 3.0, 6.0, 3606.0, 3607.0, 3610.0])
    monkeypatch.setattr("sqrtscale.runner.pulse.time.monotonic", lambda: next(now))
    silence = Silence()
    assert [silence.of("a", sign) for sign in (1, 1, 1, 1, 2, 2)] == [0.0, 3.0, 6.0, 11.0, 0.0, 3.0]


def test_another_host_whose_clock_is_ahead_is_judged_by_its_silence(store, monkeypatch):
    id = store.create(plan(), host="elsewhere")
    pretend(store, id, state="RUNNING", boot_id=process.boot_id(), heartbeat_at=store.now() + timedelta(days=1))
    look = Scheduler(store, []).look
    assert not look() and store.get(id).state == "RUNNING"
    monkeypatch.setattr(reconciliation, "STALE", -1.0)
    assert not look() and store.get(id).state == "INTERRUPTED"


def test_one_that_cannot_be_read_any_more_ends_with_a_reason_and_stops_no_other(store, monkeypatch):
    """Its task is gone since it was queued; a newer version beside this one might still know it."""
    id = queued(store)
    pretend(store, id, plan=plan().as_dict() | {"task": "gone"})
    other = queued(store)
    look = Scheduler(store, []).look
    assert look() and [record.id for record in store.queue()] == [other] and len(store.underway()) == 2
    monkeypatch.setattr(scheduler, "STALE", -1.0)
    look()
    (summary,) = [summary for summary in store.summaries() if summary.id == id]
    assert summary.state == "LOST" and "task = 'gone' is not known" in summary.reason
    until(lambda: store.get(other).final, 120, "the end of the other")
    assert store.get(other).state == "DONE"


def test_what_fails_with_one_calibration_is_said_and_holds_up_no_other(store, monkeypatch, capsys):
    monkeypatch.setenv("SQRTSCALE_TIMEOUT_S", "never")  # so that the other ends before it trains
    id, other = queued(store), queued(store)
    (calibration_folder(id) / "supervisor.log").mkdir()  # no process can be started that would write there
    looking = Scheduler(store, [])
    looking._start_first([replace(store.underway()[0], id="removed"), *store.underway()])
    until(lambda: looking.look() and store.get(other).final, what="the end of the other")
    assert store.get(other).state == "FAILED" and store.get(id).state == "QUEUED"
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"calibration {id}: ") and "Is a directory" in line
    monkeypatch.setattr(scheduler, "STALE", -1.0)
    until(lambda: not looking.look(), what="the end of the first")
    assert store.get(id).state == "LOST" and store.get(id).reason.startswith("its supervisor cannot be started: ")


def test_a_scheduler_that_ends_in_the_moment_in_which_it_is_to_be_ended_is_no_fault(home, monkeypatch):
    held = locks.take(election.scheduler_lock())
    with subprocess.Popen(["sleep", "60"]) as scheduler_of_all:
        locks.sign(held, scheduler_of_all.pid)

        def ends_now(pid):
            scheduler_of_all.kill()
            scheduler_of_all.wait()
            return True

        monkeypatch.setattr(process, "stopped", ends_now)
        election.ensure()
    assert scheduler_of_all.returncode == -signal.SIGKILL and not schedulers(home)
    os.close(held)


@pytest.mark.parametrize(("columns", "said"), [
    ({"state": "LOST"}, "somebody has made it LOST meanwhile"),
    ({"host": "elsewhere", "pid": 7}, "process 7 of elsewhere has it now"),
    ({}, "")])
def test_a_supervisor_ends_its_training_and_writes_nothing_where_the_calibration_is_its_own_no_more(store, columns, said, capsys):
    """For long it could not be heard, so others have ended it, or gone on with it. The last one is its own still."""
    id = queued(store)
    supervisor = Supervisor(store, id)
    pretend(store, id, **{"state": "RUNNING", **vars(supervisor.identity), **columns})
    train_log(id).touch()
    with subprocess.Popen(["sleep", "60" if said else "0"], process_group=0) as child:
        supervisor._end(*supervisor._trained(child, 0, (("cpu",), []), math.inf))
    record = store.get(id)
    assert child.returncode == (-signal.SIGKILL if said else 0) and said in capsys.readouterr().err
    assert record.state == (columns.get("state", "RUNNING") if said else "FAILED")  # no run of it has ended


def test_of_two_supervisors_in_two_homes_one_starts_the_training(store, home, tmp_path, monkeypatch):
    """Whatever comes between the looks of the one and its writing; an answer that was lost is no other supervisor."""
    id = queued(store)
    mine, other = Supervisor(store, id), Supervisor(store, id)
    other.identity = replace(mine.identity, pid=1)
    assert mine._move("QUEUED") and other._move("QUEUED")  # the other one waits for its devices last
    assert mine._move("STARTING")
    assert not mine._move("STARTING") and mine._is_starting()
    assert not other._move("STARTING") and not other._is_starting()
    assert not other._move("QUEUED") and store.underway()[0].pid == mine.identity.pid
    monkeypatch.setenv("SQRTSCALE_DATABASE_URL", f"sqlite:///{home}/sqrtscale.db")
    monkeypatch.setenv("SQRTSCALE_HOME", str(tmp_path / "other"))
    started = []
    monkeypatch.setattr(other, "_start_child", lambda *arguments: started.append(arguments))
    monkeypatch.setattr(other, "_take_devices", lambda: (("cpu",), []))
    calibration_folder(id).mkdir(parents=True)
    assert other._run(0) == 0 and not started


def test_a_supervisor_believes_no_file_that_stands_in_the_place_of_its_database(store, home):
    id = queued(store)
    supervisor = Supervisor(store, id)
    pretend(store, id, state="LOST", **vars(supervisor.identity))
    assert supervisor._taken_away()
    (home / "sqrtscale.db").rename(home / "moved.db")
    assert not supervisor._taken_away()


@pytest.mark.fault(
    "the supervisor dies before the training starts",
    "it is started again, 3 times in all, then LOST with its last words")
def test_a_supervisor_that_dies_before_the_start_is_started_a_few_times(store):
    id = queued(store)
    locks.alive_lock(id).mkdir()  # no lock can be taken there
    looking = Scheduler(store, [])
    until(lambda: not looking.look(), what="the end of the queue")
    record = store.get(id)
    assert record.state == "LOST" and "its supervisor ended before the start, 3 times: IsADirectoryError" in record.reason


def test_what_another_home_has_submitted_is_left_to_it(store, home):
    id = store.create(plan(), host=process.host())  # this home has no folder of it
    assert not Scheduler(store, []).look() and runner.reconcile(store) == []
    assert store.get(id).state == "QUEUED" and not processes_of(home)


def test_what_waits_goes_on_under_a_new_name_of_the_machine(store, monkeypatch):
    id = queued(store)
    pretend(store, id, host="its former name")
    monkeypatch.setenv("SQRTSCALE_TIMEOUT_S", "never")  # so that it ends before it trains
    record = runner.wait(store, id)
    assert (record.state, record.host) == ("FAILED", process.host()) and "SQRTSCALE_TIMEOUT_S" in record.reason
    pretend(store, id, state="QUEUED", host="elsewhere")
    (row,) = store.underway()
    assert reconciliation.is_of_this_home(row)
    monkeypatch.setenv("SQRTSCALE_DATABASE_URL", "postgresql://server/shared")  # another machine's folder may be mounted here
    assert not reconciliation.is_of_this_home(row)


@pytest.mark.fault(
    "no space on the disk",
    "what trains and what is next in the queue wait for room, and say so; both go on when there is some")
def test_a_full_disk_holds_the_queue_and_what_trains_until_there_is_room(tmp_path, monkeypatch):
    small = tmp_path / "small"
    mount(small, 24)
    monkeypatch.setenv("SQRTSCALE_HOME", str(small))
    store = Store.open()
    try:
        first = runner.submit(store, plan(samples=128_000))
        second = runner.submit(store, plan(samples=1_280))
        until(lambda: store.curves_version(first) != "0", 120, "the first points")
        with filled(small):
            until(lambda: "waiting for room on the full disk" in runner.waiting(first), what="its word")
            assert {store.get(id).state for id in (first, second)} == {"RUNNING", "QUEUED"}
        assert runner.wait(store, first).state == "DONE"
        with filled(small):
            until(lambda: "waiting for room on the full disk" in runner.waiting(second), what="the word of the next")
            assert store.get(second).state == "QUEUED"
        assert runner.wait(store, second).state == "DONE"
        judged = store.curves(first).query("metric == 'val_loss' and arm == 'base'")
        assert list(judged["samples"]) == list(plan(samples=128_000).evaluation_points)
    finally:
        store.close()
        for pid in processes_of(small):
            os.kill(pid, signal.SIGKILL)
        subprocess.run(["umount", "-l", small], check=True)
