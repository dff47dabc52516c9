"""Differences of means against scipy's t-tests and by hand; how often Welch's test of few runs is wrong, by simulation."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from sqrtscale.evidence.equivalence import compare, holm, pairs_needed
from sqrtscale.evidence.estimate import estimate, freedom, standard_error

UNTIMED = settings(deadline=None)
seeds = st.integers(0, 10_000)


def two_arms(seed):
    """Runs of two arms that differ in number, mean and spread."""
    g = np.random.default_rng(seed)
    return g.normal(g.normal(), g.uniform(0.2, 3), g.integers(2, 9)), g.normal(0, 1, g.integers(2, 9))


def test_standard_error_and_freedom_worked_by_hand():
    """Variances 1 and 20/3 of 3 and 4 runs: v = 1/3 and 5/3."""
    shown = estimate(np.array([1.0, 2, 3]), np.array([2.0, 4, 6, 8]))
    assert (float(shown.difference), shown.runs) == (-3, (3, 4))
    assert standard_error(shown.sds, shown.runs) == pytest.approx(math.sqrt(2))
    assert freedom(shown.sds, shown.runs) == pytest.approx(4 / ((1 / 9) / 2 + (25 / 9) / 3))


@UNTIMED
@given(seeds)
def test_error_and_freedom_are_scipys(seed):
    arm, base = two_arms(seed)
    reference, shown = stats.ttest_ind(arm, base, equal_var=False), estimate(arm, base)
    assert shown.difference / standard_error(shown.sds, shown.runs) == pytest.approx(reference.statistic)
    assert freedom(shown.sds, shown.runs) == pytest.approx(reference.df)


@UNTIMED
@given(seeds, st.floats(0.01, 3))
def test_within_and_beyond_are_scipys_shifted_tests(seed, margin):
    arm, base = two_arms(seed)
    shown = compare("end", arm, margin, 0.05, base=base)
    within = max(stats.ttest_ind(arm - margin, base, equal_var=False, alternative="less").pvalue,
                 stats.ttest_ind(arm + margin, base, equal_var=False, alternative="greater").pvalue)
    beyond = min(stats.ttest_ind(arm + margin, base, equal_var=False, alternative="less").pvalue,
                 stats.ttest_ind(arm - margin, base, equal_var=False, alternative="greater").pvalue)
    assert shown.p_within == pytest.approx(within, rel=1e-9) and shown.p_beyond == pytest.approx(min(1, 2 * beyond), rel=1e-9)
    interval = stats.ttest_ind(arm, base, equal_var=False).confidence_interval(0.9)
    assert (shown.low, shown.high) == (pytest.approx(interval.low), pytest.approx(interval.high))


@UNTIMED
@given(seeds, st.floats(0.01, 3), st.floats(-5, 5))
def test_exchanging_the_arms_mirrors_and_a_constant_changes_nothing(seed, margin, constant):
    arm, base = two_arms(seed)
    found, mirrored = compare("end", arm, margin, 0.05, base=base), compare("end", base, margin, 0.05, base=arm)
    moved = compare("end", arm + constant, margin, 0.05, base=base + constant)
    assert (mirrored.low, mirrored.high) == (pytest.approx(-found.high), pytest.approx(-found.low))
    assert (mirrored.runs, mirrored.sds) == (found.runs[::-1], pytest.approx(found.sds[::-1]))
    for other in (mirrored, moved):
        assert (other.p_within, other.p_beyond) == (pytest.approx(found.p_within), pytest.approx(found.p_beyond))
    assert moved.difference == pytest.approx(found.difference) and not (found.within and found.beyond)


def test_runs_that_are_all_equal_leave_no_doubt_and_a_single_run_shows_nothing():
    zeros, twos = np.zeros(2), np.full(3, 2.0)
    assert compare("end", twos, 3, 0.05, base=zeros).within and compare("end", twos, 1, 0.05, base=zeros).beyond
    at_the_margin = compare("end", twos, 2, 0.05, base=zeros)
    assert not at_the_margin.within and not at_the_margin.beyond
    of_one_arm = compare("end", twos, 1, 0.05, base=np.array([-1.0, 0, 1]))  # the error and the freedom of the other alone
    assert of_one_arm.p_beyond == pytest.approx(2 * stats.t.sf(1 / (1 / math.sqrt(3)), 2))
    for arm, base in ((twos[:1], zeros), (twos, zeros[:1]), (twos[:1], zeros[:1])):
        single = compare("end", arm, 1, 0.05, base=base)
        assert (single.difference, single.low, single.high, single.pairs) == (2, -math.inf, math.inf, 1)
        assert not single.within and not single.beyond and math.isnan(single.sd)
    assert math.isnan(compare("end", twos[:0], 1, 0.05, base=zeros).difference)


def test_the_sd_is_that_of_the_difference_of_two_runs():
    found = compare("end", np.array([0.0, 6]) / math.sqrt(2), 1, 0.05, base=np.array([0.0, 8]) / math.sqrt(2))
    assert (found.sds, found.sd) == (pytest.approx((3, 4)), pytest.approx(5))


def test_an_estimated_margin_counts_with_the_runs_of_base():
    """The spread of 5 base runs is known to 1 / sqrt(8) of itself, with 4 degrees of freedom."""
    g = np.random.default_rng(2)
    arm, base = g.normal(3, 1, 8), g.normal(0, 1, 5)
    found = compare("end", arm, 1, 0.05, 0.7, base)
    reference = stats.ttest_ind(arm, base, equal_var=False)
    error = math.hypot(found.difference / reference.statistic, 0.7 / math.sqrt(8))
    dof = min(reference.df, 4)
    assert found.p_beyond == pytest.approx(2 * stats.t.sf((found.difference - 1) / error, dof))
    assert found.p_within == compare("end", arm, 1, 0.05, base=base).p_within


REPEATS = 40_000
SURE = 4 * math.sqrt(0.05 * 0.95 / REPEATS)
MOST_WITHIN, MOST_APART = 0.061 + SURE, 0.075 + SURE  # what comes out for 3 runs against 20 (docs/error_rates.md)
DESIGNS = [(n, n, ratio) for n in (3, 4, 5, 8) for ratio in (1, 2, 4)] + [
    (3, 5, ratio) for ratio in (0.5, 1, 2, 4)] + [(3, 8, 2), (8, 3, 0.5), (3, 20, 1)]


def drawn(n_arm, n_base, ratio, difference=0.0, seed=0):
    """Many comparisons at once: the arm's runs scatter ``ratio`` times as much as base's."""
    g = np.random.default_rng(seed)
    return g.normal(difference, ratio, (n_arm, REPEATS)), g.normal(0, 1, (n_base, REPEATS))


@pytest.mark.parametrize("n_arm, n_base, ratio", DESIGNS)
def test_a_difference_of_the_margin_is_within_and_one_of_nothing_is_shown_in_about_one_of_twenty(n_arm, n_base, ratio):
    shown = estimate(*drawn(n_arm, n_base, ratio, difference=100))
    within = np.mean(shown.difference + shown.half_width(0.05) < 100)  # the other side of the margin is far away
    assert 0.02 < within < MOST_WITHIN  # and the test is not idle
    shown = estimate(*drawn(n_arm, n_base, ratio))
    assert np.mean(abs(shown.difference) > shown.half_width(0.025)) < MOST_APART


@pytest.mark.parametrize("n_arm, n_base, ratio", [(3, 3, 1), (3, 5, 2), (5, 3, 2)])
def test_a_family_of_three_that_lie_at_the_margin_differs_in_at_most_one_of_twenty(n_arm, n_base, ratio):
    repeats, g = 1000, np.random.default_rng(5)
    arms, bases = g.normal(1, 0.1 * ratio, (repeats, 3, n_arm)), g.normal(0, 0.1, (repeats, 3, n_base))
    wrong = np.mean([any(test.beyond for test in holm([compare("end", arm, 1, 0.05, base=base)
                                                       for arm, base in zip(*three, strict=True)]))
                     for three in zip(arms, bases, strict=True)])
    assert 0 < wrong < 0.05


@pytest.mark.parametrize("n_arm, n_base, ratio", [(3, 3, 1), (8, 3, 1), (3, 8, 1), (5, 5, 2)])
def test_a_margin_that_was_estimated_lets_no_more_differ_at_it_than_the_level(n_arm, n_base, ratio):
    """The whole curves scatter hardly and lie apart by the true margin 1 + 1, of which base's ends know little."""
    repeats, g = 600, np.random.default_rng(3)
    arms, bases = g.normal(2, 0.05 * ratio, (repeats, n_arm)), g.normal(0, 0.05, (repeats, n_base))
    spreads = g.normal(0, 1, (repeats, n_base)).std(1, ddof=1)

    def share(known):
        return np.mean([compare("end", arm, 1 + spread, 0.05 / 3, known * spread, base).beyond
                        for arm, base, spread in zip(arms, bases, spreads, strict=True)])

    assert share(1) < 0.05 + 3 * math.sqrt(0.05 * 0.95 / repeats) < share(0)


