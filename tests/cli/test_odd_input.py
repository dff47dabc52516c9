"""Numbers and files that no configuration has: one line, exit code 2, never a traceback and never a hang."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from sqrtscale.cli import main

BASE = ["--optimizer", "adam", "--lr", "1e-3", "--batch", "256"]
SCALE = ["scale", *BASE, "--target", "1024"]
LONG = "9" * 5000


def refused(capsys, *arguments, said=""):
    code = main(arguments)
    out, err = capsys.readouterr()
    assert (code, out, err.count("\n")) == (2, "", 1) and said in err and len(err) < 1000, err


OPTIONS = ["--lr", "--eps", "--weight-decay", "--batch", "--target", "--steps", "--warmup", "--alpha", "--momentum",
           "--decay-form", "--momentum-form", "--optimizer", "--export"]


@pytest.mark.parametrize("text", [LONG, f"-{LONG}", f"1e{LONG}", "nan", "inf", "1j", "[]", "", " ", "x" * 5000, "١" * 5000])
@pytest.mark.parametrize("option", OPTIONS)
def test_options(capsys, option, text):
    refused(capsys, *SCALE, f"{option}={text}")


@pytest.mark.parametrize("text", [LONG, f"-{LONG}", "nan", "{}", f"0x{LONG}"])
@pytest.mark.parametrize("field", ["eps", "ema_decay", "clip_norm", "milestones", "schedule", "loss_reduction", "total_steps",
                                   "dropout", "lr", LONG])
def test_fields_of_set(capsys, field, text):
    refused(capsys, *SCALE, "--set", f"{field}={text}")
    refused(capsys, *SCALE, "--set", f"milestones=1,{text}")


@pytest.mark.parametrize("stage", [f"{LONG}:1000", f"256:{LONG}", f"{LONG}:{LONG}", LONG, "256", ":", "nan:nan", "1:inf",
                                   f"-{LONG}:1"])
def test_stages(capsys, stage):
    refused(capsys, "stages", *BASE, "--stage", stage)


@pytest.mark.parametrize("arm", [LONG, f"scaled {LONG}x", f"unscaled 1/{LONG}x", f"svag {LONG}", f"own: lr={LONG}",
                                 "own: lr=[]", ":"])
def test_arms(capsys, arm):
    refused(capsys, "calibrate", "--task", "digits", "--arms", arm)


@pytest.mark.parametrize("option", ["--target", "--targets", "--seeds", "--samples", "--warm-samples", "--lr", "--batch",
                                    "--size", "--start", "--device"])
def test_numbers_of_a_calibration(capsys, option):
    refused(capsys, "calibrate", "--task", "digits", option, LONG)


edges = st.sampled_from(["5e-324", "1e-320", "1e-308", "1e-300", "1e-8", "0", "0.5", "1", "1e300", "1.7e308"])


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(["adam", "composer_adamw", "keras_rmsprop", "sgd"]), edges, edges,
       st.sampled_from(["1", "256", "1000000000000"]), st.sampled_from(["1", "1024", "1000000000000"]),
       st.sampled_from(["linear", "half-life"]), st.sampled_from([(), ("--export", "keras"), ("--export", "optax"), ("--json",)]),
       st.sampled_from([(), ("--set", "loss_reduction=sum")]), st.sampled_from([(), ("--correct-lr",)]))
@example("composer_adamw", "1e-300", "1e300", "256", "1024", "linear", ("--export", "pytorch"), (), ())
def test_the_edges_of_floating_point(capsys, optimizer, lr, small, batch, target, form, shown, reduction, corrected):
    arguments = ["--optimizer", optimizer, "--lr", lr, "--weight-decay", small, "--batch", batch, "--target", target,
                 "--decay-form", form, *reduction, *corrected]
    code = main(["scale", *arguments, *shown])
    out, err = capsys.readouterr()
    assert code in (0, 2) and "Traceback" not in err
    assert bool(out) == (code == 0) and (code == 0 or err.strip().splitlines()[-1] == err.strip().splitlines()[0])
    if code == 0 and shown == ("--json",):
        json.loads(out, parse_constant=pytest.fail)
    code = main(["check", *arguments])
    assert (code == 2) == ("kappa = " not in capsys.readouterr().out)


def test_a_summed_loss_moves_what_is_compared_with_its_gradient(capsys):
    assert main([*SCALE, "--eps", "1e-8", "--weight-decay", "0.1", "--set", "loss_reduction=sum", "--set", "clip_norm=1",
                 "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["scaled"] == {"optimizer": "adam", "lr": 2e-3, "betas": [0.6, 0.996], "eps": 2e-8, "weight_decay": 0.4,
                               "batch_size": 1024, "total_steps": None, "warmup_steps": None, "clip_norm": 2.0,
                               "loss_reduction": "sum"}
    rows = {row["name"]: row for row in found["fields"]}
    assert rows["eps"]["formula"] == "eps' = sqrt(kappa) * eps" and rows["eps"]["status"] == "derived by us"
    assert rows["loss_reduction"]["scaled"] == "sum"


CONFIGURATION = json.dumps({"optim": "adamw_torch", "learning_rate": 1e-4, "per_device_train_batch_size": 256, "max_steps": 100})


@pytest.fixture
def kinds(tmp_path, monkeypatch):
    """A pipe, a socket, a device, a directory and real files, in a folder of their own."""
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe.json")
    os.mkfifo("pipe.pt")
    (tmp_path / "folder.json").mkdir()
    (tmp_path / "-x.json").write_text(CONFIGURATION)
    os.symlink("/dev/zero", "zero.json")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket.json")
        yield tmp_path


@pytest.mark.parametrize("name", ["pipe.json", "pipe.pt", "socket.json", "zero.json", "/dev/zero", "/dev/stdin"])
def test_what_may_never_end_is_not_read(kinds, name):
    """In a process of its own, whose end is waited for."""
    done = subprocess.run([sys.executable, "-m", "sqrtscale", "scale", "--from", name, "--target", "8"], text=True,
                          stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (
        2, "", f"--from = {name!r} is no ordinary file: give one that holds a configuration\n")


@pytest.mark.parametrize("name, said", [("folder.json", "Is a directory"), (".", "Is a directory"), ("a\0b", "null byte"),
                                        ("none.json", "No such file"), ("n" * 5000, "too long")])
def test_what_is_no_file_is_said(kinds, capsys, name, said):
    refused(capsys, "scale", f"--from={name}", "--target", "8", said=said)


@pytest.mark.parametrize("arguments", [["--from=-x.json"], ["--from", "./-x.json"]])
def test_a_name_that_begins_with_a_dash_is_read(kinds, capsys, arguments):
    assert main(["scale", *arguments, "--devices", "1", "--target", "512"]) == 0
    assert "512" in capsys.readouterr().out
    refused(capsys, "scale", "--from", "-x.json", "--target", "512", said="--from: expected one argument")


def test_a_file_beyond_the_limit_is_not_read_to_its_end(kinds, capsys):
    with open("large.json", "wb") as file:
        file.truncate(2**30)  # takes no space on the disk
    refused(capsys, "scale", "--from", "large.json", "--target", "8", said="is too large for a configuration")
