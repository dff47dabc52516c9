"""Summaries against scipy on the same numbers, and what the sentence may and may not say."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from sqrtscale.evidence import end_values, summarise


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


def test_no_points_have_no_summary():
    assert summarise(pd.DataFrame(columns=["arm", "seed", "metric", "samples", "value"]), "val_loss") == {}


def test_all_nan_does_not_break():
    found = summarise(curves({"base": [math.nan, math.nan], "scaled": [math.nan, 1.0]}), "val_loss")
    assert found["base"].n == 0 and found["scaled"].pairs == 0
