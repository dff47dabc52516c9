"""Small parts of the runner: logs, identities, device names, the end."""

import os
import shutil
import subprocess
import sys

import stored

from sqrtscale.home import calibration_folder
from sqrtscale.runner import log, process, snapshots
from sqrtscale.runner.device import gpus, occupied
from sqrtscale.runner.ending import end
from sqrtscale.store import Store


def test_a_log_is_cut_at_its_old_end_while_it_is_written(home):
    path = log.train_log("x")
    assert log.read_log("x") == ""
    path.parent.mkdir(parents=True)
    with path.open("ab") as writer:
        writer.write(b"".join(b"line %07d\n" % i for i in range(200_000)))
        writer.flush()
        log.trim(path)
        writer.write(b"the last line\n")
    assert path.stat().st_size <= log.LARGEST
    text = path.read_text()
    assert text.startswith("... earlier lines") and text.endswith("line 0199999\nthe last line\n")
    assert log.read_log("x", 100).splitlines()[0].startswith("line ")
    assert log.last_lines("x", 1) == "the last line"


def test_this_process_is_alive_and_an_ended_one_is_not():
    assert process.me().alive
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    identity = process.Identity(process.host(), process.boot_id(), child.pid, process.started(child.pid))
    assert identity.alive
    assert process.Identity(identity.host, "unknown", child.pid, identity.pid_started).alive  # of a version that could not ask
    assert not process.Identity(identity.host, "another boot", child.pid, identity.pid_started).alive
    child.communicate(b"\n")
    assert not identity.alive and process.started(child.pid) == ""


def test_a_boot_has_a_name_where_proc_has_none(tmp_path, monkeypatch):
    sysctl = tmp_path / "sysctl"
    sysctl.write_text('#!/bin/sh\n[ "$*" = "-n kern.bootsessionuuid" ] && echo 6F1B-22\n')
    sysctl.chmod(0o700)
    assert len(process.boot_id()) == 36
    monkeypatch.setattr(process, "PROC", tmp_path)
    for program, name in ((sysctl, "6F1B-22"), (tmp_path / "later", "unknown")):
        monkeypatch.setattr(process, "SYSCTL", str(program))
        assert process.boot_id() == name
    assert process.of_this_boot("6F1B-22")  # as far as is known
    sysctl.rename(tmp_path / "later")
    assert process.boot_id() == "6F1B-22"  # no failure is remembered
    assert [process.of_this_boot(noted) for noted in ("6F1B-22", "unknown", "another boot", "")] == [True, True, False, False]


def test_a_session_is_killed_whole():
    leader = subprocess.Popen([sys.executable, "-c", "import subprocess; subprocess.run(['cat'], stdin=subprocess.PIPE)"],
                              start_new_session=True, stdin=subprocess.PIPE)
    try:
        assert leader.pid in process.session_members(leader.pid)
        assert os.getpid() not in process.session_members(leader.pid)
    finally:
        assert leader.pid in process.kill_session(leader.pid)
    leader.wait(30)
    assert leader.pid not in process.session_members(leader.pid)


def test_devices_are_named_without_torch():
    assert occupied("cpu") == ("cpu",)
    assert occupied("cuda") == ("cuda:0",) and occupied("cuda:3, cuda:1") == ("cuda:3", "cuda:1")
    assert occupied("auto") == (("cuda:0",) if gpus() else ("cpu",))
    assert occupied("all") == (tuple(f"cuda:{i}" for i in range(len(gpus()))) or ("cpu",))


def test_folder_of_a_calibration_lies_in_the_home(home):
    assert calibration_folder("abc") == home / "calibrations" / "abc"


def test_after_a_loss_of_power_one_that_has_no_snapshots_any_more_is_done(store, home, tmp_path, monkeypatch):
    """What the disk holds then is what was synchronised last; SQLite itself leaves that to the end of its log."""
    id = stored.calibration(store, "RUNNING", measured=[])
    snapshots.folder(id).mkdir(parents=True)
    (snapshots.folder(id) / "000000001.snapshot").touch()
    synchronise, left, with_snapshots = os.fsync, tmp_path / "left", []
    left.mkdir()

    def synchronised(descriptor):
        synchronise(descriptor)
        with_snapshots.append(snapshots.there(id))
        for path in home.glob("sqrtscale.db*"):
            if path.stat().st_ino == os.fstat(descriptor).st_ino:
                shutil.copy(path, left)

    shutil.copy(home / "sqrtscale.db", left)
    monkeypatch.setattr(os, "fsync", synchronised)
    assert end(store, id, "DONE") and not snapshots.there(id) and with_snapshots == [True]
    after = Store.open(f"sqlite:///{left / 'sqrtscale.db'}")
    assert after.get(id).state == "DONE"
    after.close()
