"""Who may judge and when: many lookers, shared pids, locks that are looked at. No training here."""

import os
import subprocess
import sys
import threading

import pytest
import torch
from waiting import until

from runner.conftest import plan
from sqrtscale import runner
from sqrtscale.runner import device, launch, locks, process, reconciliation


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


def test_many_looks_at_once_start_one_supervisor(store, monkeypatch):
    id = stored(store, "QUEUED", boot_id="another boot")
    started = []
    monkeypatch.setattr(reconciliation, "start_supervisor", started.append)
    looks = [threading.Thread(target=runner.reconcile, args=(store,)) for _ in range(8)]
    for look in looks:
        look.start()
    for look in looks:
        look.join()
    assert started == [id] and len(store.events(id)) == 1


def test_a_late_look_leaves_a_new_supervisor_alone(store, monkeypatch):
    """It read the queue when the old supervisor was dead; by now there is another one, or the calibration runs."""
    id = stored(store, "QUEUED", pid_started="1")
    old = store.queue()
    me = process.me()
    store.set_process(id, host=me.host, boot_id=me.boot_id, pid=me.pid, pid_started=me.pid_started)
    monkeypatch.setattr(reconciliation, "start_supervisor", lambda id: pytest.fail("one too many"))
    assert reconciliation.correct(store, old) == []
    assert store.get(id).pid == me.pid


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


def test_an_ended_calibration_keeps_who_supervised_it(store):
    id = stored(store, "FAILED", pid=77, pid_started="1")
    assert subprocess.run(launch.command("runner", id), env=launch.environment(), timeout=60).returncode == 1
    assert store.get(id).pid == 77


def test_no_supervisor_can_be_started(store, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    id = runner.submit(store, plan())
    assert store.get(id).state == "FAILED" and "could not be started" in store.get(id).reason


def program(path, *lines):
    path.write_text("\n".join(["#!/bin/sh", *lines, ""]))
    path.chmod(0o755)
    return str(path)


@pytest.fixture
def driver(tmp_path, monkeypatch):
    """A driver that lists two GPUs, and a torch that can use them and, when asked itself, names them otherwise."""
    program(tmp_path / "nvidia-smi", "echo NVIDIA A", "echo NVIDIA B")
    monkeypatch.setattr(sys, "executable", program(tmp_path / "python", 'echo "torch\'s $CUDA_VISIBLE_DEVICES"'))
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(device.metadata, "version", lambda package: "2.13.0")
    monkeypatch.setattr(device, "DEV", tmp_path / "dev")
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev" / "nvidia0").touch()
    device.cuda_devices.cache_clear()
    yield monkeypatch
    device.cuda_devices.cache_clear()


def test_which_device_is_occupied(driver):
    assert device.cuda_devices() == ("NVIDIA A", "NVIDIA B")
    for name in ("auto", "cuda", "cuda:0", "cuda:00", "cuda:0,cuda"):
        assert device.occupied(name) == ("cuda:0",)
    assert device.occupied("cuda:1") == ("cuda:1",) and device.occupied("cpu") == ("cpu",)
    assert device.occupied("all") == device.occupied("cuda:0,cuda:1") == ("cuda:0", "cuda:1")


def test_where_some_are_hidden_torch_says_which_are_left(driver):
    driver.setenv("CUDA_VISIBLE_DEVICES", "1")
    assert device.cuda_devices() == ("torch's 1",) and device.occupied("all") == ("cuda:0",)


@pytest.mark.parametrize("driver_says", ["exit 9", "exec sleep 60"])
def test_where_the_driver_does_not_answer_torch_is_asked(driver, tmp_path, driver_says):
    driver.setattr(device, "PATIENCE", 1.0)
    program(tmp_path / "nvidia-smi", driver_says)
    assert device.cuda_devices() == ("torch's",)


def test_torch_is_not_loaded_where_there_is_no_driver(driver, tmp_path):
    program(tmp_path / "nvidia-smi", "exit 9")
    (tmp_path / "dev" / "nvidia0").rename(tmp_path / "dev" / "null")
    assert device.cuda_devices() == ()


def test_what_torch_is_asked_is_understood_by_it():
    assert device._lines(sys.executable, "-c", device.ASK_TORCH) == tuple(
        map(torch.cuda.get_device_name, range(torch.cuda.device_count())))


def test_a_torch_without_cuda_uses_no_gpu(driver):
    driver.setattr(device.metadata, "version", lambda package: "2.13.0+cpu")
    assert device.cuda_devices() == () and device.occupied("auto") == device.occupied("all") == ("cpu",)


def test_those_of_another_host_are_no_rivals(store):
    here, there, free = (stored(store, "QUEUED", host=host) for host in ("a", "b", ""))
    record = {one.id: one for one in store.queue()}
    assert [one.id for one in device.rivals(store.queue(), record[here])] == [here, free]
    assert [one.id for one in device.rivals(store.queue(), record[there])] == [there, free]
