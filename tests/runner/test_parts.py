"""Small parts of the runner: logs, identities, device names."""

import os
import subprocess
import sys

from sqrtscale.home import calibration_folder
from sqrtscale.runner import log, process
from sqrtscale.runner.device import cuda_devices, occupied


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
    assert not process.Identity(identity.host, "another boot", child.pid, identity.pid_started).alive
    child.communicate(b"\n")
    assert not identity.alive and process.started(child.pid) == ""


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
    assert occupied("auto") == (("cuda:0",) if cuda_devices() else ("cpu",))
    assert occupied("all") == (tuple(f"cuda:{i}" for i in range(len(cuda_devices()))) or ("cpu",))


def test_folder_of_a_calibration_lies_in_the_home(home):
    assert calibration_folder("abc") == home / "calibrations" / "abc"
