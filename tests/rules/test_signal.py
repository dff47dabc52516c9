"""The noise-aware transfer: its algebra, its two ends, and chains whose gradient is not dominated by noise."""

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from strategies import batches, configurations, forms
from test_algebra import assert_same
from updates import STEPS

from sqrtscale.rules import FAMILIES, FieldError, ParameterGroup, TrainingConfig, scale
from sqrtscale.rules.signal import NoiseScaleCurve, reach_down, sentence

without_steps = configurations(with_steps=False, with_groups=False)
noise_scales = st.floats(1e-3, 1e9)


def moved(config, target, noise, form="half-life"):
    """The configuration by the noise-aware transfer, where floats hold it."""
    try:
        scaled = scale(config, target, form, noise_scale=noise)
    except FieldError as error:
        assert "kappa = " in str(error), error
        assume(False)
    assume(scaled.complete)
    return scaled.config


# What a field moves by, as r = v' / v says it: of what it is compared with, not of how the code writes it down.
def expected(field, kappa, r):
    return {"lr": kappa * math.sqrt(r), "eps": math.sqrt(r), "weight_decay": 1 / math.sqrt(r), "clip_norm": math.sqrt(r)}[field]


@pytest.mark.parametrize("noise", [0.01, 64.0, 567.0, 1e6])
def test_adamw_moves_by_the_ratio_of_second_moments(noise):
    base = TrainingConfig("adamw", 256, {"lr": 1e-3, "eps": 1e-6, "weight_decay": 0.1}, run={"clip_norm": 1.0, "min_lr": 1e-5})
    scaled = scale(base, 1024, noise_scale=noise).config
    r = (1 + noise / 1024) / (1 + noise / 256)
    for field in ("lr", "eps", "weight_decay"):
        assert scaled[field] == pytest.approx(base[field] * expected(field, 4, r), rel=1e-12)
    assert scaled.run["clip_norm"] == pytest.approx(expected("clip_norm", 4, r), rel=1e-12)
    assert scaled.run["min_lr"] / scaled["lr"] == pytest.approx(0.01, rel=1e-12)
    assert (scaled["beta1"], scaled["beta2"]) == (0.6, 0.996)


def test_conventions_follow_what_each_field_is_compared_with():
    r = (1 + 100 / 32) / (1 + 100 / 8)
    inside = scale(TrainingConfig("keras_rmsprop", 8, {"eps": 1e-7, "weight_decay": 0.1}), 32, noise_scale=100.0).config
    assert inside["eps"] == pytest.approx(r * 1e-7) and inside["weight_decay"] == pytest.approx(0.1 / math.sqrt(r))
    coupled = scale(TrainingConfig("adam", 8, {"weight_decay": 0.1}), 32, noise_scale=100.0).config
    assert coupled["weight_decay"] == 0.1  # part of the gradient's mean
    each_step = scale(TrainingConfig("composer_adamw", 8, {"weight_decay": 1e-4}), 32, noise_scale=100.0).config
    assert each_step["weight_decay"] == pytest.approx(4e-4)  # whatever lr is
    for centered in ("rmsprop_centered", "keras_rmsprop_centered"):  # divided by the noise alone
        own = TrainingConfig(centered, 8, {"eps": 1e-3, "weight_decay": 0.1})
        assert scale(own, 32, noise_scale=100.0).config.hyperparameters == pytest.approx(scale(own, 32).config.hyperparameters)
    sgd = TrainingConfig("sgd", 8, {"lr": 0.1})
    assert scale(sgd, 32, noise_scale=100.0).config["lr"] == pytest.approx(0.4)


@given(without_steps, batches, forms)
def test_a_large_noise_scale_gives_the_papers_rule(config, target, form):
    try:
        rule = scale(config, target, form)
    except FieldError:
        assume(False)
    assume(rule.complete)
    noisy = scale(config, target, form, noise_scale=1e15).config
    for values, others in ((noisy.hyperparameters, rule.config.hyperparameters), (noisy.run, rule.config.run)):
        assert set(values) == set(others)
        assert all(values[name] == pytest.approx(others[name], rel=1e-7) if isinstance(values[name], float)
                   else values[name] == others[name] for name in values)


@given(batches, batches)
def test_a_small_noise_scale_gives_the_linear_rule(base, target):
    config = TrainingConfig("adamw", base, {"lr": 1e-3, "eps": 1e-8, "weight_decay": 0.1})
    scaled = moved(config, target, 1e-9)
    assert scaled["lr"] == pytest.approx(1e-3 * target / base, rel=1e-6)
    assert scaled["eps"] == pytest.approx(1e-8, rel=1e-6) and scaled["weight_decay"] == pytest.approx(0.1, rel=1e-6)


