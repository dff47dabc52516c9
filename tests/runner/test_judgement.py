"""Who may judge and when: many lookers, shared pids, locks that are looked at. No training here."""

import os
import subprocess
import sys
import threading

import pytest
from waiting import until

from runner.conftest import plan, processes_of
from sqrtscale import runner
from sqrtscale.runner import faults, launch, locks, process


def stored(store, state, **identity):
    """A calibration in that state, supervised by this very process unless ``identity`` says otherwise."""
    me = process.me()
    id = store.create(plan())
    store.set_process(id, **{**dict(host=me.host, boot_id=me.boot_id, pid=me.pid, pid_started=me.pid_started), **identity})
    if state != "QUEUED":
        assert store.transition(id, state, among=["QUEUED"])
    return id


@pytest.mark.parametrize("state", ["STARTING", "RUNNING"])
def test_a_running_one_without_any_supervisor_is_lost(store, state):
    id = stored(store, state, pid=None, pid_started="")
    assert runner.reconcile(store) == [id]
    assert store.get(id).state == "LOST" and {run.state for run in store.get(id).runs} == {"LOST"}


def test_somebody_elses_session_is_never_ended(store):
    """The pid was given to another session's leader, and the lock is held in this instant (by a look, say)."""
    other = subprocess.Popen(["sleep", "600"], start_new_session=True)
    try:
        id = stored(store, "RUNNING", pid=other.pid, pid_started="1")
        lock = locks.take(locks.alive_lock(id))
        assert runner.reconcile(store) == [id]
        with pytest.raises(subprocess.TimeoutExpired):
            other.wait(0.5)
        os.close(lock)
    finally:
        other.kill()
        other.wait()


def test_many_looks_at_once_elect_one_scheduler(store, home):
    id = stored(store, "QUEUED", boot_id="another boot", pid=None, pid_started="")
    locks.alive_lock(id).parent.mkdir(parents=True)
    looks = [threading.Thread(target=runner.reconcile, args=(store,)) for _ in range(8)]
    for look in looks:
        look.start()
    for look in looks:
        look.join()
    assert sum("--schedule" in command for command in processes_of(home).values()) == 1
    runner.cancel(store, id)
    until(lambda: not processes_of(home), what="its end, as nothing is left to do")


def test_the_last_words_of_a_supervisor_are_in_the_reason(store):
    id = stored(store, "RUNNING", pid_started="1")
    launch.calibration_folder(id).mkdir(parents=True)
    (launch.calibration_folder(id) / "supervisor.log").write_text("Traceback\nStoreError: it has gone\n")
    (launch.calibration_folder(id) / "train.log").write_bytes(b"training\0 on\n")
    runner.reconcile(store)
    assert store.get(id).reason == ("its supervisor process ended unexpectedly: StoreError: it has gone; "
                                    "end of its log: training on")
    ((_, kind, data),) = store.events(id)
    assert (kind, data["state"], data["end_of_log"]) == ("ended", "LOST", "training on")


def test_a_look_at_a_lock_keeps_nobody_from_taking_it(tmp_path):
    path, stop = tmp_path / "a.lock", threading.Event()
    path.touch()

    def look():
        while not stop.is_set():
            locks.held(path)

    looking = threading.Thread(target=look)
    looking.start()
    try:
        for _ in range(50):
            descriptor = locks.take(path, patience=10)
            assert descriptor is not None
            os.close(descriptor)
    finally:
        stop.set()
        looking.join()


def test_a_lock_is_held_as_long_as_a_child_has_its_descriptor(tmp_path):
    path = tmp_path / "a.lock"
    descriptor = locks.take(path)
    child = subprocess.Popen(["sleep", "600"], pass_fds=[descriptor])
    os.close(descriptor)
    assert locks.held(path)
    child.kill()
    child.wait()
    until(lambda: not locks.held(path), what="a free lock")


def test_a_lock_was_signed_by_a_process_of_this_boot_alone(home, monkeypatch):
    """Soon after a restart another process may have the same pid and the same start, in ticks since the boot."""
    path = home / "signed.lock"
    descriptor = locks.take(path)
    locks.sign(descriptor, os.getpid())
    assert locks.signer(path) == os.getpid()
    monkeypatch.setattr(process, "boot_id", lambda: "another boot")
    assert locks.signer(path) is None
    for text in ("", "1", f"{os.getpid()} {process.started(os.getpid())}"):  # an earlier version's last
        path.write_text(text)
        assert locks.signer(path) is None
    os.close(descriptor)


def test_an_ended_calibration_keeps_who_supervised_it(store):
    id = stored(store, "FAILED", pid=77, pid_started="1")
    assert subprocess.run(launch.command("runner", id), env=launch.environment(), timeout=60).returncode == 1
    assert store.get(id).pid == 77


def test_no_supervisor_can_be_started(store, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    id = runner.submit(store, plan())
    assert store.get(id).state == "FAILED" and "could not be started" in store.get(id).reason


def test_those_of_another_host_are_no_rivals(store):
    here, there, free = (stored(store, "QUEUED", host=host) for host in ("a", "b", ""))
    assert [rival.id for rival in faults.rivals(store, store.get(here))] == [here, free]
    assert [rival.id for rival in faults.rivals(store, store.get(there))] == [there, free]
