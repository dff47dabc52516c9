"""The rule by simulation: both forms of momentum, averages of the weights, clipping, and what is known to fail."""

import math

import numpy as np
import pytest
import torch
from chains import KAPPA, LARGE, SMALL, Start, chains, disagreement, drift_ratio, trained
from updates import average

from sqrtscale.rules import FAMILIES, UNDERIVED, TrainingConfig, scale

ADAM = {"lr": 0.01, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8}


def with_values(config, **wrong):
    """The same configuration with other values, of hyperparameters or of the run."""
    run = {name: value for name, value in wrong.items() if name not in config.hyperparameters}
    values = dict(config.hyperparameters) | {name: value for name, value in wrong.items() if name not in run}
    return TrainingConfig(config.optimizer, config.batch_size, values, run=dict(config.run) | run)


MOMENTUM = {
    "rmsprop": {"lr": 0.001, "alpha": 0.998, "momentum": 0.9},
    "keras_rmsprop": {"lr": 0.001, "alpha": 0.998, "momentum": 0.9},
    "optax_rmsprop": {"lr": 0.001, "alpha": 0.998, "momentum": 0.9},
    "timm_rmsproptf": {"lr": 0.001, "alpha": 0.998, "momentum": 0.9},
    "sgd": {"lr": 0.001, "momentum": 0.9},
}
AFTER_MOMENTUM = 1  # a kept momentum remembers kappa times more samples: it must be short against what is compared


@pytest.mark.parametrize("name", MOMENTUM)
def test_both_forms_of_momentum_are_right_and_their_mixtures_wrong(name):
    base = TrainingConfig(name, SMALL, MOMENTUM[name])
    kept, scaled = (scale(base, LARGE, momentum_form=form).config for form in ("kept", "scaled"))
    for right, first in ((kept, AFTER_MOMENTUM), (scaled, 0)):
        difference, numbers = disagreement(base, right, first=first)
        assert difference < 1, f"{name}, momentum = {right['momentum']}: {numbers}"
    for wrong in (with_values(kept, momentum=scaled["momentum"]), with_values(kept, lr=scaled["lr"]),
                  with_values(kept, lr=kept["lr"] * math.sqrt(KAPPA)), with_values(kept, lr=kept["lr"] / math.sqrt(KAPPA))):
        difference, numbers = disagreement(base, wrong, first=AFTER_MOMENTUM)
        assert difference > 2, f"{name} with {dict(wrong.hyperparameters)} passes for right: {numbers}"


@pytest.mark.parametrize("name", MOMENTUM)
def test_beside_a_momentum_by_half_life_lr_moves_by_what_momentum_does(name):
    """0.9^8 is 0.43, so 1 - momentum grows by 5.7 and not by kappa = 8."""
    base = TrainingConfig(name, SMALL, MOMENTUM[name])
    scaled = scale(base, LARGE, "half-life", "scaled").config
    assert scaled["lr"] / scale(base, LARGE).config["lr"] == pytest.approx((1 - 0.9**KAPPA) / (1 - 0.9), rel=1e-12)
    difference, numbers = disagreement(base, scaled)
    assert difference < 1, numbers
    for wrong in (scale(base, LARGE, momentum_form="scaled").config["lr"], scale(base, LARGE).config["lr"]):
        difference, numbers = disagreement(base, with_values(scaled, lr=wrong))
        assert difference > 1.5, f"{name} with lr = {wrong} passes for right: {numbers}"


RHO = 0.9995


@pytest.mark.parametrize("name", ["adam", "rmsprop"])
def test_an_average_of_the_weights_keeps_its_memory_in_samples(name):
    base = TrainingConfig(name, SMALL, {"lr": 0.01, ("beta2" if name == "adam" else "alpha"): 0.998}, run={"ema_decay": RHO})
    scaled = scale(base, LARGE).config
    difference, numbers = disagreement(base, scaled)
    assert difference < 1, numbers
    for wrong in (RHO, RHO ** math.sqrt(KAPPA), RHO ** (KAPPA**1.5)):
        difference, numbers = disagreement(base, with_values(scaled, ema_decay=wrong))
        assert difference > 2, f"ema_decay = {wrong} passes for right: {numbers}"


@pytest.mark.parametrize("name, clip", [("sgd", 0.7), ("adam", 0.2), ("rmsprop", 0.2)])
def test_a_clip_of_the_gradient_norm_that_acts_falls_as_the_noise(name, clip):
    """The norm in one dimension is |g|: at clip = 0.7 every second gradient is cut, at 0.2 nearly every one."""
    base = TrainingConfig(name, SMALL, {"lr": 0.01} | ({} if name == "sgd" else {"eps": 0.2}), run={"clip_norm": clip})
    scaled = scale(base, LARGE).config
    difference, numbers = disagreement(base, scaled)
    assert difference < 1, f"{name}: {numbers}"
    for wrong in (clip, clip / KAPPA):
        difference, numbers = disagreement(base, with_values(scaled, clip_norm=wrong))
        assert difference > 1.5, f"{name} with clip_norm = {wrong} passes for right: {numbers}"


