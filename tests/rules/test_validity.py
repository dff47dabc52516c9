"""Ranges against simulated forgetting and against the transfer itself, and what a check finds."""

import math

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from strategies import configurations, momentum_forms

from sqrtscale.rules import FAMILIES, FieldError, ParameterGroup, TrainingConfig, scale
from sqrtscale.rules.forecast import forecast
from sqrtscale.rules.validity import bf16_state_warning, check, decays, half_life, largest_batch, largest_kappa


@pytest.mark.parametrize("beta, batch", [(0.9, 8), (0.999, 1), (0.5, 64), (0.95, 256)])
def test_after_a_half_life_half_is_forgotten(beta, batch):
    """A unit put into the average, decayed step by step, crosses one half within the step that the half-life names."""
    left, samples = 1.0, 0
    while left > 0.5:
        left, samples = left * beta, samples + batch
    assert samples - batch <= half_life(beta, batch) <= samples * (1 + 1e-12)
    assert half_life(0.0, 8) == 0


def test_half_lives_in_both_forms():
    config = TrainingConfig("adam", 8, {"beta1": 0.9, "beta2": 0.999})
    linear, kept = decays(config, 64), decays(config, 64, "half-life")
    assert [(one.name, one.base, one.scaled) for one in linear] == [("beta1", 0.9, 0.2), ("beta2", 0.999, 0.992)]
    assert [(one.largest_kappa, one.largest_batch) for one in linear] == [(10, 80), (1000, 8000)]
    assert linear[1].scaled_half_life == pytest.approx(linear[1].half_life, rel=0.005)  # to first order
    assert linear[0].scaled_half_life == pytest.approx(linear[0].half_life * math.log(0.9) / math.log(0.2) * 8)
    for one in kept:
        assert one.scaled_half_life == pytest.approx(one.half_life, rel=1e-12)
    out = decays(config, 88)[0]
    assert out.scaled is None and out.scaled_half_life is None


@pytest.mark.parametrize("betas, batch, kappa, largest", [
    ((0.9, 0.999), 256, 10, 2560), ((0.95, 0.99), 7, 20, 140), ((0.98, 0.95), 32, 20, 640), ((0.999, 0.9999), 1, 1000, 1000),
    ((0.93, 0.999), 100, 100 / 7, 1428), ((0.0, 0.999), 64, 1, 64),
])
def test_the_range_is_that_of_the_shortest_average(betas, batch, kappa, largest):
    config = TrainingConfig("adamw", batch, {"beta1": betas[0], "beta2": betas[1]})
    assert largest_kappa(config) == pytest.approx(kappa, rel=1e-12) and largest_batch(config) == largest


@given(configurations(with_steps=False), momentum_forms)
def test_the_largest_batch_is_the_last_with_numbers(config, momentum_form):
    try:
        largest = largest_batch(config, momentum_form)
        if largest is None:
            assert largest_kappa(config, momentum_form) == math.inf
            assert config.optimizer == "sgd" and (momentum_form == "kept" or not any(
                one.get("momentum", 0) for one in (config.hyperparameters, *(group.values for group in config.groups))))
            return
        assume(largest < 10**12)
        inside, beyond = (scale(config, size, momentum_form=momentum_form) for size in (largest, largest + 1))
    except FieldError as error:  # out of the range of floating-point numbers
        assert "kappa = " in str(error)
        return
    assert inside.complete and not beyond.complete


def test_groups_and_a_scaled_momentum_count():
    config = TrainingConfig("rmsprop", 8, {"alpha": 0.999, "momentum": 0.9}, groups=(ParameterGroup("head", {"alpha": 0.8}),))
    assert [(one.group, one.name) for one in decays(config, 16)] == [("", "alpha"), ("head", "alpha")]
    assert [(one.group, one.name) for one in decays(config, 16, momentum_form="scaled")] == [
        ("", "alpha"), ("", "momentum"), ("head", "alpha")]
    assert largest_batch(config) == 40  # the head's
    assert largest_batch(TrainingConfig("rmsprop", 8, {"alpha": 0.999, "momentum": 0.9}), "scaled") == 80
    assert largest_batch(TrainingConfig("sgd", 8, {"momentum": 0.9}), "scaled") == 80


@pytest.mark.parametrize("name", FAMILIES)
def test_nothing_is_out_of_range_close_to_the_base(name):
    fields = FAMILIES[name].fields
    config = TrainingConfig(name, 256, {field: 0.999 for field in ("beta2", "alpha") if field in fields}, 10_000, 500)
    assert check(scale(config, 512)) == check(scale(config, 128)) == check(scale(config, 256)) == ()


