"""Files: found in every common layout, moved, written whole to a new file; nothing in a file is ever run."""

import argparse
import json
import os
import pickle
import subprocess
import sys

import pytest
import torch
from transfer.optimized import CASES, assert_same, flat, trained

from sqrtscale.rules import FieldError
from sqrtscale.transfer.checkpoint import transfer_file
from sqrtscale.transfer.checkpoint.reading import read
from sqrtscale.transfer.checkpoint.summary import summary
from sqrtscale.transfer.checkpoint.transfer_file import transfer_checkpoint
from sqrtscale.transfer.optimizer import transfer_optimizer_, transfer_state_dict

LAYOUTS = {  # name -> (how a state dict lies in a file, where that is)
    "by itself": (lambda s: s, ""),
    "optimizer": (lambda s: {"model": {"w": torch.ones(2)}, "optimizer": s, "epoch": 3}, "optimizer"),
    "optimizer_state_dict": (lambda s: {"model_state_dict": {}, "optimizer_state_dict": s}, "optimizer_state_dict"),
    "Lightning": (
        lambda s: {"state_dict": {}, "optimizer_states": [s], "lr_schedulers": [{"base_lrs": [1]}]},
        "optimizer_states.0",
    ),
    "named": (lambda s: {"optimizers": {"generator": s}}, "optimizers.generator"),
}


def saved(path, content):
    torch.save(content, path)
    return path


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_is_found_and_moved(layout, tmp_path):
    wrap, where = LAYOUTS[layout]
    state_dict = trained("adamw")[1].state_dict()
    source, out = saved(tmp_path / "in.pt", wrap(state_dict)), tmp_path / "out.pt"
    as_it_was = source.read_bytes()
    done = transfer_checkpoint(source, out, 4)
    assert source.read_bytes() == as_it_was and {path.name for path in tmp_path.iterdir()} <= {"in.pt", "out.pt", "home"}
    assert str(read(out)) == str(wrap(transfer_state_dict(state_dict, 4)))
    assert [optimizer.where for optimizer in done.before] == [optimizer.where for optimizer in done.after] == [where]
    assert (done.kappa, done.before[0].steps, done.after[0].steps) == (4, (20, 20), (5, 5))
    assert done.before[0].param_groups[0]["lr"] == 3e-4 and done.after[0].param_groups[0]["lr"] == 6e-4
    assert done.schedulers == () and len(done.notes) == 1
    assert done.notes[0].startswith("lr_schedulers is no sch" if layout == "Lightning" else "a learning rate scheduler counts")
    assert "last_epoch = 4 (20 / 4 - 1)" in done.notes[0]


@pytest.mark.parametrize("case", CASES)
def test_a_moved_file_is_a_moved_optimizer(case, tmp_path):
    parameters, optimizer = trained(case, dtype=torch.float32)
    transfer_checkpoint(saved(tmp_path / "in.pt", optimizer.state_dict()), tmp_path / "out.pt", 0.25)
    loaded = getattr(torch.optim, CASES[case][0])([torch.nn.Parameter(p.detach().clone()) for p in parameters])
    loaded.load_state_dict(torch.load(tmp_path / "out.pt", weights_only=True))
    transfer_optimizer_(optimizer, 0.25)
    assert_same(flat(loaded), flat(optimizer))


@pytest.mark.parametrize("case", CASES)
def test_with_a_noise_scale_a_moved_file_is_a_moved_optimizer(case, tmp_path):
    state_dict = trained(case)[1].state_dict()
    done = transfer_checkpoint(
        saved(tmp_path / "in.pt", state_dict), tmp_path / "out.pt", (64, 256), CASES[case][0], "half-life", noise_scale=448.0
    )
    moved = transfer_state_dict(state_dict, (64, 256), CASES[case][0], "half-life", noise_scale=448.0)
    assert str(read(tmp_path / "out.pt")) == str(moved)
    assert (done.kappa, done.noise_scale, done.excess) == (4, 448, 1.375)


