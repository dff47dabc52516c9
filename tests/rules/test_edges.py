"""Numbers at the edges of floating point and things that are no numbers: the right number, or one line that says what to do."""

from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from odd import LONG, NO_NAMES, NO_NUMBERS, of_type, one_line, refused
from strategies import configurations, forms, momentum_forms

from sqrtscale.rules import FAMILIES, LIBRARIES, FieldError, ParameterGroup, TrainingConfig, family, scale
from sqrtscale.rules.alternatives import alternatives
from sqrtscale.rules.batch import Batch, nearest, ways_to
from sqrtscale.rules.clock import curve, lr_factor
from sqrtscale.rules.forecast import forecast
from sqrtscale.rules.reduction import averaged
from sqrtscale.rules.stages import stages
from sqrtscale.rules.translate import translate
from sqrtscale.rules.validity import bf16_state_warning, check, decays, half_life, largest_batch, largest_kappa


@pytest.mark.parametrize("value", NO_NUMBERS, ids=of_type)
def test_what_is_no_number_is_refused_in_one_line(value):
    config = TrainingConfig("adam", 8, total_steps=10)
    for name, fields in (("adam", ("lr", "beta1", "eps", "weight_decay")), ("rmsprop", ("momentum", "alpha"))):
        for field in fields:
            refused(TrainingConfig, name, 8, {field: value})
            refused(TrainingConfig, name, 8, groups=(ParameterGroup("head", {field: value}),))
            refused(TrainingConfig.from_dict, {"optimizer": name, "batch_size": 8, field: value})
    for field in ("total_steps", "schedule", "warmup_fraction", "milestones", "gamma_per_step", "min_lr", "ema_decay",
                  "clip_norm", "loss_reduction", "eval_interval"):
        if value is not None:  # left out
            refused(TrainingConfig, "adam", 8, run={field: value})
    refused(TrainingConfig, "adam", value)
    for call in (scale, decays, alternatives):
        refused(call, config, value)
    refused(lr_factor, config, value)
    refused(curve, config, value)
    for plan in ([(value, 100)], [(8, value)], value, [value]):
        refused(stages, config, plan)
    for parts in ((value, 1, 1), (1, value, 1), (1, 1, value)):
        refused(Batch, *parts)
        refused(ways_to, *parts)
        refused(nearest, *parts)
    refused(half_life, value, 8)
    refused(half_life, 0.9, value)
    refused(bf16_state_warning, value)
    refused(forecast, (value, 0.9), (0.9, 0.9))
    if value is not None:  # left out
        refused(alternatives, config, 16, value)


@pytest.mark.parametrize("name", NO_NAMES, ids=of_type)
def test_what_is_no_name_is_refused_in_one_line(name):
    config = TrainingConfig("adam", 8)
    refused(family, name)
    refused(TrainingConfig, name, 8)
    refused(scale, config, 16, name)
    refused(scale, config, 16, "linear", name)
    refused(translate, config, name)
    refused(TrainingConfig, "adam", 8, run={"schedule": name} if name is not None else {"schedule": 0})


@pytest.mark.parametrize("value", NO_NAMES, ids=of_type)
def test_what_is_no_table_or_list_is_refused_in_one_line(value):
    if value is not None and not isinstance(value, dict):
        refused(TrainingConfig, "adam", 8, value)
        refused(TrainingConfig, "adam", 8, run=value)
        refused(TrainingConfig, "adam", 8, groups=(ParameterGroup("head", value),))
        refused(TrainingConfig.from_dict, value)
    refused(TrainingConfig, "adam", 8, groups=(value,))
    if value is not None and not (isinstance(value, (tuple, list, set)) and not value):  # no groups at all
        refused(TrainingConfig, "adam", 8, groups=value)
        refused(TrainingConfig.from_dict, {"optimizer": "adam", "batch_size": 8, "groups": value})
    if not isinstance(value, str):
        refused(TrainingConfig, "adam", 8, groups=(ParameterGroup(value, {}),))
        refused(TrainingConfig.from_dict, {"optimizer": "adam", "batch_size": 8, "groups": [{"name": value}]})
    refused(TrainingConfig.from_dict, {"optimizer": "adam", "batch_size": 8, "betas": value})


def test_names_of_fields_are_shown_cut_and_in_one_line():
    for name in ("x" * 10**5, "a\nb", 5, None, math.nan, LONG, ("a",)):
        refused(TrainingConfig, "adam", 8, {name: 1.0})
        refused(TrainingConfig, "adam", 8, run={name: 1.0})
        refused(TrainingConfig, "adam", 8, groups=(ParameterGroup("a\nb" * 100, {name: 1.0}),))


