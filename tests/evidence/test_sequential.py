"""Levels of repeated looks: their sum, their shape, and the error they leave in total, by simulation."""

import math

import numpy as np
import pytest
from scipy import stats

from sqrtscale.evidence.sequential import Looks
from sqrtscale.rules import FieldError

REPEATS = 20_000


def errors(looks, margin, delta, test):
    """Share of sequences of normal differences in which the test is passed at some look."""
    x = np.random.default_rng(5).normal(delta, 1, (REPEATS, looks.seeds[-1]))
    passed = np.zeros(REPEATS, bool)
    for n, level in zip(looks.seeds, looks.levels(0.05), strict=True):
        mean, error = x[:, :n].mean(1), x[:, :n].std(1, ddof=1) / math.sqrt(n)
        if test == "within":
            passed |= stats.t.sf((margin - np.abs(mean)) / error, n - 1) <= level
        else:
            passed |= 2 * stats.t.sf((np.abs(mean) - margin) / error, n - 1) <= level
    return passed.mean()


@pytest.mark.parametrize("seeds", [(3, 5, 8), (3, 5, 8, 12), (5,), (2, 3, 4, 5, 6)])
def test_levels_spend_alpha_and_no_more(seeds):
    levels = Looks(seeds).levels(0.05)
    assert sum(levels) == pytest.approx(0.05) and min(levels) > 0
    assert list(levels) == sorted(levels)  # late looks get more, as O'Brien and Fleming's do


def test_the_spending_function_is_lan_and_demets_value():
    first, *_ = Looks((4, 8)).levels(0.05)
    assert first == pytest.approx(2 * (1 - stats.norm.cdf(stats.norm.ppf(0.975) / math.sqrt(0.5))))
    assert first == pytest.approx(0.00557, abs=2e-5)  # the published value at half of the information


@pytest.mark.parametrize("seeds", [(3, 5, 8), (3, 5, 8, 12)])
@pytest.mark.parametrize("margin, delta, test", [(0, 0, "beyond"), (2, 2, "beyond"), (2, 2, "within")])
def test_looking_several_times_is_wrong_no_more_often_than_alpha(seeds, margin, delta, test):
    wrong = errors(Looks(seeds), margin, delta, test)
    assert wrong < 0.05 + 3 * math.sqrt(0.05 * 0.95 / REPEATS)
    assert wrong > 0.015  # it can fail: the looks do reject


def test_looking_at_the_full_level_each_time_would_be_wrong_more_often():
    x = np.random.default_rng(6).normal(0, 1, (4000, 8))
    wrong = np.any([stats.ttest_1samp(x[:, :n], 0, axis=1).pvalue <= 0.05 for n in (3, 5, 8)], axis=0).mean()
    assert wrong > 0.08


def test_which_look_a_number_of_pairs_allows():
    looks = Looks((3, 5, 8))
    assert [looks.look(n) for n in (2, 3, 4, 5, 8, 9)] == [None, 0, 0, 1, 2, 2]


@pytest.mark.parametrize("seeds", [(), (1, 3), (3, 3), (5, 3), (3, 4.5)])
def test_looks_that_do_not_grow_are_refused(seeds):
    with pytest.raises(FieldError, match="seeds"):
        Looks(seeds)


@pytest.mark.parametrize("alpha", [0, 0.5, -1, math.nan, "high"])
def test_an_alpha_that_is_no_rate_is_refused(alpha):
    with pytest.raises(FieldError, match="alpha"):
        Looks().levels(alpha)
