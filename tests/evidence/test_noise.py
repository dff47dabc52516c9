"""Noise scale and second moments from curves: intervals by simulation, what dominates by known cases."""

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from sqrtscale.evidence.noise import noise_scale, noise_scale_course, ratio_of_means, regime, second_moment_ratio


def curves(**values):
    """Curves of ``arm__metric=[[value per point] per seed]``, points at 0, 100, 200 ..."""
    rows = [(arm, seed, metric, 100 * i, value) for name, seeds in values.items()
            for arm, _, metric in [name.partition("__")] for seed, line in enumerate(seeds) for i, value in enumerate(line)]
    return pd.DataFrame(rows, columns=["arm", "seed", "metric", "samples", "value"])


@pytest.mark.parametrize("signal", [1.0, 0.15])
def test_the_interval_holds_the_true_ratio_as_often_as_it_says(signal):
    """Signal and noise as they are estimated: the noise well, the signal so badly that it is below 0 now and then."""
    random = np.random.default_rng(0)
    held = [found.low <= 400 * 1.0 / signal <= found.high for found in (
        ratio_of_means(random.normal(400, 40, 15), random.normal(signal, 0.5, 15)) for _ in range(2000))]
    assert abs(np.mean(held) - 0.95) < 0.02


def test_correlated_pairs_make_the_interval_narrower_and_still_right():
    random = np.random.default_rng(1)
    held, widths = [], []
    for _ in range(1000):
        both = random.normal(5, 1, 12)
        found = ratio_of_means(8 * both + random.normal(0, 0.2, 12), both)
        held.append(found.low <= 8 <= found.high)
        widths.append(found.high - found.low)
    assert abs(np.mean(held) - 0.95) < 0.03
    assert np.mean(widths) < 0.1  # apart, each mean is known to 6 % alone


def test_the_course_of_a_run_does_not_widen_the_interval():
    """Signal that falls a hundredfold over five points, three seeds each, errors in proportion; the true ratio is 600 / 33."""
    random, signal = np.random.default_rng(3), np.repeat([100, 40, 15, 9, 1], 3)
    points, held, widths = np.repeat(np.arange(5), 3), [], []
    for _ in range(2000):
        pairs = random.normal(600, 30, 15), signal * random.normal(1, 0.2, 15)
        found = ratio_of_means(*pairs, points)
        held.append(found.low <= 600 / 33 <= found.high)
        widths.append((found.high - found.low) / (min(1e9, ratio_of_means(*pairs).high) - ratio_of_means(*pairs).low))
    assert abs(np.mean(held) - 0.95) < 0.03 and np.median(widths) < 0.6


def test_a_signal_that_cannot_be_told_from_zero_leaves_the_noise_scale_open_above():
    found = ratio_of_means([100, 101, 99, 100], [0.1, -0.1, 0.05, -0.02])
    assert found.high == math.inf and 300 < found.low < found.value
    below = ratio_of_means([100, 101, 99, 100], [-0.3, -0.31, -0.29, -0.3])
    assert below.value == below.high == math.inf
    one = ratio_of_means([100], [2])
    assert (one.value, one.low, one.high, one.n) == (50, 0, math.inf, 1)
    assert ratio_of_means([100, math.nan, 102], [2, 1, 2]).n == 2
    with pytest.raises(ValueError, match="no finite pair"):
        ratio_of_means([math.nan], [1])


def test_interval_of_a_mean_is_scipys_where_the_mean_below_is_exact():
    x = np.array([3.0, 5.0, 4.0, 6.0])
    found = ratio_of_means(x, np.full(4, 2.0))
    low, high = stats.t.interval(0.95, 3, x.mean() / 2, stats.sem(x) / 2)
    assert (found.value, found.low, found.high) == pytest.approx((2.25, low, high))


def test_noise_scale_is_a_ratio_of_averages_of_the_arm_alone():
    table = curves(base__noise=[[100, 200], [300, 400]], base__signal=[[1, 3], [0, 1]],
                   base__noise_pre=[[10, 10], [10, 10]], base__signal_pre=[[1, 1], [1, 1]],
                   scaled__noise=[[9e9, 9e9]], scaled__signal=[[1, 1]])
    assert noise_scale(table).value == pytest.approx(1000 / 5) and noise_scale(table).n == 4
    assert noise_scale(table, preconditioned=True).value == 10
    assert noise_scale(table, "unscaled") is None and noise_scale(table.iloc[:0]) is None


def test_the_course_of_a_noise_scale_is_a_ratio_at_every_point_that_was_measured():
    x = [3.0, 5.0, 4.0, 6.0]  # over seeds; the signal is exact, so that the interval is one of a mean
    table = curves(base__noise=[[value, math.nan, 10 * value] for value in x], base__signal=[[2.0, 1.0, -1.0]] * 4,
                   base__val_loss=[[1.0, 1.0, 1.0, 1.0]] * 4, scaled__noise=[[7.0]] * 4, scaled__signal=[[1.0]] * 4)
    (first, at_start), (last, unseen) = noise_scale_course(table)
    low, high = stats.t.interval(0.95, 3, np.mean(x) / 2, stats.sem(x) / 2)
    assert (first, at_start.value, at_start.low, at_start.high) == (0, *map(pytest.approx, (2.25, low, high)))
    assert last == 200 and math.isinf(unseen.value)  # by chance the signal came out below 0
    pooled = noise_scale_course(table, before=400)  # 600 samples old, and what was measured at 400 counts with it
    assert pooled[1][1].value == pytest.approx((4.5 + 45) / (2 - 1))
    [(_, alone)] = noise_scale_course(table[table["seed"] == 0], "scaled")
    assert (alone.value, alone.low, alone.high) == (7, 0, math.inf)
    assert noise_scale_course(table, "unscaled") == () == noise_scale_course(table.iloc[:0])


