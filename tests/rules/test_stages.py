"""A batch ramp: every stage is the rule from the base, and the stages together are the plan."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sqrtscale.rules import FieldError, TrainingConfig, scale
from sqrtscale.rules.stages import stages

BASE = TrainingConfig("adamw", 64, {"lr": 3e-4, "beta1": 0.95, "beta2": 0.999}, total_steps=1000)
plans = st.lists(st.tuples(st.integers(1, 10_000), st.integers(10_000, 10**9)), min_size=1, max_size=6)


def test_a_ramp_in_numbers():
    one, two, three = stages(BASE, [(64, 6400), (128, 1300), (32, 3200)])
    assert [(s.batch, s.kappa, s.change, s.first_sample, s.samples, s.steps) for s in (one, two, three)] == [
        (64, 1, 1, 0, 6400, 100), (128, 2, 2, 6400, 1300, 10), (32, 0.5, 0.25, 7700, 3200, 100)]
    assert [s.surplus for s in (one, two, three)] == [0, -20, 0]
    assert two.scaled.config["beta1"] == 0.9 and two.scaled.config.total_steps == 500


@given(plans, st.sampled_from(["linear", "half-life"]))
def test_every_stage_is_the_rule_from_the_base_and_the_changes_multiply(plan, form):
    found = stages(BASE, plan, form)
    changed = seen = 0
    for stage, (batch, samples) in zip(found, plan, strict=True):
        changed = (changed or 1) * stage.change
        assert stage.scaled == scale(BASE, batch, form)
        assert changed == pytest.approx(stage.kappa) and stage.kappa == batch / 64
        assert (stage.first_sample, stage.samples) == (seen, samples)
        assert abs(stage.surplus) <= batch / 2 and stage.steps >= 1
        seen += samples


@given(plans, st.floats(0.1, 1e6))
def test_with_a_noise_scale_every_stage_is_the_noise_aware_transfer_and_the_second_moments_multiply(plan, noise):
    q = 1.0
    for stage, (batch, _) in zip(stages(BASE, plan, "half-life", noise_scale=noise), plan, strict=True):
        q *= stage.excess
        assert stage.scaled == scale(BASE, batch, "half-life", noise_scale=noise)
        assert q / stage.kappa == pytest.approx((1 + noise / batch) / (1 + noise / 64))  # v at rest, over that of the base


@pytest.mark.parametrize("name", ["sgd", "rmsprop_centered"])
def test_where_no_mean_gradient_is_in_a_second_moment_a_noise_scale_moves_none(name):
    assert stages(TrainingConfig(name, 64, {"lr": 1e-3}), [(256, 25600)], noise_scale=8.0)[0].excess == 1


def test_momentum_form_reaches_every_stage():
    base = TrainingConfig("rmsprop", 8, {"momentum": 0.9})
    assert stages(base, [(16, 1600)], momentum_form="scaled")[0].scaled.config["momentum"] == 0.8


def test_plain_types():
    (stage,) = stages(BASE, [[1024, 102400]])
    found = json.loads(json.dumps(stage.as_dict()))
    assert found["scaled"]["lr"] == 0.0012 and found["scaled"]["betas"][1] == 0.984 and found["steps"] == 100


@pytest.mark.parametrize("plan, message", [
    ([], "stages = '0 stages' is no plan: give from 1 to 1000 stages"),
    ("64:100", "stages = '64:100' is no plan"),
    (None, "stages = None is no plan"),
    ([64], "stages = 64 is no plan: give a batch and its samples"),
    ([(64, 100, 1)], "stages = .* is no plan"),
    ([(0, 100)], "batch = 0 is not allowed: give a whole number from 1"),
    ([(64, 1.5)], r"samples = 1\.5 is not allowed"),
    ([(64, "many")], "samples = 'many' is not allowed"),
    ([(64, 31)], "samples = 31 is less than one step of batch 64: give at least 64"),
    ([(64, 1)] * 1001, "stages = '1001 stages'"),
])
def test_plans_that_are_none(plan, message):
    with pytest.raises(FieldError, match=message):
        stages(BASE, plan)


def test_a_stage_beyond_the_linear_form_says_so():
    (stage,) = stages(BASE, [(6400, 64000)])
    assert not stage.scaled.complete and any("half-life" in warning for warning in stage.scaled.warnings)