@given(without_steps, batches, batches, noise_scales)
def test_scaling_twice_is_scaling_once_and_there_and_back_is_nothing(config, middle, target, noise):
    assume(all(config[name] > 0.5 for name, field in FAMILIES[config.optimizer].fields.items() if field.is_decay))
    assume(max(middle, target, config.batch_size) / min(middle, target, config.batch_size) < 1000)
    there = moved(config, middle, noise)
    assert_same(moved(there, target, noise), moved(config, target, noise), through=middle)
    assert_same(moved(there, config.batch_size, noise), config, through=middle)


@given(batches, batches, noise_scales, noise_scales)
def test_the_more_noise_the_less_lr_grows(base, target, one, other):
    config = TrainingConfig("adam", base, {"lr": 1e-3})
    rates = [moved(config, target, noise)["lr"] for noise in sorted((one, other))]
    kappa = target / base
    low, high = sorted((math.sqrt(kappa), kappa))
    assert all(1e-3 * low * (1 - 1e-9) <= rate <= 1e-3 * high * (1 + 1e-9) for rate in rates)
    assert rates[0] >= rates[1] * (1 - 1e-12) if kappa >= 1 else rates[0] <= rates[1] * (1 + 1e-12)


def test_groups_have_noise_scales_of_their_own():
    base = TrainingConfig("adamw", 256, {"lr": 1e-3}, groups=(ParameterGroup("head", {"weight_decay": 0.0}),
                                                               ParameterGroup("norm", {"lr": 1e-4})))
    scaled = scale(base, 1024, noise_scale={"": 567.0, "head": 20.0}).config
    head, norm = (dict(group.values) for group in scaled.groups)
    alone = scale(replace_values(base), 1024, noise_scale=20.0).config
    assert head == {name: alone[name] if name != "weight_decay" else 0.0 for name in ("lr", "eps", "weight_decay")}
    assert norm == {"lr": pytest.approx(scaled["lr"] / 10)}
    with pytest.raises(FieldError, match="noise_scale = 'tail' is no parameter group"):
        scale(base, 1024, noise_scale={"": 1.0, "tail": 2.0})
    with pytest.raises(FieldError, match="says nothing of the parameters in no group"):
        scale(base, 1024, noise_scale={"head": 2.0})


def replace_values(config):
    return TrainingConfig(config.optimizer, config.batch_size, dict(config.hyperparameters))


@pytest.mark.parametrize("value", [0, -1, math.inf, math.nan, "x", True, [567]])
def test_what_is_no_noise_scale_is_refused(value):
    with pytest.raises(FieldError, match="noise_scale"):
        scale(TrainingConfig("adam", 8), 32, noise_scale=value)


def test_a_course_is_read_between_its_points():
    course = NoiseScaleCurve.of([(100, 30.0), (0, 10.0), (200, 30.0)])
    assert [course.at(samples) for samples in (-1, 0, 50, 100, 150, 1e9)] == pytest.approx([10, 10, 300**0.5, 30, 30, 30])
    assert course.mean(100) == pytest.approx(300**0.5) and course.mean(200) == pytest.approx((300**0.5 * 30)**0.5)
    assert course.lr_factor(8, 32, 0) == pytest.approx(math.sqrt((32 + 10) / (8 + 10)))
    for bad in ([], [(5, 1.0), (5, 2.0)], [(0, -1.0)], [(0, math.nan)], [(-1, 1.0)]):
        with pytest.raises(FieldError, match="noise_scale"):
            NoiseScaleCurve.of(bad)


def test_a_course_is_taken_at_its_mean_over_the_run_and_lr_along_it():
    course = NoiseScaleCurve.of([(0, 10.0), (8000, 40.0), (32000, 40.0)])
    for steps, mean in ((1000, 20.0), (4000, 20**0.25 * 40**0.75), (None, 20**0.25 * 40**0.75)):
        scaled = scale(TrainingConfig("adamw", 8, {"lr": 1e-3}, steps), 64, noise_scale=course)
        assert scaled.noise_scale == {"": pytest.approx(mean)}
        assert scaled.config["lr"] == pytest.approx(1e-3 * math.sqrt(8 * (64 + mean) / (8 + mean)))
        assert [at for at, _ in scaled.lr_factors] == ([0, 8000] if steps == 1000 else [0, 8000, 32000])
        assert scaled.lr_factors[0][1] == pytest.approx(math.sqrt(8 * 74 / 18))
        assert scaled.lr_factors[-1][1] == pytest.approx(math.sqrt(8 * 104 / 48))
        assert scaled.as_dict()["noise_scale"] == [[0, 10], [8000, 40], [32000, 40]]
    within = scale(TrainingConfig("adamw", 8, total_steps=500), 64, noise_scale=course)
    assert within.lr_factors[-1] == (4000, pytest.approx(math.sqrt(8 * (64 + 20) / (8 + 20))))


