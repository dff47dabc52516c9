"""The process that reads and moves checkpoints: its limits, its end, and what it leaves behind."""

import json
import os
import signal
import subprocess
import sys
import zipfile

import pytest
import torch
from waiting import until

from sqrtscale.rules import FieldError
from sqrtscale.runner import read_checkpoint, transfer_checkpoint

MEBIBYTE = 2**20


def adamw(size=3):
    weights = torch.nn.Parameter(torch.ones(size))
    optimizer = torch.optim.AdamW([weights], lr=1e-3, weight_decay=0.1)
    weights.grad = torch.ones(size)
    optimizer.step()
    return optimizer.state_dict()


def pickled(path, pickle):
    """An archive with a pickle of our own, which torch reads opcode by opcode."""
    with zipfile.ZipFile(path, "w") as file:
        for name, data in (("data.pkl", pickle), ("version", b"3\n"), ("byteorder", b"little")):
            file.writestr(f"archive/{name}", data)
    return path


def test_groups_are_read_and_moved(tmp_path):
    torch.save({"optimizer": adamw()}, tmp_path / "in.pt")
    answer = json.loads(read_checkpoint(tmp_path / "in.pt"))
    assert answer["optimizer"] == "adamw" and answer["param_groups"][0]["lr"] == 1e-3
    done = transfer_checkpoint(tmp_path / "in.pt", tmp_path / "out.pt", 4)
    assert done.kappa == 4 and done.after[0].param_groups[0]["lr"] == 2e-3 and isinstance(done.notes, tuple)
    assert sorted(path.name for path in tmp_path.glob("*.pt*")) == ["in.pt", "out.pt"]


@pytest.mark.parametrize("content, message", [
    ({"model": {}}, r"file = 'in\.pt' holds no optimizer state"), ([1, 2], "holds no optimizer state"),
    ({"optim.state.w.exp_avg": torch.ones(2)}, r"holds optimizer state at optim\.state\.w\.exp_avg, flattened: save it nested"),
    ({"a": adamw(), "b": {**adamw(), "param_groups": [{**adamw()["param_groups"][0], "lr": 1.0}]}},
     r"holds several optimizers that differ \(a, b\): give the file of one"),
])
def test_files_without_one_optimizer(content, message, tmp_path):
    torch.save(content, tmp_path / "in.pt")
    with pytest.raises(FieldError, match=message):
        read_checkpoint(tmp_path / "in.pt")


def test_two_optimizers_with_the_same_groups_are_one_answer(tmp_path):
    torch.save([adamw(), adamw()], tmp_path / "in.pt")
    assert json.loads(read_checkpoint(tmp_path / "in.pt"))["param_groups"][0]["lr"] == 1e-3


@pytest.mark.parametrize("pickle, message", [
    (b"\x80\x02cbuiltins\nbytearray\n\x8a\x06" + (10**12).to_bytes(6, "little") + b"\x85R.", "needs more memory than there is"),
    (b"\x80\x02](" + b"]" * (8 * MEBIBYTE - 100) + b"e.", "needs more memory than there is"),
    (b"\x80\x02](" + b"N" * (9 * MEBIBYTE) + b"e.", "holds more than 8 MiB beside the numbers of its tensors"),
])
def test_a_small_file_cannot_take_much_memory(pickle, message, tmp_path):
    path = pickled(tmp_path / "in.pt", pickle)
    with pytest.raises(FieldError, match=message):
        transfer_checkpoint(path, tmp_path / "out.pt", 4)
    assert not (tmp_path / "out.pt").exists()


LIMITED = """
import resource, sys
from sqrtscale.transfer.checkpoint.reading import limit_resources
before = resource.getrlimit(resource.RLIMIT_AS), resource.getrlimit(resource.RLIMIT_CPU)
limit_resources(sys.argv[1])
(memory, _), (seconds, _) = resource.getrlimit(resource.RLIMIT_AS), resource.getrlimit(resource.RLIMIT_CPU)
try:
    bytearray(600 * 2**20)
except MemoryError:
    print(memory, seconds)
"""


def test_the_limits_follow_the_size_of_the_file(tmp_path):
    """A file of 100 MiB may take 300 MiB and 5 s more than an empty one."""
    limits = []
    for size in (0, 100 * MEBIBYTE):
        (tmp_path / "file").write_bytes(b"")
        os.truncate(tmp_path / "file", size)
        done = subprocess.run([sys.executable, "-c", LIMITED if not size else LIMITED.replace("600", "900"), tmp_path / "file"],
                              text=True, capture_output=True)
        limits.append([int(word) for word in done.stdout.split()])
    (memory, seconds), (larger, longer) = limits
    assert larger - memory == pytest.approx(300 * MEBIBYTE, abs=30 * MEBIBYTE) and 4 <= longer - seconds <= 7


LIMITED_TO_A_SECOND = """
import resource, runpy, sys
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
resource.setrlimit(resource.RLIMIT_CPU, (1, 1))
sys.argv[0] = ""
runpy.run_module("sqrtscale.transfer.checkpoint", run_name="__main__")
"""


def test_a_process_that_the_system_ends_is_told_as_such(tmp_path, monkeypatch):
    """By a limit that it inherits: a second of the processor is less than loading torch and reading two million lists takes."""
    path = pickled(tmp_path / "in.pt", b"\x80\x02](" + b"]" * 2_000_000 + b"e.")
    monkeypatch.setattr("sqrtscale.runner.launch.command",
                        lambda module, *arguments: [sys.executable, "-c", LIMITED_TO_A_SECOND, *arguments])
    with pytest.raises(FieldError, match=r"its process was ended by the system \(SIG(XCPU|KILL)\)"):
        read_checkpoint(path)


def test_one_that_takes_too_long_is_ended_and_leaves_nothing(tmp_path):
    torch.save(adamw(), tmp_path / "in.pt")
    with pytest.raises(FieldError, match=r"was not done within 0 s"):
        transfer_checkpoint(tmp_path / "in.pt", tmp_path / "out.pt", 4, timeout=0.01)
    assert [path.name for path in tmp_path.glob("*out*")] == []


INTERRUPTED = """
import sys
from pathlib import Path
from sqrtscale.cli import main
sys.exit(main(["transfer-checkpoint", sys.argv[1], sys.argv[2], "--kappa", "4"]))
"""


def children(pid):
    command = ["pgrep", "-P", str(pid), "-f", "sqrtscale.transfer.checkpoint"]
    return subprocess.run(command, text=True, capture_output=True).stdout.split()


def test_ctrl_c_ends_the_process_too_and_leaves_nothing(tmp_path):
    torch.save(adamw(), tmp_path / "in.pt")
    command = subprocess.Popen([sys.executable, "-c", INTERRUPTED, tmp_path / "in.pt", tmp_path / "out.pt"], text=True,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)
    (child,) = until(lambda: children(command.pid))
    command.send_signal(signal.SIGINT)
    _, said = command.communicate(timeout=60)
    assert command.returncode == 1 and said == "interrupted\n"
    until(lambda: not os.path.exists(f"/proc/{child}"))
    assert [path.name for path in tmp_path.glob("*out*")] == []
