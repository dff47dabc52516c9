"""What happens between the program and a terminal: pipes, full disks, Ctrl-C, logs."""

import json
import os
import signal
import subprocess
import sys
from contextlib import closing
from importlib.metadata import entry_points

import pytest
from sqlalchemy.exc import OperationalError
from waiting import until

from sqrtscale.cli import main
from sqrtscale.cli.shared import open_store
from sqrtscale.store import Store

SCALE = ["scale", "--optimizer", "adam", "--lr", "1e-3", "--batch", "256", "--target", "1024"]
# Long enough that it is still running whenever this test looks; it is cancelled at the end.
LONG = ["calibrate", "--task", "digits", "--seeds", "1", "--samples", "10000000", "--start", "scratch", "--wait"]


def start(arguments, **streams):
    """The program with the buffers that a user's shell gives it."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    return subprocess.Popen([sys.executable, "-m", "sqrtscale", *arguments], text=True, stdin=subprocess.DEVNULL,
                            env=environment, **streams)


def test_the_installed_command_is_this_program():
    (found,) = entry_points(group="console_scripts", name="sqrtscale")
    assert found.load() is main


@pytest.mark.fault(
    "the reader of standard output has gone (`head`)",
    "the command ends in silence; standard output that is closed is one line, exit code 2")
@pytest.mark.parametrize("arguments", [SCALE, [*SCALE, "--json"], ["--help"], ["runs", "list"]])
def test_a_reader_that_has_gone_is_no_error(arguments):
    reading, writing = os.pipe()
    os.close(reading)
    process = start(arguments, stdout=writing, stderr=subprocess.PIPE)
    os.close(writing)
    assert process.communicate()[1] == "" and process.returncode == 0


@pytest.mark.parametrize("arguments", [SCALE, ["--help"]])
def test_output_that_cannot_be_written_is_one_line_and_exit_code_1(arguments):
    with open("/dev/full", "w") as full:
        process = start(arguments, stdout=full, stderr=subprocess.PIPE)
        said = process.communicate()[1]
    assert process.returncode == 1 and "No space left on device" in said and said.count("\n") == 1


def test_lengths_have_all_their_digits(capsys):
    assert main([*SCALE, "--steps", "1234567892"]) == 0
    assert "1234567892  308641973" in capsys.readouterr().out


def test_a_database_that_fails_on_the_way_is_one_sentence():
    with pytest.raises(RuntimeError, match=r"^the database failed: the server closed the connection$"), open_store():
        raise OperationalError("SELECT 1", {}, Exception("the server closed the connection"))


@pytest.mark.process
def test_ctrl_c_ends_the_waiting_and_a_cancel_ends_the_run():
    waiting = start(LONG, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    id = waiting.stderr.readline().split()[0]
    with closing(Store.open()) as store:
        try:
            until(lambda: store.get(id).state == "RUNNING", what="the calibration running")
            waiting.send_signal(signal.SIGINT)
            out, said = waiting.communicate(timeout=60)
            assert waiting.returncode == 1 and out == ""
            assert said.endswith(f"stopped waiting, {id} goes on: sqrtscale runs show {id}, sqrtscale runs cancel {id}\n")
            assert "Traceback" not in said and "\r" not in said  # not a terminal: whole lines
            until(lambda: store.get(id).done > 0, what="progress after the waiting has ended")
        finally:
            assert main(["runs", "cancel", id]) == 0
        until(lambda: store.get(id).state == "CANCELLED", what="the calibration's end")


@pytest.mark.process
def test_waiting_for_a_run_that_is_cancelled_has_exit_code_1():
    waiting = start([*LONG, "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    id = waiting.stderr.readline().split()[0]
    assert main(["runs", "cancel", id]) == 0
    out, _ = waiting.communicate(timeout=60)
    assert waiting.returncode == 1
    assert json.loads(out)["state"] == "CANCELLED"