@pytest.mark.parametrize("name, factor", [("sgd", 8), ("rmsprop_centered", math.sqrt(8))])
def test_where_lr_does_not_follow_the_noise_scale_that_is_said(name, factor):
    scaled = scale(TrainingConfig(name, 8), 64, noise_scale=NoiseScaleCurve.of([(0, 10.0), (100, 20.0)]))
    assert [value for _, value in scaled.lr_factors] == pytest.approx([factor, factor])
    assert scaled.square_root_share == 1 and scaled.which_rule.startswith("The noise scale changes nothing about the lr of ")


def test_a_course_of_one_point_is_that_point_everywhere():
    for at in (0, 500):
        scaled = scale(TrainingConfig("adam", 8, {"lr": 1e-3}), 64, noise_scale=NoiseScaleCurve.of([(at, 100.0)]))
        assert scaled.noise_scale == {"": pytest.approx(100)} and {*dict(scaled.lr_factors)} == {0.0, float(at)}
        assert scaled.fields == scale(TrainingConfig("adam", 8, {"lr": 1e-3}), 64, noise_scale=scaled.noise_scale[""]).fields


def test_the_sentence_says_by_how_much_the_square_root_is_off():
    assert sentence(256, 1024, 567.0) == "The larger batch is 1.8 times your noise scale: the square root falls short by 28%."
    assert "right to within 1%" in sentence(8, 64, 1e6)
    assert "goes too far by" in sentence(1024, 256, 567.0)


# Chains with a constant mean gradient G and noise of variance 1 a sample: the noise scale is 1 / G^2, at the base batch 1.
CHAINS, SAMPLES, KAPPA = 2000, 8000, 8
SHORT, LONG = 0.9975, 0.99999  # decays of the second moment: a memory of 400 samples, and one far longer than the run
VALUES = {"adam": {"beta1": 0.98, "eps": 0.0, "weight_decay": 0.0},
          "rmsprop": {"eps": 0.0, "weight_decay": 0.0, "momentum": 0.0}}
SECOND = {"adam": "beta2", "rmsprop": "alpha"}


def walked(config, noise):
    """Where chains stand that start at 0 with a second moment at rest: [CHAINS]."""
    g, batch = np.random.default_rng(3), config.batch_size
    mean = 1 / math.sqrt(noise)
    state = {"m": np.full(CHAINS, mean), "v": np.full(CHAINS, mean**2 + 1 / batch), "b": np.zeros(CHAINS), "a": np.zeros(CHAINS)}
    x, age = np.zeros(CHAINS), 10**7
    for k in range(SAMPLES // batch):
        x = STEPS[config.optimizer](x, mean + g.standard_normal(CHAINS) / math.sqrt(batch), state, dict(config.hyperparameters),
                                    age + k)
    return x


def off(name, noise, transfer, memory):
    """(mean, spread) of the scaled chains over the base's."""
    base = TrainingConfig(name, 1, {"lr": 1e-3, SECOND[name]: memory, **VALUES[name]})
    by_rule = scale(base, KAPPA).config
    target = {"noise-aware": scale(base, KAPPA, noise_scale=noise).config, "square root": by_rule,
              "linear": TrainingConfig(name, KAPPA, {**by_rule.hyperparameters, "lr": KAPPA * 1e-3})}[transfer]
    here, there = walked(base, noise), walked(target, noise)
    return there.mean() / here.mean(), there.std() / here.std()


@pytest.mark.parametrize("name", VALUES)
@pytest.mark.parametrize("noise", [0.1, 1.0, 10.0, 100.0])
def test_chains_follow_base_whatever_dominates(name, noise):
    """Means to 1.5% (the rule's own error at kappa = 8 and sampling); spreads to 6%, where v hardly fluctuates, as in the SDE."""
    assert off(name, noise, "noise-aware", LONG) == (pytest.approx(1, abs=0.01), pytest.approx(1, abs=0.06))
    assert off(name, noise, "noise-aware", SHORT)[0] == pytest.approx(1, abs=0.015)


def test_with_a_short_memory_the_spread_is_smaller_than_base_where_signal_and_noise_are_alike():
    """A limit of the transfer: v of a larger batch fluctuates less, and v's fluctuation is half of what spreads the chains."""
    mean, spread = off("adam", 1.0, "noise-aware", SHORT)
    assert 0.35 < spread < 0.6 and abs(mean - 1) < 0.01


@pytest.mark.parametrize("name", VALUES)
def test_the_rules_of_the_two_ends_fail_at_the_other(name):
    assert off(name, 0.1, "square root", LONG)[0] < 0.5 and off(name, 100.0, "linear", LONG)[0] > 2


def test_how_far_down_the_square_root_is_right_to_within_a_tenth():
    """At batch 1024 and noise scale 567 the share is 1.1 at kappa = 0.73: sqrt((1024 + 567) / (0.7304 * 1024 + 567))."""
    down = reach_down(1024, 567)
    assert ((1024 + 567) / (down * 1024 + 567)) ** 0.5 == pytest.approx(1.1) and down == pytest.approx(0.7304, rel=1e-3)
    assert reach_down(8, 567) == 0