@pytest.mark.parametrize("name", ["adamw", "sgd", "rmsprop"])
def test_a_scheduler_alone_moves_by_the_noise_aware_rule_of_its_family(name, tmp_path):
    parameter = torch.nn.Parameter(torch.ones(1))
    scheduler = torch.optim.lr_scheduler.LinearLR(torch.optim.Adam([parameter], lr=1e-3), total_iters=100)
    path = saved(tmp_path / "scheduler.pt", scheduler.state_dict())
    transfer_checkpoint(path, tmp_path / "out.pt", (64, 256), name, noise_scale=448.0)
    factor = 4 if name == "sgd" else (4 * 1.375) ** 0.5
    assert read(tmp_path / "out.pt")["base_lrs"] == [pytest.approx(1e-3 * factor)]


def test_several_optimizers_move_together(tmp_path):
    both = {"optimizers": [trained("adam")[1].state_dict(), trained("sgd")[1].state_dict()]}
    done = transfer_checkpoint(saved(tmp_path / "in.pt", both), tmp_path / "out.pt", 4)
    assert [(optimizer.where, optimizer.optimizer, optimizer.param_groups[0]["lr"]) for optimizer in done.after] == [
        ("optimizers.0", "adam", 6e-4),
        ("optimizers.1", "sgd", 12e-4),
    ]


class Malicious:
    """Makes a file when it is unpickled."""

    def __init__(self, witness):
        self.witness = witness

    def __reduce__(self):
        return os.mkdir, (str(self.witness),)


@pytest.mark.parametrize("write", [torch.save, lambda content, path: path.write_bytes(pickle.dumps(content))])
def test_a_malicious_file_is_refused_and_not_run(write, tmp_path):
    witness, source, out = (tmp_path / name for name in ("witness", "in.pt", "out.pt"))
    write({"optimizer": trained("adam")[1].state_dict(), "extra": Malicious(witness)}, source)
    with pytest.raises(FieldError, match=r"checkpoint = '.*in\.pt' (needs posix\.mkdir, and loading it would run code|is no)"):
        transfer_checkpoint(source, out, 4)
    assert not witness.exists() and not out.exists()


def content(path, what):
    if isinstance(what, bytes):
        path.write_bytes(what)
    elif what is not None:
        torch.save(what, path)
    return path


@pytest.mark.parametrize(
    "what, message",
    [
        (None, "cannot be read: No such file"),
        (b"", "is no PyTorch checkpoint"),
        (b"lr: 3e-4\n", "is no PyTorch checkpoint"),
        (b"PK\x03\x04 and no more", "is no PyTorch checkpoint"),
        ({"args": argparse.Namespace(lr=1)}, r"needs argparse\.Namespace, .* place of other objects, for example vars\(args\)"),
        ({"model": {"w": torch.ones(2)}}, r"holds no optimizer state: give a file with what optimizer\.state_dict\(\) returned"),
        (torch.ones(3), "holds no optimizer state"),
    ],
)
def test_files_that_cannot_be_used(what, message, tmp_path):
    source = content(tmp_path / "in.pt", what)
    with pytest.raises(FieldError, match=message):
        transfer_checkpoint(source, tmp_path / "out.pt", 4)
    assert not (tmp_path / "out.pt").exists()


@pytest.mark.parametrize(
    "kappa, options, message",
    [
        (0, {}, "kappa = 0 is not allowed"),
        (64, {}, "beta1 = .* has no scaled value"),
        (4, {"optimizer": "lion"}, "has no derived rule"),
        (4, {"decay_form": "cubic"}, "decay_form = 'cubic' is not known"),
    ],
)
def test_what_the_transfer_refuses_leaves_no_file(kappa, options, message, tmp_path):
    source = saved(tmp_path / "in.pt", {"optimizer": trained("adamw")[1].state_dict()})
    with pytest.raises(FieldError, match=message):
        transfer_checkpoint(source, tmp_path / "out.pt", kappa, **options)
    assert not list(tmp_path.glob("*out*"))