def test_second_moments_count_after_they_have_forgotten_the_branch_point():
    table = curves(base__second_moment=[[8, 4, 2.0], [8, 4, 2.2]], scaled__second_moment=[[1, 1, 2.0], [1, 1, 2.0]])
    assert second_moment_ratio(table).value == pytest.approx((4 + 2 + 4 + 2.2) / 6)
    assert second_moment_ratio(table, settled=100).value == pytest.approx(1.05)
    assert second_moment_ratio(table, settled=200) is None and second_moment_ratio(table, "linear lr") is None


def measured(scale, spread=0.02):
    random = np.random.default_rng(2)
    near = lambda value: (value * random.normal(1, spread, (3, 5))).tolist()  # noqa: E731
    return curves(base__noise=near(scale), base__signal=near(1), base__second_moment=near(1 + scale / 8),
                  scaled__second_moment=near(1 + scale / 64))


@pytest.mark.parametrize("scale, dominated, begins", [
    (2000, "noise", "Noise dominates"), (5, "signal", "The signal dominates"), (64, "unclear", "What dominates is not clear")])
def test_what_dominates_and_the_sentence_that_says_it(scale, dominated, begins):
    found = regime(measured(scale), 8, 64)
    assert found.dominated == dominated and found.sentence.startswith(begins)
    assert found.low < found.noise_scale < found.high and found.noise_scale == pytest.approx(scale, rel=0.05)
    assert found.largest_kappa == pytest.approx(scale / 8, rel=0.05) and found.kappa == 8
    assert found.expected_ratio == pytest.approx((1 + scale / 8) / (1 + scale / 64), rel=0.05)
    assert found.ratio_low < found.expected_ratio < found.ratio_high
    assert f"Second moments differ by {found.second_moment_ratio:.3g}" in found.sentence


@pytest.mark.parametrize("scale, batch, target", [(484, 8, 64), (5, 8, 64), (100, 64, 8)])
def test_speed_is_what_a_step_moves_times_the_steps(scale, batch, target):
    """Per coordinate of gradient 1: lr / sqrt(1 + scale / batch) a step, with the rule's lr and number of steps."""
    moved = {size: math.sqrt(size / batch) / math.sqrt(1 + scale / size) * batch / size for size in (batch, target)}
    found = regime(curves(base__noise=[[scale, scale]], base__signal=[[1, 1]]), batch, target)
    assert found.speed == pytest.approx(moved[target] / moved[batch])


@pytest.mark.parametrize("base, target", [(8, 64), (64, 8)])
@pytest.mark.parametrize("scale, dominates", [(2000, False), (90, False), (5, True)])
def test_a_signal_that_dominates_is_said_with_its_reason(base, target, scale, dominates):
    found = regime(swapped(measured(scale), base, target), base, target).signal
    assert found.startswith("the noise scale is") and "below the batch of 64" in found if dominates else found == ""


@pytest.mark.parametrize("base, target", [(8, 64), (64, 8)])
def test_second_moments_show_the_signal_where_the_noise_scale_is_not_known(base, target):
    table = measured(20)
    table.loc[table["metric"] == "signal", "value"] *= np.tile([1, -1, 1], 5)  # nothing can be said of it
    found = regime(swapped(table, base, target), base, target)
    assert found.dominated == "unclear" and "second moments differ by" in found.signal


def swapped(table, base, target):
    """Curves for that direction: the base arm is the one at the smaller batch of ``measured`` or the other."""
    if target > base:
        return table
    moments = table["metric"] == "second_moment"
    return table.assign(arm=table["arm"].where(~moments, table["arm"].map({"base": "scaled", "scaled": "base"})))


def test_downscaling_is_judged_at_the_larger_batch():
    assert regime(measured(2000), 64, 8).dominated == "noise" and regime(measured(30), 64, 8).dominated == "signal"


def test_without_measurements_there_is_no_regime_and_without_second_moments_no_ratio():
    assert regime(curves(base__val_loss=[[1, 2]]), 8, 64) is None
    table = measured(2000)
    found = regime(table[table["metric"] != "second_moment"], 8, 64)
    assert found.second_moment_ratio is None and "Second moments" not in found.sentence and found.preconditioned is None
    silent = regime(curves(base__noise=[[5, 5]], base__signal=[[-1, -1.01]]), 8, 64)
    assert silent.dominated == "noise" and silent.expected_ratio == 8 and "beyond what was measured" in silent.sentence


@pytest.mark.parametrize("after, batch, stays", [(0, 301, True), (0, 299, False), (100, 301, False), (100, 601, True),
                                                 (300, 1201, True), (300, 1199, False)])
def test_a_signal_stays_where_no_growth_that_was_seen_could_lift_the_noise_scale_to_the_batch(after, batch, stays):
    """An interval that ends at 100, measured after 100 samples: three times that, and again for each warm start that follows."""
    found = replace(regime(measured(50), 8, batch), high=100.0)
    assert found.stays_signal(100, after) == stays
