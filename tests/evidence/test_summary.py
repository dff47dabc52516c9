"""Summaries against scipy on the same numbers, and what the sentence may and may not say."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from sqrtscale.evidence import Comparison, differences_over_samples, end_values, judge, summarise


def curves(ends, points=20, metric="val_loss"):
    """Curves that fall linearly to the given ends {arm: [value per seed]}, flat over the last tenth."""
    rows = []
    for arm, values in ends.items():
        for seed, value in enumerate(values):
            for i in range(points + 1):
                samples = i * 100
                rows.append((arm, seed, metric, samples, value + max(0.0, 0.9 - i / points)))
    return pd.DataFrame(rows, columns=["arm", "seed", "metric", "samples", "value"])


def test_paired_difference_and_interval_are_those_of_scipy():
    generator = np.random.default_rng(0)
    base, scaled = generator.normal(1, 0.1, 6), generator.normal(1.2, 0.1, 6)
    found = summarise(curves({"base": base, "scaled": scaled}), "val_loss")["scaled"]
    reference = stats.ttest_rel(scaled, base).confidence_interval(0.95)
    assert found.difference == pytest.approx(np.mean(scaled - base))
    assert found.difference - found.half_width == pytest.approx(reference.low)
    assert found.difference + found.half_width == pytest.approx(reference.high)
    assert (found.mean, found.std, found.n) == (pytest.approx(scaled.mean()), pytest.approx(scaled.std(ddof=1)), 6)


def test_end_value_is_the_mean_of_the_last_tenth():
    table = curves({"base": [1.0]})
    table["value"] = np.arange(len(table), dtype=float)
    assert end_values(table, "val_loss").loc[0, "base"] == pytest.approx(19)  # mean of points 18, 19, 20


def test_a_diverged_seed_is_left_out_of_its_arm_and_of_its_pair():
    table = curves({"base": [1.0, 1.1, 1.2], "linear lr": [2.0, math.nan, 2.2]})
    found = summarise(table, "val_loss")["linear lr"]
    assert (found.n, found.pairs) == (2, 2)
    assert found.mean == pytest.approx(2.1) and found.difference == pytest.approx(1.0)


def test_an_arm_that_was_cut_short_is_compared_where_base_was_then():
    """Base falls by 0.9 over its curve; the arm lies 0.2 above it and stops at half of the samples."""
    table = curves({"base": [1.0, 1.1, 1.3], "scaled": [1.2, 1.3, 1.5]})
    cut = table[(table["arm"] == "base") | (table["samples"] <= 1000)]
    found = summarise(cut, "val_loss")
    assert found["scaled"].difference == pytest.approx(0.2) and found["scaled"].pairs == 3
    assert (found["base"].samples, found["scaled"].samples) == (2000, 1000)
    judged = judge(cut, Comparison("val_loss", "nats", practical=0.01))["scaled"]
    assert judged.end.difference == pytest.approx(0.2) and judged.pairs == 3


def test_the_end_is_the_same_number_in_the_summary_and_in_the_verdict():
    table = curves({"base": [1.0, 1.1, 1.3], "scaled": [1.2, 1.25, 1.5]})
    table["value"] += np.random.default_rng(1).normal(0, 0.01, len(table))
    ends = end_values(table, "val_loss")
    judged = judge(table, Comparison("val_loss", "nats", practical=0.01))["scaled"]
    assert judged.end.difference == pytest.approx((ends["scaled"] - ends["base"]).mean())
    assert judged.margin.spread == pytest.approx(ends["base"].std())


def test_differences_over_samples_are_scipys_paired_intervals():
    table = curves({"base": [1.0, 1.1, 1.3, 1.2], "scaled": [1.2, 1.25, 1.5, 1.4]})
    table["value"] += np.random.default_rng(2).normal(0, 0.01, len(table))
    course = differences_over_samples(table, "val_loss", level=0.05)
    assert set(course["arm"]) == {"scaled"} and list(course["samples"]) == list(range(100, 2001, 100))
    wide = table.pivot(index="seed", columns=["arm", "samples"], values="value")
    for row in course.itertuples():
        reference = stats.ttest_rel(wide["scaled"][row.samples], wide["base"][row.samples]).confidence_interval(0.90)
        assert (row.low, row.high) == pytest.approx((reference.low, reference.high)) and row.pairs == 4
        assert row.difference == pytest.approx((wide["scaled"] - wide["base"])[row.samples].mean())
    end = judge(table, Comparison("val_loss", "nats", practical=0.01))["scaled"].end
    assert course[course["samples"] >= 1800]["difference"].mean() == pytest.approx(end.difference)


def test_differences_of_one_seed_have_no_interval_and_those_without_a_pair_no_line():
    one = differences_over_samples(curves({"base": [1.0], "scaled": [1.2]}), "val_loss", level=0.05)
    assert list(one["difference"].round(9).unique()) == [0.2] and one[["low", "high"]].isna().all(axis=None)
    assert differences_over_samples(curves({"base": [math.nan], "scaled": [1.2]}), "val_loss", level=0.05).empty
    assert differences_over_samples(curves({"scaled": [1.2]}), "val_loss", level=0.05).empty


def test_no_points_have_no_summary():
    assert summarise(pd.DataFrame(columns=["arm", "seed", "metric", "samples", "value"]), "val_loss") == {}


def test_all_nan_does_not_break():
    found = summarise(curves({"base": [math.nan, math.nan], "scaled": [math.nan, 1.0]}), "val_loss")
    assert found["base"].n == 0 and found["scaled"].pairs == 0
