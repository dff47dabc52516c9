"""``sqrtscale transfer-checkpoint`` and ``sqrtscale stages`` as a user meets them."""

import json
import subprocess
import sys

import pytest
import torch

from sqrtscale.cli import main
from sqrtscale.transfer.checkpoint.reading import read

STAGES = ["stages", "--optimizer", "adamw", "--lr", "3e-4", "--betas", "0.95", "0.999", "--batch", "64"]


@pytest.fixture
def source(tmp_path):
    weights = torch.nn.Parameter(torch.ones(3))
    optimizer = torch.optim.AdamW([weights], lr=1e-3, weight_decay=0.1)
    scheduler = torch.optim.lr_scheduler.LinearLR(optimizer, total_iters=2)
    for _ in range(10):
        weights.grad = torch.ones(3)
        optimizer.step()
        scheduler.step()
    path = tmp_path / "in.pt"
    torch.save({"model": {"w": weights.detach()}, "optimizer": optimizer.state_dict(), "scheduler": scheduler.state_dict()}, path)
    return path


@pytest.mark.parametrize("by", [["--kappa", "4"], ["--from-batch", "256", "--target", "1024"]])
def test_a_checkpoint_is_moved_and_the_table_says_how(by, source, tmp_path, capsys):
    out, as_it_was = tmp_path / "out.pt", source.read_bytes()
    assert main(["transfer-checkpoint", str(source), str(out), *by]) == 0
    shown = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert shown[0][:3] == ["kappa", "=", "4,"]
    for line in (["optimizer", "group", "0", "lr", "0.001", "0.002"], ["optimizer", "group", "0", "weight_decay", "0.1", "0.2"],
                 ["optimizer", "group", "0", "betas", "0.9", "0.999", "0.6", "0.996"],
                 ["optimizer", "group", "0", "initial_lr", "0.001", "0.002"], ["optimizer", "state", "step", "10", "2.5"],
                 ["optimizer", "state", "exp_avg_sq", "1", "tensors", "noise", "/", "kappa"]):
        assert line in shown
    for values in (["last_epoch", "10", "2"], ["base_lrs", "0.001", "0.002"]):
        assert ["scheduler", "LinearLR", *values] in shown
    assert shown[-1][:9] == ["note:", "scheduler", "(LinearLR)", "goes", "on", "at", "step", "2", "of"]
    assert "last_epoch = 10 / 4 = 2.5 is rounded to 2" in " ".join(shown[-1])
    old, new = read(source), read(out)
    assert source.read_bytes() == as_it_was and torch.equal(new["model"]["w"], old["model"]["w"])
    assert torch.equal(new["optimizer"]["state"][0]["exp_avg_sq"], old["optimizer"]["state"][0]["exp_avg_sq"] / 4)


