"""Figures of curves: what is drawn for whole, odd and missing data."""

from __future__ import annotations

import json
import math

import numpy as np
import pandas as pd
import pytest
import stored
from plotly.utils import PlotlyJSONEncoder

from sqrtscale.arms import DEFAULT_ARMS as ARMS
from sqrtscale.plan import WARM_START
from sqrtscale.ui import charts
from sqrtscale.ui.colours import style
from sqrtscale.ui.view import View

TITLE = "Validation loss (nats per image)"


BATCHES = {"base": 8, "scaled": 64, "unscaled": 64, "linear lr": 64}


def table(*rows) -> pd.DataFrame:
    """(arm, seed, samples, value) as curves of the validation loss."""
    frame = pd.DataFrame(rows, columns=["arm", "seed", "samples", "value"]).assign(metric="val_loss")
    return frame.astype({"samples": "int64", "value": "float64"})


def full(seeds: int = 3) -> pd.DataFrame:
    return pd.DataFrame([(one.arm, one.seed, metric, one.samples, value)
                         for one in stored.points(stored.plan(seeds=seeds)) if one.arm != WARM_START
                         for metric, value in one.values.items()], columns=["arm", "seed", "metric", "samples", "value"])


def figure(curves, metric="val_loss", axis=None, fit=None, **choices):
    made = charts.curves_figure(curves, TITLE, View(metric, **choices), axis or charts.Axis(), fit)
    json.dumps(made.to_plotly_json(), cls=PlotlyJSONEncoder)  # what the browser gets
    return made


def by_uid(made) -> dict:
    return {trace.uid: trace for trace in made.data}


def test_every_arm_has_one_line_in_its_colour_and_one_band():
    made = figure(full())
    assert [trace.name for trace in made.data if trace.showlegend is not False] == list(ARMS)
    for arm in ARMS:
        line, band = by_uid(made)[arm], by_uid(made)[f"{arm} band"]
        assert line.line.color == style(arm)[0] and line.mode == "lines" == band.mode
        assert line.legendgroup == band.legendgroup == arm and band.hoverinfo == "skip"
    assert {line.dash for arm in ("base", "scaled") for line in [by_uid(made)[arm].line]} == {"solid"}
    assert {line.dash for arm in ("unscaled", "linear lr") for line in [by_uid(made)[arm].line]} == {"dash", "dot"}


def test_mean_and_bands_are_those_of_the_seeds():
    curves = table(("base", 0, 0, 1.0), ("base", 1, 0, 2.0), ("base", 2, 0, 6.0))
    traces = by_uid(figure(curves, band="min to max"))
    assert list(traces["base"].y) == [3.0] and sorted(traces["base band"].y) == [1.0, 6.0]
    std = np.std([1.0, 2.0, 6.0], ddof=1)
    assert sorted(by_uid(figure(curves, band="± std"))["base band"].y) == pytest.approx([3 - std, 3 + std])
    assert set(by_uid(figure(curves, band="none"))) == {"base"}


def test_single_seeds_lie_beside_the_mean():
    made = figure(full(3), seeds=True)
    assert {"scaled 0", "scaled 1", "scaled 2"} <= set(by_uid(made))
    assert by_uid(made)["scaled 1"].legendgroup == "scaled"
    assert not [uid for uid in by_uid(figure(full(1), seeds=True)) if uid not in ARMS]


def test_axes_say_what_they_count_in_which_unit():
    made = figure(full())
    assert made.layout.xaxis.title.text == "Samples seen since the branch point"
    assert made.layout.yaxis.title.text == "Validation loss (nats per image)"
    assert (made.layout.xaxis.type, made.layout.yaxis.type) == ("linear", "linear")
    steps = figure(full(), axis=charts.Axis(batches=BATCHES), log_y=True)
    assert steps.layout.xaxis.title.text == "Optimizer steps since the branch point"
    assert max(by_uid(steps)["base"].x) == 800 and max(by_uid(steps)["scaled"].x) == 100
    assert steps.layout.yaxis.type == "log"
    scratch = figure(full(), axis=charts.Axis("the initial weights"))
    assert scratch.layout.xaxis.title.text == "Samples seen since the initial weights"


