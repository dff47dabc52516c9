"""Summaries against scipy on the same numbers, and what the sentence may and may not say."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from sqrtscale.evidence import describe, end_values, summarise


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
    found = summarise(curves({"base": base, "scaled": scaled}))["scaled"]
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
    found = summarise(table)["linear lr"]
    assert (found.n, found.pairs) == (2, 2)
    assert found.mean == pytest.approx(2.1) and found.difference == pytest.approx(1.0)


def sentences(ends):
    return " ".join(describe(summarise(curves(ends)), "nats"))


def test_every_arm_has_its_sentence_in_the_order_of_the_plan():
    ends = {"base": [1.0, 1.1], "scaled": [1.0, 1.2], "unscaled": [0.9, 0.8], "linear lr": [2.0, 2.1], "warm start": [5.0, 5.0]}
    found = describe(summarise(curves(ends)), "nats")
    assert [one.split("**")[1] for one in found] == ["scaled", "unscaled", "linear lr"]


def test_sentence_names_a_difference_and_never_a_match():
    far = sentences({"base": [1.0, 1.01, 0.99], "scaled": [1.5, 1.52, 1.49]})
    assert "above base" in far and "a difference." in far
    near = sentences({"base": [1.0, 1.1, 0.9], "scaled": [1.05, 1.02, 0.98]})
    assert "no difference beyond seed noise was seen" in near
    for text in (far, near):
        assert "match" not in text


def test_one_seed_and_no_points_say_so():
    assert "one seed cannot tell" in sentences({"base": [1.0], "scaled": [1.1]})
    empty = pd.DataFrame(columns=["arm", "seed", "metric", "samples", "value"])
    assert summarise(empty) == {}
    assert "not yet" in describe({}, "nats")[0]
    assert "not yet" in sentences({"base": [1.0]})


def test_all_nan_does_not_break():
    found = summarise(curves({"base": [math.nan, math.nan], "scaled": [math.nan, 1.0]}))
    assert found["base"].n == 0 and found["scaled"].pairs == 0
    assert "not yet" in describe(found, "nats")[0]
