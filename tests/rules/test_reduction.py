"""A loss that is summed over the global batch: by hand, by the algebra of the gradient's size, and by simulation."""

from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction

import pytest
from chains import LARGE, SMALL, disagreement
from hypothesis import assume, given
from strategies import batches, configurations, forms, momentum_forms
from test_sde import base_of, start_of
from test_transfer import HALVES, PAIRS, VALUES, config_of, rows_of

from sqrtscale.rules import FAMILIES, FieldError, ParameterGroup, TrainingConfig, scale
from sqrtscale.rules.alternatives import alternatives
from sqrtscale.rules.reduction import averaged, with_gradient

SUM = {"loss_reduction": "sum"}
# Powers of kappa that the B times larger gradient adds, by each library's update equation: g beside sqrt(v) + eps and in the sum
# g + weight_decay theta once, beside v + eps twice, and lr g of SGD needs as much less.
INSIDE = ("keras_rmsprop", "keras_rmsprop_centered", "optax_rmsprop", "timm_rmsproptf")
COUPLED = ("adam", "amsgrad", "nadam", "radam", "rmsprop", "rmsprop_centered", "timm_rmsproptf", "sgd")


def more(name, field):
    if field == "eps":
        return 2 if name in INSIDE else 1
    if field == "weight_decay":
        return int(name in COUPLED)
    return {"eps_root": 2, "lr": -1 if name == "sgd" else 0}.get(field, 0)


@pytest.mark.parametrize("base, target", PAIRS)
@pytest.mark.parametrize("name", FAMILIES)
def test_values_by_decimal_arithmetic(name, base, target):
    kappa, run = Decimal(target) / Decimal(base), {"clip_norm": 0.7, "min_lr": 2e-5}
    mean, summed = (rows_of(scale(config_of(name, base, run=run | also), target)) for also in ({}, SUM))
    for field, halves in HALVES[name].items():
        exact = float(Decimal(VALUES[field]) * kappa.sqrt() ** (halves + 2 * more(name, field)))
        assert summed[field].scaled == pytest.approx(exact, rel=5e-16, abs=0), field
    lowest = Decimal("2e-5") * kappa.sqrt() ** (HALVES[name]["lr"] + 2 * more(name, "lr"))
    assert summed["min_lr"].scaled == pytest.approx(float(lowest), rel=5e-16)
    assert summed["clip_norm"].scaled == pytest.approx(float(Decimal("0.7") * kappa.sqrt()), rel=5e-16)
    assert summed["loss_reduction"].base == summed["loss_reduction"].scaled == "sum"
    for field, row in mean.items():
        if field not in ("clip_norm", "min_lr") and not more(name, field):
            assert summed[field] == row
        elif field != "min_lr":
            assert summed[field].status == "derived by us" and "summed" in summed[field].reason
            assert summed[field].formula != row.formula


@given(configurations(), batches, forms, momentum_forms)
def test_mean_is_what_is_meant_where_nothing_is_said(config, target, form, momentum_form):
    run = {name: value for name, value in config.run.items() if name != "loss_reduction"}
    silent, said = (TrainingConfig(config.optimizer, config.batch_size, config.hyperparameters, config.total_steps,
                                   config.warmup_steps, run | also, config.groups) for also in ({}, {"loss_reduction": "mean"}))
    try:
        found, expected = scale(said, target, form, momentum_form), scale(silent, target, form, momentum_form)
    except FieldError as error:
        assert "kappa = " in str(error)
        return
    assert [row for row in found.rows if row.name != "loss_reduction"] == list(expected.rows)
    assert averaged(silent) is silent and averaged(said) is said


@given(configurations(with_steps=False), batches, forms, momentum_forms)
def test_scaling_the_sum_is_scaling_the_mean_in_units_of_the_batch(config, target, form, momentum_form):
    """Divide by B, scale as an averaged gradient wants it, multiply by B'."""
    config = TrainingConfig(config.optimizer, config.batch_size, config.hyperparameters, run={**config.run, **SUM},
                            groups=config.groups)
    try:
        found = scale(config, target, form, momentum_form).config
        by_the_mean = scale(averaged(config), target, form, momentum_form).config
    except FieldError:
        assume(False)
    expected = with_gradient(by_the_mean, Fraction(target))
    values = [(found.hyperparameters, expected.hyperparameters), (found.run, {**expected.run, **SUM})]
    values += [(one.values, other.values) for one, other in zip(found.groups, expected.groups, strict=True)]
    for one, other in values:
        assert dict(one) == {name: value if isinstance(value, str) else pytest.approx(value, rel=1e-12, abs=0)
                             for name, value in other.items()}


