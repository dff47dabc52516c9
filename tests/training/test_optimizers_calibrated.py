"""Every optimizer of the catalogue through a whole calibration on a CPU, with whatever executor suits it."""

import json

import pytest
from torch_optim import DIVIDES

from sqrtscale.cli import main
from sqrtscale.diagnostics import REGIME
from sqrtscale.plan import make_plan
from sqrtscale.rules import TrainingConfig
from sqrtscale.training import Measured, RunEnded, calibrate, environment
from sqrtscale.training.optimizers import TRAINED, optimizer_class

OF_A_SECOND_MOMENT = {"signal_pre", "noise_pre", "second_moment", "eps_share"}
OF_ARMS_THAT_FOLLOW = {"lr_factor"}
OF_FP16 = {"skipped"}


@pytest.mark.parametrize("family", [name for name in TRAINED if optimizer_class(name).kernel is None])
def test_a_calibration_without_a_kernel_runs_to_its_end_and_measures_what_there_is(family):
    base = TrainingConfig(family, 8, {"lr": 1e-3}, warmup_steps=4, run={"clip_norm": 1.0})
    plan = make_plan("digits", base, 16, seeds=1, samples=128, warm_samples=64, device="cpu")
    assert environment("cpu", plan)["executor"] == "eager"
    events = list(calibrate(plan))
    assert [event.state for event in events if isinstance(event, RunEnded)] == ["DONE"] * len(plan.runs)
    last = {event.arm: event.values for event in events if isinstance(event, Measured) and event.samples == plan.samples}
    measured = set(REGIME) - OF_ARMS_THAT_FOLLOW - OF_FP16 - (set() if family in DIVIDES else OF_A_SECOND_MOMENT)
    assert set(last) == {arm.name for arm in plan.arms} and len({values["train_loss"] for values in last.values()}) == len(last)
    for values in last.values():
        assert measured <= set(values) and not set(REGIME) - measured & set(values)
        assert values["update_rms"] > 0 and 0 < values["val_loss"] < 5


def test_an_optimizer_that_divides_by_nothing_is_calibrated_judged_and_shown(capsys):
    """From the command line: stored, and with a verdict that speaks of what was measured."""
    command = ["calibrate", "--task", "digits", "--optimizer", "sgd", "--lr", "0.05", "--momentum", "0.9", "--target", "16",
               "--samples", "320", "--warm-samples", "160", "--seeds", "3", "--device", "cpu", "--wait", "--json"]
    assert main(command) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["state"] == "DONE"
    arms = {arm["name"]: arm["config"] for arm in found["plan"]["arms"]}
    assert {name: arms[name]["lr"] for name in arms} == pytest.approx(
        {"base": 0.05, "scaled": 0.1, "unscaled": 0.05, "sqrt lr": 0.05 * 2**0.5})
    assert {arm["name"] for arm in found["plan"]["arms"] if arm["group"] == "control"} == {"unscaled", "sqrt lr"}
    assert main(["runs", "show", found["id"]]) == 0 and "sgd" in capsys.readouterr().out
