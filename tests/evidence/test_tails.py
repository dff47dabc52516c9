"""Tail indices and skewness against scipy's laws, normality against scipy's test, and what is said of them."""

import math
import warnings

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from sqrtscale.evidence.tails import (
    anderson_darling,
    describe_skewness,
    describe_tails,
    hill,
    layer_tails,
    not_normal,
    on_one_scale,
    passes_for_normal,
    skewness,
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
    with pytest.raises(ValueError, match="give at least 6"):
        skewness(np.ones((5, 5)))


def test_skewness_is_scipys_where_both_halves_agree():
    """Whatever the sign, the scale and the mean of a coordinate."""
    samples = np.random.default_rng(7).exponential(size=(40, 30))
    reference = stats.skew(samples, bias=False)
    turned = samples * np.random.default_rng(8).choice([-1e-4, 30.0], 30) + 5
    assert skewness(np.repeat(turned, 2, axis=0)).squared == pytest.approx((reference**2).mean(), rel=1e-6)


@pytest.mark.parametrize("law", [stats.norm(), stats.gamma(16)])
def test_the_interval_of_skewness_holds_the_truth_of_known_laws(law):
    """Coordinates that share a part of their noise and have opposite signs; 3,000 draws, for which the bias is small."""
    random, truth = np.random.default_rng(9), float(law.stats("s")) ** 2
    signs = random.choice([-1, 1], 30)
    estimates = [skewness(np.concatenate([law.rvs(size=(3000, 20), random_state=random),
                                          np.repeat(law.rvs(size=(3000, 1), random_state=random), 10, 1)], 1) * signs)
                 for _ in range(30)]
    spread = np.std([estimate.squared for estimate in estimates])
    assert np.mean([estimate.squared for estimate in estimates]) == pytest.approx(truth, abs=4 * spread / math.sqrt(30))
    assert spread / 1.3 < np.mean([estimate.error for estimate in estimates]) < 2 * spread


def test_one_outlying_draw_and_a_constant_coordinate_are_no_skewness():
    samples = np.random.default_rng(10).standard_normal((64, 100))
    samples[0] = 20.0
    samples[:, 0] = 3.0
    assert stats.skew(samples[:, 1:]).min() > 3 and skewness(samples).low == 0


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


def test_skewness_is_said_of_the_layer_where_it_is_clearest_and_not_of_older_results():
    def with_skewness(layer, squared):
        rows = [("base", 0, f"{name}/{layer}", 0, value)
                for name, value in (("skewness_squared", squared), ("skewness_squared_error", 0.1))]
        return pd.concat([points(**{layer: (1.9, 4)}), pd.DataFrame(rows, columns=["arm", "seed", "metric", "samples", "value"])])

    older, symmetric, skewed = points(before=(1.9, 4)), with_skewness("symmetric", -0.05), with_skewness("skewed", 2.25)
    assert layer_tails(older)[0].skewness is None and describe_skewness(layer_tails(older)) == "Skewness was not measured."
    assert "not clearly skewed" in describe_skewness(layer_tails(symmetric))
    said = describe_skewness(layer_tails(pd.concat([older, symmetric, skewed])))
    assert "up to 1.5 (1.4 to 1.6, in skewed, the largest of 2 measurements)" in said
    assert describe_skewness(()) == "" == describe_skewness(layer_tails(points(normality=0.9, heavy=(1.5, 1.4))))