def rows(arm, margin, base, spread=0.0):
    return [compare("end", arm, margin, 0.05, spread, base)]


@pytest.mark.parametrize("delta, margin, sds", [(0.2, 1, (1, 1)), (0, 1.5, (2, 0.7)), (2, 0.3, (1.5, 1))])
def test_the_runs_that_were_asked_for_decide_four_times_in_five(delta, margin, sds):
    """3 runs against 5 whose sample means and standard deviations are the true ones; then so many more of each are drawn."""
    arm = delta + sds[0] * np.array([-1, 0, 1])
    base = sds[1] * np.array([-1, -1, 0, 1, 1])
    few = pairs_needed(rows(arm, margin, base), margin, 0.05)
    assert few is not None and few > 3
    repeats, g = 3000, np.random.default_rng(4)

    def power(n):
        shown = estimate(g.normal(delta, sds[0], (n, repeats)), g.normal(0, sds[1], (n + 2, repeats)))
        if delta < margin:
            return np.mean(abs(shown.difference) + shown.half_width(0.05) < margin)
        return np.mean(abs(shown.difference) - shown.half_width(0.025) > margin)

    error = 4 * math.sqrt(0.8 * 0.2 / repeats)
    assert 0.8 - error < power(few) and power(few - 1) < 0.8 + error


def test_power_beyond_an_estimated_margin_asks_for_more_runs():
    arm, base = 3 + np.array([-1.0, 0, 1]), np.array([-1.0, 0, 1])
    assert pairs_needed(rows(arm, 1.8, base, 0.8), 1.8, 0.05, 0.8) > pairs_needed(rows(arm, 1.8, base), 1.8, 0.05)
    assert pairs_needed(rows(arm, 2.999, base), 2.999, 0.05) is None
