"""Tests of paired differences against scipy's t-tests, and their power against simulation."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from sqrtscale.evidence.equivalence import POWER, compare, holm, pairs_needed, power_beyond, power_within

REPEATS = 4000


def draws(seed, n, delta, sd, repeats=REPEATS):
    return np.random.default_rng(seed).normal(delta, sd, (repeats, n))


def tost(x, margin):
    """Two one-sided t-tests by scipy."""
    return max(stats.ttest_1samp(x, -margin, alternative="greater").pvalue,
               stats.ttest_1samp(x, margin, alternative="less").pvalue)


UNTIMED = settings(deadline=None)
samples = st.integers(0, 10_000).map(lambda seed: np.random.default_rng(seed)).map(
    lambda g: g.normal(g.normal(0, 1), 1, g.integers(2, 12)))


@UNTIMED
@given(samples, st.floats(0.01, 3))
def test_within_is_scipys_two_one_sided_tests_and_the_interval_inside_the_margin(x, margin):
    found = compare("end", x, margin, 0.05)
    assert found.p_within == pytest.approx(tost(x, margin), rel=1e-9, abs=1e-12)
    interval = stats.ttest_1samp(x, 0).confidence_interval(0.9)
    assert (found.low, found.high) == (pytest.approx(interval.low), pytest.approx(interval.high))
    assert found.within == (-margin < interval.low and interval.high < margin)


@UNTIMED
@given(samples)
def test_beyond_a_margin_of_nothing_is_the_common_t_test(x):
    assert compare("end", x, 0, 0.05).p_beyond == pytest.approx(stats.ttest_1samp(x, 0).pvalue, rel=1e-9)


@UNTIMED
@given(samples, st.floats(0.01, 3))
def test_beyond_doubles_the_one_sided_test_on_the_side_of_the_mean(x, margin):
    x = x if x.mean() > 0 else -x
    one_sided = stats.ttest_1samp(x, margin, alternative="greater").pvalue
    assert compare("end", x, margin, 0.05).p_beyond == pytest.approx(min(1, 2 * one_sided), rel=1e-9)


@UNTIMED
@given(samples, st.floats(0.01, 3), st.floats(0.001, 0.2))
def test_nothing_is_both_within_and_beyond_and_a_sign_mirrors(x, margin, level):
    found, mirrored = compare("end", x, margin, level), compare("end", -x, margin, level)
    assert not (found.within and found.beyond)
    assert (mirrored.low, mirrored.high) == (pytest.approx(-found.high), pytest.approx(-found.low))
    assert (mirrored.p_within, mirrored.p_beyond) == (pytest.approx(found.p_within), pytest.approx(found.p_beyond))


def test_equal_differences_leave_no_doubt_and_a_single_one_shows_nothing():
    assert compare("end", np.array([0.5, 0.5]), 1, 0.05).within
    assert compare("end", np.array([2.0, 2.0]), 1, 0.05).beyond
    at_the_margin = compare("end", np.array([1.0, 1.0]), 1, 0.05)
    assert not at_the_margin.within and not at_the_margin.beyond
    one = compare("end", np.array([2.0]), 1, 0.05)
    assert (one.difference, one.low, one.high) == (2, -math.inf, math.inf) and not one.within and not one.beyond
    none = compare("end", np.array([]), 1, 0.05)
    assert math.isnan(none.difference) and not none.within and not none.beyond


def test_holm_gives_the_corrected_values_of_its_definition():
    found = [compare("end", x, 0, 0.05) for x in (draws(1, 5, shift, 1, 1)[0] for shift in (0, 2, 4))]
    p = sorted(one.p_beyond for one in found)
    expected = [min(1, 3 * p[0]), max(min(1, 3 * p[0]), min(1, 2 * p[1])), max(3 * p[0], 2 * p[1], p[2])]
    assert sorted(one.p_beyond for one in holm(found)) == pytest.approx(expected)


def share_within_error(shares, expected, repeats=REPEATS):
    """Whether a simulated share lies within four standard errors of what is expected."""
    return abs(shares - expected) < 4 * math.sqrt(max(expected * (1 - expected), 1e-4) / repeats)


@pytest.mark.parametrize("n, delta, sd, margin", [(3, 0, 1, 3), (5, 0.3, 1, 1.2), (8, 0.9, 1, 1), (5, -0.4, 0.5, 1)])
def test_power_of_within_is_what_scipys_tests_show(n, delta, sd, margin):
    x = draws(2, n, delta, sd)
    mean, half = x.mean(1), stats.t.ppf(0.95, n - 1) * x.std(1, ddof=1) / math.sqrt(n)
    seen = np.mean((mean - half > -margin) & (mean + half < margin))
    assert share_within_error(seen, power_within(n, delta, sd, margin, 0.05))


@pytest.mark.parametrize("n, delta, sd, margin", [(3, 4, 1, 1), (5, 2, 1, 0.5), (8, -1.4, 1, 0.3), (6, 0, 1, 0)])
def test_power_of_beyond_is_what_scipys_tests_show(n, delta, sd, margin):
    x = draws(3, n, delta, sd)
    low = stats.ttest_1samp(x, -margin, axis=1, alternative="less").pvalue
    high = stats.ttest_1samp(x, margin, axis=1, alternative="greater").pvalue
    assert share_within_error(np.mean(2 * np.minimum(low, high) <= 0.05), power_beyond(n, delta, sd, margin, 0.05))


def test_true_differences_at_the_margin_are_wrongly_judged_no_more_often_than_the_level():
    x = draws(4, 5, 1, 0.3)
    found = [compare("end", row, 1, 0.05) for row in x]
    for wrong in (np.mean([one.within for one in found]), np.mean([one.beyond for one in found])):
        assert wrong < 0.05 + 3 * math.sqrt(0.05 * 0.95 / REPEATS)
    assert np.mean([one.within for one in found]) > 0.05 - 4 * math.sqrt(0.05 * 0.95 / REPEATS)  # the test is not idle


@pytest.mark.parametrize("n", [3, 5, 8])
def test_a_margin_that_was_estimated_lets_no_more_differ_at_it_than_the_level(n):
    """Curves that lie apart by 2 all along and scatter hardly, at a margin of 1 + a spread of 1 of which n seeds know little."""
    repeats = 1000
    apart, base = draws(5, 3 * n, 2, 0.05, repeats).reshape(repeats, 3, n), draws(6, n, 0, 1, repeats)
    spreads = base.std(1, ddof=1)

    def share(known):
        families = ([compare("end", x, 1 + spread, 0.05, known * spread) for x in three]
                    for three, spread in zip(apart, spreads, strict=True))
        return np.mean([any(test.beyond for test in holm(family)) for family in families])

    wrong, naive = share(1), share(0)
    assert 0.005 < wrong < 0.05 + 3 * math.sqrt(0.05 * 0.95 / repeats)
    assert naive > 0.25  # taking the estimate for the truth is wrong far more often


@pytest.mark.parametrize("n, delta, sd, spread", [(8, 3.5, 0.3, 1), (20, 3, 1, 1)])
def test_power_of_beyond_an_estimated_margin_is_what_a_simulation_shows(n, delta, sd, spread):
    x, spreads = draws(7, n, delta, sd), draws(8, n, 0, spread).std(1, ddof=1)
    seen = np.mean([compare("end", row, 1 + shown, 0.05, shown).beyond
                    for row, shown in zip(x, spreads, strict=True)])
    assert share_within_error(seen, power_beyond(n, delta, sd, 1 + spread, 0.05, spread))
    assert power_beyond(n, delta, sd, 1 + spread, 0.05) > seen


@pytest.mark.parametrize("delta", [0.2, 1.9])
def test_the_pairs_needed_decide_with_the_promised_power_and_one_fewer_does_not(delta):
    x = np.array([-1.0, 0, 1]) / np.std([-1, 0, 1], ddof=1) + delta  # mean delta, standard deviation 1
    n = pairs_needed([compare("end", x, 1, 0.05)], 1, 0.05)
    power = power_within if delta < 1 else power_beyond
    assert power(n, delta, 1, 1, 0.05) >= POWER > power(n - 1, delta, 1, 1, 0.05)


def test_a_difference_on_the_margin_needs_more_pairs_than_anybody_has():
    x = np.array([-1.0, 0, 1]) + 1.001
    assert pairs_needed([compare("end", x, 1, 0.05)], 1, 0.05) is None
