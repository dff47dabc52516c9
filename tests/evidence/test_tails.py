"""Tail indices against scipy's laws of known index, normality against scipy's test, and what is said of them."""

import math
import warnings

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from sqrtscale.evidence.tails import (
    anderson_darling,
    describe_tails,
    hill,
    layer_tails,
    not_normal,
    on_one_scale,
    passes_for_normal,
    stable_index,
)


def share_held(estimate, draw, truth, times=100):
    """How often the 95 % interval holds the truth, and the median estimate."""
    found = [estimate(draw()) for _ in range(times)]
    return np.mean([one.low <= truth <= one.high for one in found]), np.median([one.alpha for one in found])


@pytest.mark.parametrize("alpha", [1.1, 1.5, 1.8, 2.0])
def test_stable_index_of_stable_samples(alpha):
    random = np.random.default_rng(0)
    held, middle = share_held(stable_index, lambda: stats.levy_stable.rvs(alpha, 0, size=(128, 50), random_state=random), alpha)
    assert held >= 0.88 and middle == pytest.approx(alpha, rel=0.03)


@pytest.mark.parametrize("df", [1, 1.5, 2])
def test_hill_of_student_samples(df):
    random = np.random.default_rng(1)
    held, middle = share_held(hill, lambda: stats.t.rvs(df, size=(20_000, 1), random_state=random), df)
    assert held >= 0.88 and middle == pytest.approx(df, rel=0.03)


@pytest.mark.parametrize("df", [3, 4])
def test_hill_of_light_tails_needs_fewer_of_the_values(df):
    """The bias that the docstring names, and that it goes away far out in the tail."""
    samples = stats.t.rvs(df, size=(400_000, 1), random_state=np.random.default_rng(2))
    far, near = hill(samples, share=0.0005), hill(samples)
    assert far.low <= df <= far.high
    assert near.high < df and near.alpha == pytest.approx(df, rel=0.2)


@pytest.mark.parametrize("estimate", [stable_index, hill])
def test_coordinates_that_share_their_size_do_not_make_the_interval_too_narrow(estimate):
    """Cauchy in every direction, but 40 coordinates divide by one common number: dependent, of index 1."""
    random = np.random.default_rng(3)
    held, _ = share_held(estimate, lambda: random.standard_normal((2000, 40)) / np.abs(random.standard_normal((2000, 1))), 1)
    assert held >= 0.88


def test_anderson_darling_is_scipys():
    random = np.random.default_rng(4)
    for values in (random.standard_normal(50), random.standard_t(2, 200), random.exponential(size=128)):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # scipy is changing what it says beside the statistic
            reference = stats.anderson(values, "norm").statistic
        n = len(values)
        assert anderson_darling(values) == pytest.approx(reference * (1 + 0.75 / n + 2.25 / n**2), rel=1e-10)


def test_normal_projections_are_rejected_by_chance_and_others_by_rule():
    random = np.random.default_rng(5)
    assert not_normal(random.standard_normal((128, 2000))) == pytest.approx(0.05, abs=0.015)
    assert not_normal(random.standard_t(2, (128, 200))) > 0.95


def test_coordinates_of_different_sizes_are_no_heavy_tail():
    random = np.random.default_rng(6)
    samples = random.standard_normal((128, 100)) * 10.0 ** random.uniform(-3, 3, 100)
    samples[::2, 0] = 0  # a coordinate that half of the batches do not touch
    scaled = on_one_scale(samples)
    assert scaled.shape == (128, 99)
    assert hill(scaled).low > 4 and hill(samples[:, 1:]).high < 4


def test_too_few_draws_are_refused():
    with pytest.raises(ValueError, match="give at least 4"):
        stable_index(np.ones((3, 5)))


def points(arm="base", samples=0, normality=0.3, **layers):
    """Curves of ``layer=(tail, hill)``, errors of 0.1."""
    rows = [(arm, 0, f"{name}/{layer}", samples, value) for layer, (stable, tail) in layers.items() for name, value in (
        ("tail", stable), ("tail_error", 0.1), ("hill", tail), ("hill_error", 0.1), ("normality", normality))]
    return pd.DataFrame([*rows, (arm, 0, "val_loss", samples, 1.0)], columns=["arm", "seed", "metric", "samples", "value"])


def test_variance_is_finite_infinite_or_unclear():
    table = pd.concat([points(light=(1.9, 4), between=(1.7, 1.95), bursts=(1.6, 3), sparse=(1.5, 1.4)),
                       points(normality=0.9, heavy=(1.5, 1.4))])
    found = {one.layer: one for one in layer_tails(table)}
    assert {layer: one.variance for layer, one in found.items()} == {
        "light": "finite", "heavy": "infinite", "between": "unclear", "bursts": "finite", "sparse": "unclear"}
    assert {layer for layer, one in found.items() if one.bursts} == {"heavy", "sparse"}
    assert found["heavy"].hill.high == pytest.approx(1.4 + 0.196) and found["light"].not_normal == 0.3
    assert "of sparse jump, but most projections" in describe_tails(layer_tails(table[~table["metric"].str.endswith("heavy")]))


def test_the_sentence_names_the_heavy_layers_or_the_lowest_light_one():
    assert "of heavy looks as if its variance were infinite" in describe_tails(
        layer_tails(points(normality=0.8, light=(1.9, 4), heavy=(1.5, 1.4))))
    said = describe_tails(layer_tails(points(light=(1.9, 4), lower=(1.8, 3))))
    assert "finite variance" in said and "in lower" in said and "30%" in said and "down to 1.8" in said
    assert "passes for normal" in describe_tails(layer_tails(points(normality=0.06, light=(1.9, 4)))) and "not normal" in said
    assert describe_tails(()) == "" and describe_tails(layer_tails(points())) == ""


def test_one_answer_to_whether_the_noise_is_normal():
    """The verdict's reasons and the sentence on the tails cannot say opposite things."""
    light, odd = layer_tails(points(normality=0.06, light=(1.9, 4))), layer_tails(points(normality=0.3, light=(1.9, 4)))
    heavy = layer_tails(pd.concat([points(normality=0.02, light=(1.9, 4)), points(normality=0.9, heavy=(1.5, 1.4))]))
    assert [passes_for_normal(tails) for tails in (light, odd, heavy, ())] == [True, False, False, None]
    assert "passes for normal" in describe_tails(light) and "passes for normal" not in describe_tails(odd)
    assert "infinite (90% of random projections" in describe_tails(heavy)  # of the heavy layer, not averaged with light ones


def test_a_layer_without_noise_in_its_coordinates_is_unclear():
    table = points(entry=(2, 4))
    found = layer_tails(table[table["metric"].isin(["normality/entry", "val_loss"])])
    assert len(found) == 1 and found[0].variance == "unclear" and found[0].hill is None
    assert math.isnan(layer_tails(table[~table["metric"].str.startswith("normality")])[0].not_normal)