@pytest.mark.parametrize("value, number", [
    (np.float32(0.5), 0.5), (np.float64(0.1), 0.1), (np.int64(2), 2.0), (np.uint8(2), 2.0), (Decimal("0.1"), 0.1),
    (Fraction(1, 10), 0.1), (Fraction(LONG, 10 * LONG), 0.1), (np.longdouble("0.5"), 0.5), (2, 2.0)])
def test_every_kind_of_number_is_a_number(value, number):
    """As a Python float, so that JSON takes it."""
    config = TrainingConfig("adam", np.int32(8), {"lr": value}, Decimal(16), 2.0, {"clip_norm": value})
    assert config["lr"] == config.run["clip_norm"] == number and type(config["lr"]) is float
    assert (config.batch_size, config.total_steps, config.warmup_steps) == (8, 16, 2) and type(config.batch_size) is int
    assert scale(config, Fraction(32)).config == scale(TrainingConfig("adam", 8, {"lr": number}, 16, 2, {"clip_norm": number}),
                                                      32).config


# Anywhere in floating point, its edges more often than not.
anything = st.one_of(st.floats(0, allow_infinity=False),
                     st.sampled_from([0.0, 5e-324, 1e-310, 2.3e-308, 1e-300, 1.0, 1e300, 1.7e308]))
decay = st.one_of(st.floats(0, 1, exclude_max=True), st.sampled_from([0.0, 5e-324, 1e-300, 0.5, 0.9, 0.999, 1 - 2**-53]))
factor = st.one_of(decay.filter(bool), st.just(1.0))
batches = st.one_of(st.integers(1, 10**12), st.integers(0, 12).map(lambda power: 10**power))


@st.composite
def extreme(draw, names=tuple(FAMILIES)):
    """Any family with values from all over floating point."""
    name = draw(st.sampled_from(names))
    above = anything.filter(bool)

    def values():
        return {field: decay if about.is_decay or field == "momentum" else above if field == "lr" else anything
                for field, about in FAMILIES[name].fields.items()}

    run = draw(st.fixed_dictionaries({}, optional={
        "min_lr": anything, "clip_norm": above, "ema_decay": factor, "gamma_per_step": factor,
        "loss_reduction": st.sampled_from(["mean", "sum"]), "schedule": st.sampled_from(["linear", "exponential"]),
        "total_steps": st.integers(10**3, 10**15), "milestones": st.just((1, 10**15)), "eval_interval": st.integers(1, 10**15)}))
    groups = draw(st.lists(st.fixed_dictionaries({}, optional=values()), max_size=1))
    return TrainingConfig(name, draw(batches), draw(st.fixed_dictionaries(values())), run=run,
                          groups=tuple(ParameterGroup("head", one) for one in groups))


def number_or_refusal(call, *arguments, **options):
    """What it gives, or None where it says in one line why it has nothing."""
    try:
        return call(*arguments, **options)
    except FieldError as error:
        assert one_line(error)
        return None


def are_numbers(*values):
    return all(value is None or isinstance(value, str) or (np.all(np.isfinite(value)) and np.all(np.asarray(value) >= 0))
               for value in values)


@given(extreme(), batches, forms, momentum_forms, st.booleans())
def test_a_transfer_has_numbers_or_refuses(config, target, form, momentum_form, correct):
    scaled = number_or_refusal(scale, config, target, form, momentum_form, correct)
    if scaled is not None:
        assert are_numbers(*(value for row in scaled.rows for value in (row.scaled, row.half_life, row.largest_kappa)))
        assert all(text.isprintable() for text in scaled.warnings)
        for row in scaled.rows:  # a value that is not 0 does not vanish, but for a decay that ends just there
            assert row.scaled != 0 or row.base == 0 or row.half_life is not None or row.name == "warmup_steps", row
        number_or_refusal(lambda: scaled.config)
    number_or_refusal(lambda: check(scale(config, target, form, momentum_form)))
    number_or_refusal(largest_kappa, config, momentum_form)
    number_or_refusal(largest_batch, config, momentum_form)
    for one in number_or_refusal(decays, config, target, form, momentum_form) or ():
        assert are_numbers(one.half_life, one.scaled_half_life)


@given(extreme(), batches, st.one_of(st.none(), anything))
@example(TrainingConfig("adam", 10**12), 1, 5e-324)
@example(TrainingConfig("adam", 1), 10**12, 1.7e308)
def test_other_rules_have_numbers_or_refuse(config, target, noise):
    for one in number_or_refusal(alternatives, config, target, noise) or ():
        assert are_numbers(*one.config.hyperparameters.values(), *one.config.run.values())
        assert one.config["lr"] > 0


