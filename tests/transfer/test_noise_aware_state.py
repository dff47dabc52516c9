"""The noise-aware transfer in the middle of a run: against ``sqrtscale.scale``, and against training at the new batch."""

import copy
import math
from fractions import Fraction

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transfer.optimized import CASES, advance, assert_same, flat, trained

from sqrtscale.rules import FieldError, TrainingConfig, scale
from sqrtscale.transfer.optimizer import transfer_optimizer_, transfer_state_dict

BATCH, TARGET = 64, 256


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("base, target", [(256, 1024), (96, 256), (1024, 256)])
@pytest.mark.parametrize("noise", [5.0, 567.0])
@pytest.mark.parametrize("momentum_form", ["kept", "scaled"])
def test_groups_are_exactly_what_scale_says(case, base, target, noise, momentum_form):
    _, optimizer = trained(case, 2)
    before = dict(optimizer.param_groups[0])
    before["beta1"], before["beta2"] = before.get("betas", (None, None))
    family = "rmsprop_centered" if before.get("centered") else CASES[case][2]
    fields = TrainingConfig(family, base).hyperparameters
    config = TrainingConfig(family, base, {name: before[name] for name in fields})
    expected = scale(config, target, "half-life", momentum_form, noise_scale=noise).config
    transfer_optimizer_(optimizer, (base, target), "half-life", momentum_form, noise_scale=noise)
    after = dict(optimizer.param_groups[0])
    after["beta1"], after["beta2"] = after.get("betas", (None, None))
    assert {name: after[name] for name in fields} == dict(expected.hyperparameters)


@pytest.mark.parametrize("name", ["NAdam", "RAdam"])
def test_a_decoupled_decay_moves_as_that_of_adamw(name):
    optimizer = getattr(torch.optim, name)([torch.nn.Parameter(torch.ones(2))], weight_decay=0.1, decoupled_weight_decay=True)
    transfer_optimizer_(optimizer, (8, 32), noise_scale=56.0)  # q = 88 / 64
    assert optimizer.param_groups[0]["weight_decay"] == pytest.approx(0.1 * math.sqrt(4 / 1.375))


pairs = st.tuples(st.integers(8, 512), st.integers(8, 512)).filter(lambda pair: 1 / 9 < pair[0] / pair[1] < 9)