def test_json_is_one_object(source, tmp_path, capsys):
    assert main(["transfer-checkpoint", str(source), str(tmp_path / "out.pt"), "--kappa", "0.25", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["kappa"] == 0.25 and [change["where"] for change in answer["schedulers"]] == ["scheduler"]
    assert answer["schedulers"][0]["after"]["last_epoch"] == 40
    assert answer["before"][0]["param_groups"][0]["lr"] == 1e-3 and answer["after"][0]["param_groups"][0]["lr"] == 5e-4
    assert answer["after"][0]["steps"] == [40, 40]


def test_with_a_noise_scale_the_noise_aware_transfer_is_made_and_told(source, tmp_path, capsys):
    """b = 448 at 64 -> 256: q = 704 / 512 = 1.375."""
    by = ["--from-batch", "64", "--target", "256", "--noise-scale", "448"]
    assert main(["transfer-checkpoint", str(source), str(tmp_path / "out.pt"), *by]) == 0
    shown = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert shown[0][:9] == ["kappa", "=", "4,", "noise", "scale", "448,", "q", "=", "1.375,"]
    lr = f"{1e-3 * (4 * 1.375) ** 0.5:.8g}"
    for line in (["optimizer", "group", "0", "lr", "0.001", lr], ["scheduler", "LinearLR", "base_lrs", "0.001", lr],
                 ["optimizer", "state", "exp_avg_sq", "1", "tensors", "times", "q", "/", "kappa", "=", "0.34375"]):
        assert line in shown
    assert " ".join(shown[-1]).endswith(f"clipping threshold stands in your program: sqrt(q / kappa) = {0.34375**0.5:.8g} times "
                                        "what it was")
    old, new = read(source)["optimizer"]["state"][0], read(tmp_path / "out.pt")["optimizer"]["state"][0]
    torch.testing.assert_close(new["exp_avg_sq"], old["exp_avg_sq"] * 0.34375)
    assert main(["transfer-checkpoint", str(source), str(tmp_path / "again.pt"), *by, "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["kappa"], answer["noise_scale"], answer["excess"]) == (4, 448, 1.375)


@pytest.mark.parametrize("arguments, message", [
    ([], "sqrtscale transfer-checkpoint: give --kappa, or --from-batch and --target"),
    (["--kappa", "4", "--target", "8"], "sqrtscale transfer-checkpoint: give --kappa, or"),
    (["--target", "8"], "sqrtscale transfer-checkpoint: give --kappa, or"),
    (["--from-batch", "0", "--target", "8"], "from_batch = 0 is not allowed"),
    (["--kappa", "none"], "kappa = 'none' is not allowed: give new batch / old batch"),
    (["--kappa", "-4"], "kappa = -4 is not allowed"),
    (["--kappa", "16"], "beta1 = 0.9 has no scaled value"),
    (["--kappa", "4", "--noise-scale", "567"], "sqrtscale transfer-checkpoint: a noise scale is compared with both batches"),
    (["--from-batch", "8", "--target", "32", "--noise-scale", "0"], "noise_scale = 0 is not a noise scale"),
    (["--from-batch", "8", "--target", "32", "--noise-scale", "much"], "noise_scale = 'much' is not a noise scale"),
    (["--kappa", "4", "--optimizer", "muon"], "optimizer = 'muon' has no derived rule"),
    (["--kappa", "4", "--decay-form", "cubic"], "decay_form = 'cubic' is not known"),
    (["--kappa", "4", "--momentum-form", "cubic"], "momentum_form = 'cubic' is not known"),
])
def test_bad_input_is_one_line_and_leaves_no_file(arguments, message, source, tmp_path, capsys):
    assert main(["transfer-checkpoint", str(source), str(tmp_path / "out.pt"), *arguments]) == 2
    said = capsys.readouterr()
    assert said.out == "" and said.err.startswith(message) and said.err.count("\n") == 1
    assert not (tmp_path / "out.pt").exists()


def test_files_that_cannot_be_used(source, tmp_path, capsys):
    for paths, message in (([source, source], "exists already and is not overwritten"),
                           ([tmp_path / "gone.pt", tmp_path / "out.pt"], "cannot be read: No such file")):
        assert main(["transfer-checkpoint", *map(str, paths), "--kappa", "4"]) == 2
        said = capsys.readouterr()
        assert said.out == "" and message in said.err and said.err.count("\n") == 1


def test_names_that_look_like_options_or_are_no_files(source, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    source.rename(tmp_path / "-in.pt")
    assert main(["transfer-checkpoint", "--kappa", "4", "--", "-in.pt", "-out.pt"]) == 0
    assert read("-out.pt")["optimizer"]["param_groups"][0]["lr"] == 2e-3
    capsys.readouterr()
    assert main(["transfer-checkpoint", "/dev/zero", "none.pt", "--kappa", "4"]) == 2
    assert "is no file" in capsys.readouterr().err and not (tmp_path / "none.pt").exists()


def test_the_command_itself_loads_no_torch(source, tmp_path):
    code = ("import sys; from sqrtscale.cli import main; main(['transfer-checkpoint', *sys.argv[1:], '--kappa', '4']); "
            "print('torch' in sys.modules)")
    done = subprocess.run([sys.executable, "-c", code, source, tmp_path / "out.pt"], text=True, capture_output=True)
    assert done.returncode == 0 and done.stdout.splitlines()[-1] == "False" and (tmp_path / "out.pt").exists()


def test_stages_as_a_table(capsys):
    assert main([*STAGES, "--stage", "64:6400", "--stage", "256:25500", "--steps", "1000"]) == 0
    shown = capsys.readouterr().out
    lines = [line.split() for line in shown.splitlines()]
    for line in (["batch", "64", "256"], ["first_sample", "0", "6400"], ["steps", "100", "100"], ["change", "1", "4"],
                 ["lr", "0.0003", "0.0006"], ["beta1", "0.95", "0.8"], ["eps", "1e-08", "5e-09"]):
        assert line in lines
    assert "stage 2: 25500 samples / 256 = 99.609375 steps, rounded to 100: 100 samples more" in shown
    assert "warning" not in shown and "total_steps" not in shown


def test_stages_beyond_the_linear_form_warn_and_half_life_has_numbers(capsys):
    plan = [*STAGES, "--stage", "6400:64000"]
    assert main(plan) == 0
    shown = capsys.readouterr().out
    assert "none" in shown and "warning: stage 1: beta1" in shown
    assert main([*plan, "--decay-form", "half-life", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["base"]["batch_size"] == 64 and answer["stages"][0]["scaled"]["betas"][0] == pytest.approx(0.95**100)


def test_stages_with_a_noise_scale(capsys):
    plan = [*STAGES, "--stage", "64:6400", "--stage", "256:25600", "--noise-scale", "448"]
    assert main(plan) == 0
    shown = capsys.readouterr().out
    lines = [line.split() for line in shown.splitlines()]
    assert ["second", "moments", "1", "0.34375"] in lines and ["lr", "0.0003", f"{3e-4 * (4 * 1.375) ** 0.5:.8g}"] in lines
    assert "second moments: by what they are multiplied then, with the noise scale 448" in shown
    assert main([*plan, "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["noise_scale"] == 448 and [stage["excess"] for stage in answer["stages"]] == [1, 1.375]


@pytest.mark.parametrize("arguments, message", [
    ([], "sqrtscale stages: the following arguments are required: --stage"),
    (["--stage", "64"], "--stage = '64' is no stage: give BATCH:SAMPLES, for example 256:1000000"),
    (["--stage", "64:many"], "samples = 'many' is not allowed"),
    (["--stage", "0:10"], "batch = 0 is not allowed"),
    (["--stage", "64:10"], "samples = 10 is less than one step of batch 64"),
    (["--stage", "64:640", "--noise-scale", "-1"], "noise_scale = -1 is not a noise scale"),
])
def test_stages_that_are_none(arguments, message, capsys):
    assert main([*STAGES, *arguments]) == 2
    said = capsys.readouterr()
    assert said.out == "" and said.err.startswith(message) and said.err.count("\n") == 1