@given(extreme(), st.sampled_from(tuple(LIBRARIES)))
@example(TrainingConfig("composer_adamw", 8, {"lr": 1e-300, "weight_decay": 1e300}), "pytorch")
@example(TrainingConfig("adamw", 8, {"lr": 1e300, "weight_decay": 1e300}), "composer")
@example(TrainingConfig("rmsprop", 8, {"eps": 1e300}), "keras")
@example(TrainingConfig("keras_rmsprop", 8, {"eps": 5e-324}), "pytorch")
def test_a_translation_has_numbers_or_refuses(config, library):
    found = number_or_refusal(translate, config, library)
    if found is not None:
        assert are_numbers(*found.config.hyperparameters.values())
        back = number_or_refusal(translate, found.config, family(config.optimizer).library)
        if back is not None and back.config.optimizer == config.optimizer:
            assert dict(back.config.hyperparameters) == {
                name: pytest.approx(value, rel=1e-12, abs=0) for name, value in config.hyperparameters.items()}
    number_or_refusal(averaged, config)


@given(extreme(), st.one_of(st.floats(allow_nan=False, allow_infinity=False), st.integers()))
def test_a_schedule_has_numbers_or_refuses(config, step):
    found = number_or_refusal(lr_factor, config, step)
    assert found is None or are_numbers(found)
    if config.total_steps:
        number_or_refusal(curve, config, 3)


@given(extreme(), st.lists(st.tuples(batches, st.integers(1, 10**15)), max_size=3), forms, momentum_forms)
def test_stages_have_numbers_or_refuse(config, plan, form, momentum_form):
    for stage in number_or_refusal(stages, config, plan, form, momentum_form) or ():
        assert are_numbers(*(row.scaled for row in stage.scaled.rows)) and stage.steps >= 1


LENGTHS = ("total_steps", "milestones", "eval_interval")


@given(st.one_of(extreme(), configurations(with_steps=False)), st.one_of(batches, st.integers(1, 4096)), forms, momentum_forms)
@example(TrainingConfig("rmsprop", 1, {"momentum": 0.9}), 10**6, "half-life", "scaled")
@example(TrainingConfig("sgd", 10**9, {"momentum": 0.9}), 1, "half-life", "scaled")
@example(TrainingConfig("sgd", 100, {"momentum": 0.999}), 10**7, "half-life", "scaled")
@example(TrainingConfig("adam", 10**9, {"beta1": 1 / 3}), 1, "linear", "kept")
def test_there_and_back_is_the_base_or_refused(config, target, form, momentum_form):
    there = number_or_refusal(lambda: scale(config, target, form, momentum_form).config)
    back = number_or_refusal(lambda: scale(there, config.batch_size, form, momentum_form).config) if there else None
    if back is None:
        return
    if form == "linear" and momentum_form == "scaled":
        # A momentum that reaches 0 there is switched off, and lr / (1 - momentum) comes back without it.
        gone = there.hyperparameters.get("momentum", 1) == 0 != config.hyperparameters.get("momentum", 1)
        gone |= any(one.values.get("momentum", 1) == 0 != was.values.get("momentum", 1)
                    for one, was in zip(there.groups, config.groups, strict=True))
        if gone:
            return
    pairs = [(back.hyperparameters, config.hyperparameters), (back.run, config.run),
             *((one.values, was.values) for one, was in zip(back.groups, config.groups, strict=True))]
    for values, base in pairs:
        for name, value in base.items():
            if name in LENGTHS or isinstance(value, str):
                continue
            tolerance = 1e-9 if form == "linear" and name in ("beta1", "beta2", "alpha", "momentum") else 0
            assert math.isclose(values[name], value, rel_tol=1.0001e-9, abs_tol=tolerance), name


@pytest.mark.parametrize("kappa", [10**6, 10**9, 10**12])
@pytest.mark.parametrize("name, momentum", [("rmsprop", 0.9), ("sgd", 0.999), ("keras_rmsprop", 0.99)])
def test_a_scaled_momentum_by_half_life_says_where_it_ends(name, momentum, kappa):
    config = TrainingConfig(name, 1, {"momentum": momentum} | ({} if name == "sgd" else {"alpha": 0.0}))
    with pytest.raises(FieldError, match=r"^lr = .* moves with momentum = 0\.9+, which rounds to .* at kappa = 1e\+"):
        scale(config, kappa, "half-life", "scaled")
    assert scale(config, kappa, "half-life", "kept").config["momentum"] == momentum
