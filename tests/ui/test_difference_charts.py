"""Figures of the differences to base: what is drawn, and where the margin lies."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from plotly.utils import PlotlyJSONEncoder

from sqrtscale.evidence import Comparison, differences_over_samples, judge
from sqrtscale.ui import difference_charts
from sqrtscale.ui.colours import style

MARGIN = 0.02


def curves(seeds: int = 3, **distances: float) -> pd.DataFrame:
    """Flat curves at 1 plus the distance of the arm, whose seeds lie 0.001 apart from what base has."""
    return pd.DataFrame([(arm, seed, "val_loss", samples, 1 + 0.1 * seed + distance + 0.001 * seed * (arm != "base"))
                         for arm, distance in {"base": 0.0, **distances}.items()
                         for seed in range(seeds) for samples in range(0, 1001, 100)],
                        columns=["arm", "seed", "metric", "samples", "value"])


def over_samples(table):
    made = difference_charts.over_samples(differences_over_samples(table, "val_loss", 0.05), MARGIN, "nats")
    json.dumps(made.to_plotly_json(), cls=PlotlyJSONEncoder)
    return made


def forest(table):
    made = difference_charts.forest(judge(table, Comparison("val_loss", "nats"), margin=MARGIN))
    json.dumps(made.to_plotly_json(), cls=PlotlyJSONEncoder)
    return made


def test_lines_bands_and_margin_over_samples():
    made = over_samples(curves(scaled=0.01, unscaled=-0.05))
    traces = {trace.uid: trace for trace in made.data}
    assert list(traces) == ["scaled interval", "scaled", "unscaled interval", "unscaled"]
    assert traces["scaled"].line.color == style("scaled")[0]
    assert traces["scaled"].y == pytest.approx(np.full(10, 0.011))  # 0.01 and the mean of 0, 0.001 and 0.002
    half = 2.919985580355516 * 0.001 / np.sqrt(3)  # t of 2 degrees of freedom at 95 %
    assert sorted(set(np.round(traces["scaled interval"].y, 9))) == pytest.approx([0.011 - half, 0.011 + half])
    band, zero, *edges = made.layout.shapes
    assert (band.type, band.y0, band.y1) == ("rect", -MARGIN, MARGIN) and (zero.y0, zero.y1) == (0, 0)
    assert [edge.y0 for edge in edges] == [-MARGIN, MARGIN]


def test_one_seed_has_no_band():
    assert [trace.uid for trace in over_samples(curves(1, scaled=0.01)).data] == ["scaled"]


def test_an_arm_far_away_does_not_squeeze_the_margin():
    for low, high in (over_samples(curves(scaled=0.01, unscaled=9.0)).layout.yaxis.range,
                      forest(curves(scaled=0.01, unscaled=9.0)).layout.xaxis.range):
        assert (low, high) == pytest.approx((-1.5 * MARGIN, 6 * MARGIN))


def test_the_forest_has_every_interval_and_the_word_of_the_verdict():
    made = forest(curves(scaled=0.0, unscaled=9.0))
    scaled, unscaled = made.data
    assert made.layout.yaxis.ticktext == ("", "first quarter", "whole curve", "end") * 2
    assert list(scaled.y) == [1, 2, 3] and list(unscaled.y) == [5, 6, 7]
    assert scaled.x == pytest.approx([0.001] * 3) and list(scaled.marker.symbol) == ["circle"] * 3
    assert scaled.error_x.array == pytest.approx([2.919985580355516 * 0.001 / np.sqrt(3)] * 3)
    assert list(unscaled.marker.symbol) == ["triangle-right"] * 3 and unscaled.x == pytest.approx([6 * MARGIN] * 3)
    assert [note.text for note in made.layout.annotations] == [
        "<b>scaled</b>", "<b>✓ matches</b>", "<b>unscaled</b>", "<b>✗ differs</b>"]


def test_an_interval_that_leaves_the_picture_has_an_arrow_where_it_is_cut():
    table = curves(scaled=0.0)
    table.loc[(table["arm"] == "scaled") & (table["seed"] == 2), "value"] += 10 * MARGIN  # the mean stays inside
    scaled, cut = forest(table).data
    low, high = forest(table).layout.xaxis.range
    assert all(low < x < high for x in scaled.x) and list(scaled.marker.symbol) == ["circle"] * 3
    assert list(zip(cut.x, cut.y, cut.marker.symbol, strict=True)) == [
        *((low, at, "triangle-left") for at in (1, 2, 3)), *((high, at, "triangle-right") for at in (1, 2, 3))]


def test_an_arm_that_diverged_has_its_word_and_no_interval():
    table = curves(5, scaled=0.0, unscaled=0.0)
    table.loc[(table["arm"] == "unscaled") & (table["samples"] == 1000), "value"] = np.nan
    made = forest(table)
    assert [trace.name for trace in made.data] == ["scaled"]
    assert [note.text for note in made.layout.annotations][-2:] == ["<b>unscaled</b>", "<b>✗ differs</b>"]


def test_nothing_to_compare_is_an_empty_figure():
    assert not forest(curves()).data and not over_samples(curves()).data
    assert forest(curves(1, scaled=0.01)).data[0].error_x.array is None