def test_a_log_axis_has_no_zero_and_its_band_stays_above_it():
    curves = table(*[("base", seed, at, value) for at in (0, 8, 16) for seed, value in enumerate((0.1, 0.1, 5.0))])
    traces = by_uid(figure(curves, band="± std", log_x=True, log_y=True))
    assert list(traces["base"].x) == [8, 16] and min(traces["base band"].y) > 0


def test_nan_and_infinity_are_left_out_and_the_others_count():
    curves = table(("base", 0, 0, 1.0), ("base", 1, 0, math.nan), ("base", 2, 0, math.inf), ("base", 0, 8, 2.0),
                   ("base", 1, 8, math.nan), ("base", 2, 8, 4.0))
    line = by_uid(figure(curves))["base"]
    assert list(line.y) == [1.0, 3.0] and list(line.customdata) == [1, 2]
    assert all(np.isfinite(by_uid(figure(curves))["base band"].y.astype(float)))


@pytest.mark.parametrize("options", [{}, {"log_x": True, "log_y": True}, {"seeds": True, "band": "± std"}])
def test_nothing_finite_is_said(options):
    curves = full().assign(value=math.nan)
    made = figure(curves, **options)
    assert [note.text for note in made.layout.annotations] == [charts.NOTHING_FINITE]
    assert {trace.name for trace in made.data if trace.showlegend is not False} == set(ARMS)


def test_no_points_at_all_and_a_metric_that_nobody_measured():
    assert figure(full().iloc[:0]).layout.annotations[0].text == charts.NOTHING_FINITE
    assert figure(full(), "other").layout.annotations[0].text == charts.NOTHING_FINITE


def test_one_point_is_a_dot():
    assert by_uid(figure(table(("base", 0, 0, 1.0))))["base"].mode == "markers"


def test_the_range_can_leave_out_an_arm_that_diverged():
    curves = table(("base", 0, 0, 1.0), ("base", 0, 8, 2.0), ("linear lr", 0, 0, 1.0), ("linear lr", 0, 8, 1e9))
    low, high = figure(curves, fit={"base"}).layout.yaxis.range
    assert 0.8 < low < 1 and 2 < high < 2.2
    low, high = figure(curves, fit={"base"}, log_y=True).layout.yaxis.range
    assert -0.1 < low < 0 and math.log10(2) < high < 0.4
    assert figure(curves).layout.yaxis.range is None and figure(curves, fit=set()).layout.yaxis.range is None


def test_the_view_is_kept_and_traces_are_known_by_name():
    first, later = figure(full().query("samples < 2000")), figure(full(), seeds=True)
    assert first.layout.uirevision == later.layout.uirevision == "kept"
    assert set(by_uid(first)) < set(by_uid(later)) and len(by_uid(later)) == len(later.data)


@pytest.mark.parametrize(("batches", "log_x", "ends"), [
    (None, False, (0, 6400)), (None, True, (math.log10(256), math.log10(6400))),
    (BATCHES, False, (0, 800)),  # the smallest batch takes the most steps
    (BATCHES, True, (math.log10(4), math.log10(800)))])
def test_the_x_axis_is_as_long_as_the_plan_from_the_first_point_on(batches, log_x, ends):
    axis = charts.Axis(points=(0, 256, 6400), batches=batches)
    for curves in (full().query("samples < 600"), full()):
        assert figure(curves, axis=axis, log_x=log_x).layout.xaxis.range == pytest.approx(ends)


def test_without_a_plan_the_curves_set_the_x_axis():
    assert figure(full()).layout.xaxis.range is None and figure(full(), axis=charts.Axis(points=(0,))).layout.xaxis.range is None