@given(st.sampled_from(sorted(CASES)), pairs, st.floats(1e-2, 1e6), st.sampled_from(["kept", "scaled"]))
def test_there_and_back_is_where_it_was(case, pair, noise, momentum_form):
    _, optimizer = trained(case, 7)
    before = copy.deepcopy(flat(optimizer))
    try:
        transfer_optimizer_(optimizer, pair, "half-life", momentum_form, noise_scale=noise)
        transfer_optimizer_(optimizer, pair[::-1], "half-life", momentum_form, noise_scale=noise)
    except FieldError as error:  # a decay so near to 1 that it rounds to it, or a momentum scaled to it
        assert "momentum" in str(error) or "beta" in str(error)
        return
    assert_same(flat(optimizer), before, rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("case", CASES)
def test_a_large_noise_scale_is_the_transfer_without_one(case):
    _, aware = trained(case)
    _, rule = trained(case)
    transfer_optimizer_(aware, (BATCH, TARGET), "half-life", noise_scale=1e12)
    transfer_optimizer_(rule, TARGET / BATCH, "half-life")
    assert_same(flat(aware), flat(rule), rtol=1e-8, atol=0)


SIZE = 20_000
MADE = {  # name -> the optimizer of torch, with a second moment that averages over 100 steps
    "adam": lambda weights: torch.optim.Adam([weights], lr=1e-6, betas=(0.9, 0.99)),
    "adamw": lambda weights: torch.optim.AdamW([weights], lr=1e-6, betas=(0.9, 0.99)),
    "rmsprop": lambda weights: torch.optim.RMSprop([weights], lr=1e-6, alpha=0.99, momentum=0.8),
    "centered": lambda weights: torch.optim.RMSprop([weights], lr=1e-6, alpha=0.99, momentum=0.8, centered=True),
}


def settled(name, mean, batch, steps, move=None):
    """An optimizer and its state at rest at a batch: gradients of a mean for each coordinate, noise of variance 1 a sample."""
    weights, generator = torch.nn.Parameter(torch.zeros(SIZE, dtype=torch.float64)), torch.Generator().manual_seed(batch)
    optimizer = MADE[name](weights)
    if move:
        move(optimizer)
    for _ in range(steps):
        weights.grad = mean + torch.randn(SIZE, generator=generator, dtype=mean.dtype) / math.sqrt(batch)
        optimizer.step()
    return optimizer, optimizer.state[weights]


def errors_apart(values, expected):
    """By how many of its standard errors a mean over coordinates differs from what is expected of it."""
    return abs(values.mean().item() - expected) * math.sqrt(SIZE) / values.std().item()


@pytest.mark.parametrize("ratio", [0.1, 1.0, 10.0])
@pytest.mark.parametrize("name", ["adam", "adamw", "rmsprop"])
def test_the_second_moment_is_at_once_where_training_at_the_new_batch_takes_it(name, ratio):
    """b / B = ratio, with a mean gradient that differs between coordinates: v rests at G^2 + S / B. v / kappa is far off."""
    noise = ratio * BATCH
    mean = torch.linspace(0.5, 1.5, SIZE, dtype=torch.float64)
    mean *= (noise * mean.square().mean()) ** -0.5  # so that tr(Sigma) / |G|^2 is the noise scale
    second = "square_avg" if name == "rmsprop" else "exp_avg_sq"

    def move(optimizer):
        transfer_optimizer_(optimizer, (BATCH, TARGET), noise_scale=noise)

    optimizer, entry = settled(name, mean, BATCH, 1000)
    by_kappa = entry[second] / 4
    move(optimizer)
    at_rest = (mean.square().mean() + 1 / TARGET).item()
    assert errors_apart(entry[second], at_rest) < 4 < 50 < errors_apart(by_kappa, at_rest)
    _, there = settled(name, mean, TARGET, 300, move)
    assert errors_apart(entry[second] - there[second], 0.0) < 4


@pytest.mark.parametrize("ratio", [0.1, 1.0, 10.0])
@pytest.mark.parametrize("name", ["rmsprop", "centered"])
def test_a_buffer_of_divided_gradients_follows_what_they_are_divided_by(name, ratio):
    """A centered RMSprop divides by the noise alone, which falls by kappa whatever the noise scale is."""
    noise = ratio * BATCH
    mean = torch.full((SIZE,), noise**-0.5, dtype=torch.float64)

    def move(optimizer):
        transfer_optimizer_(optimizer, (BATCH, TARGET), noise_scale=noise)

    optimizer, entry = settled(name, mean, BATCH, 1000)
    move(optimizer)
    _, there = settled(name, mean, TARGET, 300, move)
    assert entry["momentum_buffer"].mean().item() == pytest.approx(there["momentum_buffer"].mean().item(), rel=0.03)
    if name == "centered":
        variances = [state["square_avg"] - state["grad_avg"].square() for state in (entry, there)]
        assert variances[0].mean().item() == pytest.approx(variances[1].mean().item(), rel=0.03)


def test_what_is_known_of_single_coordinates_goes_before_the_noise_scale_of_all():
    (weights, biases), optimizer = trained("adam")
    v, v2 = (optimizer.state[p]["exp_avg_sq"].clone() for p in (weights, biases))
    transfer_optimizer_(optimizer, (8, 32), signal={weights: 0.01}, noise_scale=56.0)
    torch.testing.assert_close(optimizer.state[weights]["exp_avg_sq"], 0.01 + (v - 0.01) / 4)
    torch.testing.assert_close(optimizer.state[biases]["exp_avg_sq"], v2 * 1.375 / 4)
    assert optimizer.param_groups[0]["lr"] == pytest.approx(3e-4 * math.sqrt(4 * 1.375))


def grouped():
    parameters = [torch.nn.Parameter(torch.ones(2)), torch.nn.Parameter(torch.ones(3)), torch.nn.Parameter(torch.ones(1))]
    optimizer = torch.optim.AdamW([{"params": [p]} for p in parameters], lr=1e-3)
    advance(optimizer, 3)
    return optimizer


def test_parameter_groups_have_noise_scales_of_their_own():
    optimizer = grouped()
    v = [optimizer.state[group["params"][0]]["exp_avg_sq"].clone() for group in optimizer.param_groups]
    transfer_optimizer_(optimizer, (8, 32), noise_scale={1: 56.0, "": 16.0})
    for group, old, q in zip(optimizer.param_groups, v, (2, 1.375, 2), strict=True):
        torch.testing.assert_close(optimizer.state[group["params"][0]]["exp_avg_sq"], old * q / 4)
        assert group["lr"] == pytest.approx(1e-3 * math.sqrt(4 * q)) and group["eps"] == pytest.approx(1e-8 * math.sqrt(q / 4))
    all_named = grouped()
    transfer_optimizer_(all_named, (8, 32), noise_scale={0: 16.0, 1: 56.0, 2: 16.0})
    assert_same(flat(all_named), flat(optimizer))


@pytest.mark.parametrize("kappa, noise, message", [
    (4, 567.0, r"kappa = 4 does not say which batches a noise scale is compared with: give both, \(256, 1024\)"),
    (Fraction(4), {"": 1.0}, "does not say which batches"),
    ((8, 16, 32), None, r"kappa = \(8, 16, 32\) is no pair of batches"),
    ((0, 32), None, "base_batch = 0 is not allowed"),
    ((8, 2.5), 567.0, "target_batch = 2.5 is not allowed"),
    ((1, 10**7), 567.0, "kappa = .* is not allowed"),
    ((8, 32), -1.0, "noise_scale = -1.0 is not a noise scale"),
    ((8, 32), "much", "noise_scale = 'much' is not a noise scale"),
    ((8, 32), {0: math.nan, "": 1.0}, "noise_scale = nan is not a noise scale"),
    ((8, 32), {3: 1.0, "": 1.0}, "noise_scale = 3 is no parameter group: give numbers from 0 to 2"),
    ((8, 32), {"head": 1.0, "": 1.0}, "noise_scale = 'head' is no parameter group"),
    ((8, 32), {0: 1.0, 2: 1.0}, r"noise_scale = \[0, 2\] says nothing of parameter group 1"),
])
def test_nothing_changes_when_a_noise_scale_is_refused(kappa, noise, message):
    optimizer = grouped()
    before = copy.deepcopy(flat(optimizer))
    with pytest.raises(FieldError, match=message):
        transfer_optimizer_(optimizer, kappa, noise_scale=noise)
    assert_same(flat(optimizer), before)
    with pytest.raises(FieldError, match=message):
        transfer_state_dict(optimizer.state_dict(), kappa, "adamw", noise_scale=noise)


@pytest.mark.parametrize("case", CASES)
def test_a_saved_state_moves_as_the_optimizer_does(case):
    _, optimizer = trained(case)
    moved = transfer_state_dict(optimizer.state_dict(), (BATCH, TARGET), CASES[case][0], "half-life", noise_scale=30.0)
    transfer_optimizer_(optimizer, (BATCH, TARGET), "half-life", noise_scale=30.0)
    state = optimizer.state_dict()
    assert str(moved) == str(state)