@pytest.mark.parametrize("config, target, said", [
    (TrainingConfig("adam", 8, {"beta2": 0.999}), 96, ["beta1: 1 - kappa (1 - beta1) = -0.2 is not a decay rate."]),
    (TrainingConfig("adam", 8, {"beta2": 0.99}), 72, []),
    (TrainingConfig("adam", 8, {"beta2": 0.98}), 48, ["beta2 = 0.88 at batch 48 averages over 8.3 steps"]),
    (TrainingConfig("adam", 48, {"beta1": 0.4, "beta2": 0.88}), 8, ["beta2 = 0.88 at batch 48 averages over 8.3 steps"]),
    (TrainingConfig("rmsprop", 8, {"alpha": 0.99}), 256, ["alpha = 0.68 at batch 256", "times as far per sample as the base"]),
    (TrainingConfig("adam", 8, {"beta2": 0.999}, 3), 64, ["total_steps: 3 / kappa = 0.375 is less than one step"]),
    (TrainingConfig("sgd", 8, run={"milestones": (1, 2)}), 64, ["milestones: Milestones fall together"]),
    (TrainingConfig("adam", 8, groups=(ParameterGroup("head", {"beta2": 0.95}),)), 64,
     ["head, beta2 = 0.6 at batch 64 averages over 2.5 steps"]),
    (TrainingConfig("adam", 8, groups=(ParameterGroup("head", {"beta2": 0.8}),)), 64,
     ["head, beta2: 1 - kappa (1 - beta2) = -0.6 is not a decay rate."]),
    (TrainingConfig("adam", 8, {"beta2": 0.5}), 8, []),  # nothing changes
])
def test_a_check_names_what_is_out_of_range(config, target, said):
    found = check(scale(config, target))
    assert len(found) == len(said) and all(part in text for part, text in zip(said, found, strict=True)), found


def test_the_half_life_form_is_never_without_a_decay():
    config = TrainingConfig("adam", 8, {"beta2": 0.9999})
    assert check(scale(config, 8 * 100)) != () and check(scale(config, 8 * 100, "half-life")) == ()


@given(st.sampled_from([0.0, 0.5, 0.9]), st.floats(0.9, 0.9999), st.integers(2, 64))
def test_the_limit_of_the_drift_is_ten_per_cent(beta1, beta2, kappa):
    found = check(scale(TrainingConfig("adam", 1, {"beta1": beta1, "beta2": beta2}), kappa, "half-life"))
    drift = forecast((beta1, beta2), (beta1**kappa, beta2**kappa)).drift
    assert any(f"moves {drift:.2f} times as far" in text for text in found) == (abs(drift - 1) > 0.1)


def test_a_corrected_lr_settles_the_drift():
    config = TrainingConfig("rmsprop", 8, {"alpha": 0.99})
    short, drift = check(scale(config, 256))
    assert "times as far" in drift and check(scale(config, 256, correct_lr=True)) == (short,)


def smallest_left(beta2, steps=3000):
    """What a second moment in bfloat16 falls to at least, as a share of its start, under no gradient: torch's own update."""
    start = torch.logspace(-12, 0, 4000, dtype=torch.float64).to(torch.bfloat16)
    v, nothing = start.clone(), torch.zeros_like(start)
    for _ in range(steps):
        v.mul_(beta2).addcmul_(nothing, nothing, value=1 - beta2)
    return (v.double() / start.double()).min().item()


@pytest.mark.parametrize("beta2, stuck", [
    (0.9999, True), (0.999, True), (0.9975, True), (1 - 0.98 * 2**-8, True), (1 - 2**-8, False), (0.995, False), (0.95, False)])
def test_a_second_moment_in_bfloat16_is_stuck_where_it_is_said(beta2, stuck):
    assert (smallest_left(beta2) > 0.5) == stuck and beta2**3000 < 0.75  # exact arithmetic falls always
    said = bf16_state_warning(beta2)
    assert bool(said) == stuck
    if stuck:
        assert f"1 - beta2 = {1 - beta2:.3g} is lost" in said and "2^-8 = 0.0039" in said and "float32" in said


def test_a_decay_that_is_none_has_no_warning_but_an_error():
    with pytest.raises(FieldError, match=r"^beta2 = 1\.5 is not a decay rate"):
        bf16_state_warning(1.5)