def test_groups_move_with_the_sum():
    groups = (ParameterGroup("head", {"eps": 1e-4, "weight_decay": 0.5, "lr": 0.1}),)
    scaled = scale(TrainingConfig("adam", 8, run=SUM, groups=groups), 32).config
    assert dict(scaled.groups[0].values) == {"lr": 0.2, "eps": 2e-4, "weight_decay": 2.0}


@pytest.mark.parametrize("name", FAMILIES)
def test_base_and_scaled_agree_and_the_rule_of_the_mean_does_not(name):
    """Every field that is compared with the gradient, moved as if that were averaged, shows."""
    base = TrainingConfig(name, SMALL, base_of(name).hyperparameters, run=SUM)
    scaled = scale(base, LARGE).config
    difference, numbers = disagreement(base, scaled, start_of(name))
    assert difference < 1, numbers
    of_the_mean = scale(base_of(name), LARGE).config
    compared = [field for field in FAMILIES[name].fields if more(name, field)]
    for field in compared:
        wrong = TrainingConfig(name, LARGE, {**scaled.hyperparameters, field: of_the_mean[field]}, run=SUM)
        difference, numbers = disagreement(base, wrong, start_of(name))
        assert difference > 1.5, f"{name} with {field} by the rule of the mean passes for right: {numbers}"


@pytest.mark.parametrize("name, clip", [("sgd", 0.7), ("adam", 0.2), ("rmsprop", 0.2)])
def test_a_clip_that_acts_rises_with_the_summed_noise(name, clip):
    values = {"lr": 0.01} | ({} if name == "sgd" else {"eps": 0.2})
    base = TrainingConfig(name, SMALL, values, run={"clip_norm": clip, **SUM})
    scaled = scale(base, LARGE).config
    assert scaled.run["clip_norm"] == pytest.approx(clip * math.sqrt(LARGE))
    difference, numbers = disagreement(base, scaled)
    assert difference < 1, numbers
    for wrong in (clip / math.sqrt(LARGE), clip, clip * LARGE):
        candidate = TrainingConfig(name, LARGE, scaled.hyperparameters, run={"clip_norm": wrong, **SUM})
        difference, numbers = disagreement(base, candidate)
        assert difference > 1.5, f"{name} with clip_norm = {wrong} passes for right: {numbers}"


def test_other_rules_act_on_the_summed_gradient_as_on_the_averaged_one():
    """Linear lr of SGD is no change of lr there; doing nothing is doing nothing; eps and L2 grow with the gradient elsewhere."""
    values = {"lr": 0.5, "momentum": 0.9, "weight_decay": 1e-3}
    found = {one.name: one.config for one in alternatives(TrainingConfig("sgd", 8, values, run={**SUM, "clip_norm": 3.0}), 32)}
    assert dict(found["unscaled"].hyperparameters) == values and found["unscaled"].run["clip_norm"] == 3.0
    assert dict(found["linear lr"].hyperparameters) == {"lr": 0.5, "momentum": 0.9, "weight_decay": 4e-3}
    assert found["sqrt lr"]["lr"] == 0.25 and found["linear lr"].run["clip_norm"] == 12.0
    adam = TrainingConfig("adam", 8, {"lr": 1e-3, "eps": 1e-6, "weight_decay": 1e-2}, run={**SUM, "min_lr": 1e-5})
    linear = next(one.config for one in alternatives(adam, 32) if one.name == "linear lr")
    assert (linear["lr"], linear["eps"], linear["weight_decay"], linear.run["min_lr"]) == (4e-3, 4e-6, 4e-2, 4e-5)


def test_the_average_of_a_sum_that_leaves_floating_point_is_refused():
    with pytest.raises(FieldError, match=r"^eps = 1e-307 leaves the range of floating-point numbers for a gradient 1e-12 times"):
        averaged(TrainingConfig("adam", 10**12, {"eps": 1e-307}, run=SUM))
