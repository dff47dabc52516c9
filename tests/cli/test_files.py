"""``scale --from FILE``, ``--export`` and ``check``: configurations of other programs, in and out, from a terminal."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sqrtscale import TrainingConfig, scale

ARGUMENTS = {"optim": "adamw_torch", "learning_rate": 2e-4, "adam_beta2": 0.95, "weight_decay": 0.1,
             "per_device_train_batch_size": 8, "gradient_accumulation_steps": 4, "max_steps": 10_000, "warmup_steps": 500}


@pytest.fixture
def file(tmp_path) -> Path:
    path = tmp_path / "training_args.json"
    path.write_text(json.dumps(ARGUMENTS, indent=2))
    return path


def test_a_file_and_the_devices_make_the_whole_answer(sqrtscale, file):
    done = sqrtscale("scale", "--from", str(file), "--devices", "8", "--target", "1024", "--json")
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    base = TrainingConfig("adamw", 256, {"lr": 2e-4, "beta2": 0.95, "weight_decay": 0.1})
    expected = scale(base, 1024).config
    assert answer["kappa"] == 4 and answer["base"]["batch_size"] == 8 * 4 * 8
    assert (answer["scaled"]["lr"], answer["scaled"]["weight_decay"]) == (expected["lr"], expected["weight_decay"])
    assert (answer["scaled"]["total_steps"], answer["scaled"]["warmup_steps"]) == (2500, 125)
    assert "read as Hugging Face" in done.stderr


def test_what_is_missing_is_asked_for_by_its_option(sqrtscale, file):
    done = sqrtscale("scale", "--from", str(file), "--target", "1024")
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.count("\n") == 1 and "--devices" in done.stderr and "--per-device" not in done.stderr


def test_options_correct_the_file(sqrtscale, file):
    done = sqrtscale("scale", "--from", str(file), "--batch", "64", "--target", "128", "--lr", "1e-3", "--set", "ema_decay=0.999",
               "--json")
    answer = json.loads(done.stdout)
    assert answer["base"]["batch_size"] == 64 and answer["base"]["lr"] == 1e-3
    assert answer["scaled"]["ema_decay"] == pytest.approx(0.999**2, rel=1e-15)


def test_the_file_comes_back_patched(sqrtscale, file, tmp_path):
    done = sqrtscale("scale", "--from", str(file), "--devices", "8", "--target", "1024", "--export", "file")
    patched = json.loads(done.stdout)
    assert patched["learning_rate"] == 4e-4 and patched["adam_beta1"] == 0.6 and patched["max_steps"] == 2500
    assert patched["per_device_train_batch_size"] * patched["gradient_accumulation_steps"] * 8 == 1024
    again = tmp_path / "again.json"
    again.write_text(done.stdout)
    back = sqrtscale("scale", "--from", str(again), "--devices", "8", "--target", "256", "--json")
    assert json.loads(back.stdout)["scaled"]["lr"] == pytest.approx(2e-4, rel=1e-12)


@pytest.mark.parametrize("library, holds", [
    ("pytorch", "torch.optim.AdamW("), ("huggingface", "per_device_train_batch_size=8"), ("keras", "keras.optimizers.AdamW("),
    ("optax", "optax.adamw("), ("deepspeed", '"train_batch_size": 1024')])
def test_an_export_for_each_library(sqrtscale, file, library, holds):
    done = sqrtscale("scale", "--from", str(file), "--devices", "8", "--target", "1024", "--export", library)
    assert done.returncode == 0 and holds in done.stdout, done.stdout + done.stderr


@pytest.mark.parametrize("text, said", [
    ("", "is empty"), ("[" * 100_000, "nest"),
    ('{"learning_rate": NaN}', "NaN"), ("hello there", "is not JSON"),
    ("{}", "is not recognised"),
    ("a" * 2_000_000, "at most 1,000,000")])
def test_a_file_that_is_none_is_one_line(sqrtscale, tmp_path, text, said):
    path = tmp_path / "odd.json"
    path.write_text(text)
    done = sqrtscale("scale", "--from", str(path), "--target", "8")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), done.stderr
    assert said in done.stderr and "Traceback" not in done.stderr


def test_files_that_cannot_be_read_and_exports_that_do_not_exist(sqrtscale, tmp_path, file):
    for arguments, said in (
            (["--from", str(tmp_path / "none.json")], "cannot be read: No such file"),
            (["--from", str(tmp_path)], "Is a directory"),
            (["--from", str(file), "--devices", "8", "--export", "jax"], "export = 'jax' is not known: give one of pytorch"),
            (["--optimizer", "adam", "--lr", "1", "--batch", "8", "--export", "file"], "needs the file of --from")):
        done = sqrtscale("scale", *arguments, "--target", "512")
        assert done.returncode == 2 and said in done.stderr and done.stderr.count("\n") <= 3, done.stderr


def test_check_tells_a_script_whether_the_rule_is_in_its_range(sqrtscale, file):
    good = sqrtscale("check", "--optimizer", "adam", "--lr", "1e-3", "--batch", "256", "--target", "512")
    assert (good.returncode, good.stdout) == (0, "kappa = 2: the rule is in its range\n")
    beyond = sqrtscale("check", "--optimizer", "adam", "--lr", "1e-3", "--batch", "256", "--target", "8192")
    assert beyond.returncode == 1 and "beta1: 1 - kappa (1 - beta1) = -2.2 is not a decay rate" in beyond.stdout
    assert sqrtscale("check", "--from", str(file), "--devices", "8", "--target", "8192").returncode == 1
    assert sqrtscale("check", "--from", str(file), "--target", "512").returncode == 2


def test_check_fails_where_the_file_scales_by_itself(sqrtscale, tmp_path):
    path = tmp_path / "ds_config.json"
    path.write_text(json.dumps({"train_batch_size": 256, "optimizer": {"type": "AdamW", "params": {"lr": 1e-4}},
                                "dynamic_batching": {"enabled": True, "lr_scaling_method": "linear"}}))
    done = sqrtscale("check", "--from", str(path), "--target", "512")
    assert done.returncode == 1 and "dynamic_batching" in done.stdout


def test_a_checkpoint_gives_its_groups(sqrtscale, tmp_path):
    torch = pytest.importorskip("torch")
    weight = torch.nn.Parameter(torch.ones(2))
    optimizer = torch.optim.AdamW([weight], lr=3e-4, betas=(0.9, 0.99))
    torch.save({"optimizer_state_dict": optimizer.state_dict()}, tmp_path / "last.pt")
    done = sqrtscale("scale", "--from", str(tmp_path / "last.pt"), "--batch", "64", "--target", "256", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["scaled"]["lr"] == 6e-4
