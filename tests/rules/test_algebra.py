"""The algebra of the rule: scaling composes, has an inverse and a unit, and keeps the constants of the SDE."""

import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from strategies import batches, configurations, forms

from sqrtscale.rules import FAMILIES, FieldError, TrainingConfig, scale

ULP = 2.0**-53  # half the distance between two numbers just below 1
FACTORS = ("ema_decay", "gamma_per_step")
without_steps = configurations(with_steps=False)  # a rounded length has no inverse


def complete(config, target, form="linear", momentum_form="kept"):
    """The scaled configuration where every field has a number."""
    try:
        scaled = scale(config, target, form, momentum_form)
    except FieldError as error:  # out of the range of floating-point numbers
        assert "kappa = " in str(error), error
        assume(False)
    assume(scaled.complete)
    return scaled.config


def assert_same(one, other, through):
    """Equal to 1e-12; decays up to what one rounding of beta at the batch ``through`` becomes on the way from there."""
    assert (one.optimizer, one.batch_size) == (other.optimizer, other.batch_size)
    grown = 4 * ULP * max(1.0, one.batch_size / through)
    fields = FAMILIES[one.optimizer].fields
    pairs = [(one.hyperparameters, other.hyperparameters), (one.of_the_run(), other.of_the_run()),
             *((a.values, b.values) for a, b in zip(one.groups, other.groups, strict=True))]
    for values, expected in pairs:
        assert set(values) == set(expected)
        for name, value in values.items():
            if name in fields and fields[name].is_decay:
                assert abs(value - expected[name]) <= 1e-12 * (1 - expected[name]) + grown, name
            elif name in ("schedule", "loss_reduction"):
                assert value == expected[name]
            else:
                assert value == pytest.approx(expected[name], rel=1e-12 + (grown if name in FACTORS else 0), abs=0), name


@given(without_steps, batches, batches)
def test_scaling_twice_is_scaling_once(config, middle, target):
    once = complete(config, target)
    assert_same(complete(complete(config, middle), target), once, through=middle)


@given(configurations(with_steps=False, with_groups=False), batches, st.integers(1, 64), st.integers(1, 64))
def test_half_lives_compose_too(config, base, up, further):
    """Only where beta stays away from 0: a small number raised to a power below 1 would enlarge its rounding."""
    decays = [config[name] for name, field in FAMILIES[config.optimizer].fields.items() if field.is_decay]
    assume(all(beta > 0.5 for beta in decays))
    config = TrainingConfig(config.optimizer, base, config.hyperparameters, run=config.run)
    once = complete(config, base * up * further, "half-life")
    twice = complete(complete(config, base * up, "half-life"), base * up * further, "half-life")
    assert_same(twice, once, through=base * up)


@given(configurations(), forms, st.sampled_from(["kept", "scaled"]))
def test_scaling_by_one_changes_nothing(config, form, momentum_form):
    scaled = scale(config, config.batch_size, form, momentum_form)
    values = {group.name: dict(group.values) for group in scaled.config.groups}
    for group in config.groups:  # which may also name the lr that it takes from the optimizer
        assert values[group.name] == {"lr": config["lr"]} | dict(group.values) or values[group.name] == dict(group.values)
    assert TrainingConfig.from_dict({**scaled.config.as_dict(), "groups": config.as_dict().get("groups")}) == config
    assert scaled.kappa == 1 and scaled.warnings == ("The target batch equals the base batch: nothing changes.",)


@given(without_steps, batches)
def test_there_and_back(config, target):
    assert_same(complete(complete(config, target), config.batch_size), config, through=target)


@given(configurations(names=[name for name in FAMILIES if "momentum" in FAMILIES[name].fields], with_steps=False,
                      with_groups=False), batches)
def test_the_way_back_with_a_scaled_momentum(config, target):
    """Where momentum does not reach 0 on the way: there it says no more what it was."""
    there = complete(config, target, "linear", "scaled")
    assume((there["momentum"] == 0) == (config["momentum"] == 0))
    back = complete(there, config.batch_size, "linear", "scaled")
    grown = 4 * ULP * max(1.0, config.batch_size / target)
    assert abs(back["momentum"] - config["momentum"]) <= 1e-12 + grown
    assert back["lr"] == pytest.approx(config["lr"], rel=1e-12)


@given(configurations(names=[name for name in FAMILIES if name != "sgd"], with_steps=False), batches)
def test_constants_of_the_sde_are_kept(config, target):
    """sigma eta, eps eta and (1 - beta) / eta^2, with sigma = 1 / sqrt(B) [Malladi et al. 2022], and what we add to them.

    Of a summed loss: with eps / B and clip_norm / B, as the gradient is B times the averaged one.
    """
    after, base = complete(config, target), config.batch_size
    mean = [one.batch_size if config.run.get("loss_reduction") == "sum" else 1 for one in (after, config)]
    kappa = target / base  # eta'^2 / eta^2
    assert after["lr"] / math.sqrt(target) == pytest.approx(config["lr"] / math.sqrt(base), rel=1e-12)
    fields = FAMILIES[config.optimizer].fields
    inside = "Epsilon (inside the root)"  # compared with v, so its root with sqrt(v)
    for name in {"eps", "eps_root"} & set(fields):
        root = name == "eps_root" or fields[name].label == inside
        now, before = ((math.sqrt(values[name]) if root else values[name]) / size
                       for values, size in zip((after, config), mean, strict=True))
        assert after["lr"] * now == pytest.approx(config["lr"] * before, rel=1e-12, abs=0)
    for name, field in fields.items():
        if field.is_decay:
            rounding = 1e-12 * (1 - after[name]) + 4 * ULP * max(1, kappa)
            assert abs((1 - after[name]) - kappa * (1 - config[name])) <= rounding, name
    if "clip_norm" in config.run:  # against the noise's size, 1 / sqrt(B)
        now, before = (one.run["clip_norm"] / size for one, size in zip((after, config), mean, strict=True))
        assert now * math.sqrt(target) == pytest.approx(before * math.sqrt(base), rel=1e-12)
    if "ema_decay" in config.run:  # the half-life in samples, B ln(1/2) / ln(rho)
        before = kappa * math.log(config.run["ema_decay"])
        assert abs(math.log(after.run["ema_decay"]) - before) <= 1e-12 * abs(before) + 4 * ULP