def test_the_warm_up_of_nadams_momentum_takes_equal_samples():
    """momentum_decay multiplies steps. It shows where an m far from rest meets a look-ahead that still grows."""
    base = TrainingConfig("nadam", SMALL, ADAM | {"beta1": 0.995, "beta2": 0.998, "eps": 1.0, "momentum_decay": 0.05})
    age = 192  # steps after which v has forgotten a share beta2^age of its zero start
    start = Start(m=0.6, v=1 - 0.998**age, age=age)
    scaled = scale(base, LARGE).config
    difference, numbers = disagreement(base, scaled, start)
    assert difference < 1, numbers
    for wrong in (base["momentum_decay"], base["momentum_decay"] * KAPPA**2):
        difference, numbers = disagreement(base, with_values(scaled, momentum_decay=wrong), start)
        assert difference > 1.5, f"momentum_decay = {wrong} passes for right: {numbers}"


@pytest.mark.parametrize("name, betas", [("adam", {"beta1": 0.95, "beta2": 0.99}), ("rmsprop", {"alpha": 0.98})])
def test_a_corrected_lr_restores_the_drift(name, betas):
    """What the rule loses where averages are short; the signal takes another half a per cent of the large batch's v."""
    base = TrainingConfig(name, SMALL, {"lr": 0.01} | betas)
    plain, corrected = (drift_ratio(chains(base), chains(scale(base, LARGE, correct_lr=on).config)) for on in (False, True))
    assert plain[0] < 0.97 and abs(corrected[0] - 0.995) < 0.005 + 2 * corrected[1], f"{plain} without, {corrected} with"


@pytest.mark.parametrize("warm, low, high", [(5_120, 0.94, 0.965), (40_960, 0.92, 0.94)])
def test_amsgrad_falls_behind_and_further_the_longer_it_runs(warm, low, high):
    """With beta2 = 0.999 and kappa = 8, against Adam: the largest v so far is of a v that fluctuates more."""
    start, ratios = Start(warm=warm), []
    for name in ("adam", "amsgrad"):
        base = TrainingConfig(name, SMALL, ADAM)
        ratios.append(drift_ratio(chains(base, start), chains(scale(base, LARGE).config, start)))
    (adam, _), (amsgrad, error) = ratios
    assert adam == pytest.approx(0.995, abs=0.005)
    assert low < amsgrad / adam - 2 * error and amsgrad / adam + 2 * error < high, f"{amsgrad / adam:.3f} +- {error:.3f}"
    assert "4% slower after 5,000 steps and 8% slower after 100,000" in FAMILIES["amsgrad"].notes[0]


def adamax(x, g, state, h, k):
    """torch.optim.Adamax: the denominator is a maximum that decays."""
    m = average(state, "m", h["beta1"], g)
    state["u"] = np.maximum(h["beta2"] * state.get("u", 0.0), np.abs(g) + h["eps"])
    return x - h["lr"] / (1 - h["beta1"] ** k) * m / state["u"]


def test_this_adamax_is_that_of_torch():
    weights = torch.nn.Parameter(torch.linspace(-1, 1, 5, dtype=torch.float64))
    optimizer = torch.optim.Adamax([weights], lr=0.01, betas=(0.9, 0.99), eps=0.01)
    x, state = weights.detach().numpy().copy(), {}
    for k in range(1, 20):
        g = np.cos(np.arange(5) * k) + x
        weights.grad = torch.tensor(g)
        optimizer.step()
        x = adamax(x, g, state, {"lr": 0.01, "beta1": 0.9, "beta2": 0.99, "eps": 0.01}, k)
        np.testing.assert_allclose(x, weights.detach().numpy(), rtol=1e-12)


@pytest.mark.parametrize("beta2, warm, too_fast", [(0.999, 5_120, 0.256), (0.9999, 40_960, 0.190)])
def test_adamax_does_not_follow_the_rule(beta2, warm, too_fast):
    """Its fields moved as Adam's, it goes too far: a maximum over fewer steps falls by more than sqrt(kappa)."""
    base = TrainingConfig("adam", SMALL, ADAM | {"beta2": beta2})
    pair = (base, scale(base, LARGE).config)
    ratio, error = drift_ratio(*(trained(adamax, dict(one.hyperparameters), one.batch_size, Start(warm=warm)) for one in pair))
    assert ratio == pytest.approx(1 + too_fast, abs=4 * error + 0.01)
    assert "14 to 26% too far" in UNDERIVED["adamax"].known