def test_nothing_is_overwritten(tmp_path):
    source = saved(tmp_path / "in.pt", trained("adamw")[1].state_dict())
    as_it_was = source.read_bytes()
    (tmp_path / "link.pt").symlink_to(tmp_path / "nowhere")
    for out in (source, tmp_path / "link.pt", tmp_path):
        with pytest.raises(FieldError, match=r"out = .* exists already and is not overwritten: give a new file"):
            transfer_checkpoint(source, out, 4)
    with pytest.raises(FieldError, match="is no folder"):
        transfer_checkpoint(source, tmp_path / "gone" / "out.pt", 4)
    assert source.read_bytes() == as_it_was


@pytest.mark.parametrize("meanwhile", [False, True])
def test_an_ending_in_the_middle_leaves_nothing_behind(meanwhile, tmp_path, monkeypatch):
    """The disk is full; or somebody else has made the file while this one was written."""
    source, out = saved(tmp_path / "in.pt", trained("adamw")[1].state_dict()), tmp_path / "out.pt"

    def save(content, file):
        file.write(b"half")
        if not meanwhile:
            raise OSError(28, "No space left on device")
        out.write_bytes(b"somebody's")

    monkeypatch.setattr(transfer_file.torch, "save", save)
    with pytest.raises(FieldError if meanwhile else OSError):
        transfer_checkpoint(source, out, 4)
    assert [path.name for path in tmp_path.glob("*out*")] == (["out.pt"] if meanwhile else [])
    assert not meanwhile or out.read_bytes() == b"somebody's"


def test_a_summary_is_what_json_has(tmp_path):
    optimizer = torch.optim.RMSprop([torch.nn.Parameter(torch.ones(2))], lr=torch.tensor(0.5, dtype=torch.float64))
    (summarised,) = summary({"a": {"b": {"c": optimizer.state_dict()}}})
    assert (summarised.where, summarised.optimizer, summarised.steps, summarised.state) == ("a.b.c", "rmsprop", None, {})
    assert summarised.param_groups[0]["lr"] == 0.5 and summarised.param_groups[0]["params"] == 1
    assert [summarised.where for summarised in summary([{"a": 1}, ({"d": optimizer.state_dict()},)])] == ["1.0.d"]


@pytest.mark.parametrize("dtype, lr", [(torch.float32, 0.001), (torch.float64, 1 / 3), (torch.bfloat16, 3e-4)])
def test_numbers_in_tensors_are_shown_in_the_digits_that_they_have(dtype, lr):
    rate = torch.tensor(lr, dtype=dtype)
    (summarised,) = summary(torch.optim.AdamW([torch.nn.Parameter(torch.ones(2))], lr=rate).state_dict())
    assert summarised.param_groups[0]["lr"] == lr


def test_a_refused_pickle_is_one_line_on_the_terminal(tmp_path):
    source, witness = tmp_path / "in.pt", tmp_path / "witness"
    source.write_bytes(pickle.dumps(Malicious(witness)))
    done = subprocess.run([sys.executable, "-m", "sqrtscale.transfer.checkpoint", source], text=True, capture_output=True)
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and not witness.exists()


def test_a_process_without_torch_can_ask(tmp_path):
    source = saved(tmp_path / "in.pt", {"optimizer": trained("rmsprop, momentum")[1].state_dict()})
    ask = [sys.executable, "-m", "sqrtscale.transfer.checkpoint"]
    done = subprocess.run([*ask, source], text=True, capture_output=True)
    (summarised,) = json.loads(done.stdout)["optimizers"]
    assert (done.returncode, summarised["optimizer"], summarised["where"]) == (0, "rmsprop", "optimizer")
    assert summarised["param_groups"][0]["momentum"] == 0.9 and summarised["param_groups"][0]["params"] == 2
    assert summarised["state"] == {"square_avg": 2, "momentum_buffer": 2} and summarised["steps"] == [20, 20]
    done = subprocess.run([*ask, tmp_path / "gone.pt"], text=True, capture_output=True)
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and "cannot be read" in done.stderr
    assert json.loads(done.stdout)["allowed"] == "cannot be read: No such file or directory"
