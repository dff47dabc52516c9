"""Figures of several calibrations: who is told apart by what, and where the margins lie."""

from __future__ import annotations

import json
from itertools import product

import numpy as np
import pandas as pd
import pytest
from plotly.utils import PlotlyJSONEncoder

from sqrtscale.ui import compare_charts
from sqrtscale.ui.colours import BASE, LINEAR_LR, SCALED, UNSCALED
from sqrtscale.ui.compare_charts import COLOURS, DASHES, MOST_BANDS, SYMBOLS
from sqrtscale.ui.compare_link import MOST, MOST_ARMS

TITLES = ("Samples seen", "Difference (margins)")


def table(places: int, arms=("scaled",), height: float = 0.5, diverged=()) -> pd.DataFrame:
    """A line a calibration and arm, at ``height`` and a tenth above the one before it."""
    return pd.concat([
        pd.DataFrame({"place": place, "arm": arm, "x": np.arange(1.0, 6), "value": height + 0.1 * place,
                      "low": height + 0.1 * place - 0.2, "high": height + 0.1 * place + 0.2, "seeds": 3,
                      "diverged": (place, arm) in diverged}) for place, arm in product(range(places), arms)], ignore_index=True)


def checked(figure):
    json.dumps(figure.to_plotly_json(), cls=PlotlyJSONEncoder)
    uids = [trace.uid for trace in figure.data]
    assert len(set(uids)) == len(uids)
    return {trace.name: trace for trace in figure.data}


def luminance(colour: str) -> float:
    """Relative luminance (WCAG 2.1)."""
    parts = [int(colour[i:i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


@pytest.mark.parametrize("background", ["#FFFFFF", "#0E1117"])
@pytest.mark.parametrize("colour", COLOURS)
def test_every_line_is_seen_on_both_themes(colour, background):
    light, dark = sorted((luminance(colour), luminance(background)), reverse=True)
    assert (light + 0.05) / (dark + 0.05) >= 3


def test_calibrations_differ_by_more_than_colour_and_take_nobodys_meaning():
    assert len(DASHES) >= MOST_ARMS and len(SYMBOLS) >= MOST and len(set(SYMBOLS.values())) == len(SYMBOLS)
    assert not set(COLOURS) & {BASE, SCALED, UNSCALED, LINEAR_LR}
    traces = checked(compare_charts.courses(table(MOST), ["scaled"], TITLES))
    assert list(traces) == [*"ABCDEFGHIJKL"]
    assert len({trace.marker.symbol for trace in traces.values()}) == MOST
    assert [compare_charts.mark(place) for place in range(3)] == ["●", "■", "◆"]


def test_dashes_tell_the_arms_apart_in_the_order_of_the_choice():
    traces = checked(compare_charts.courses(table(2, ("base", "scaled")), ["scaled", "base"], TITLES))
    lines = {name: (trace.line.color, trace.line.dash) for name, trace in traces.items() if "band" not in name}
    assert lines == {f"{letter} {arm}": (colour, dash) for letter, colour in zip("AB", COLOURS, strict=False)
                     for arm, dash in zip(("scaled", "base"), DASHES, strict=False)}
    assert list(traces["A scaled"].y) == [0.5] * 5 and list(traces["B scaled band"].y) == pytest.approx([0.4] * 5 + [0.8] * 5)


def test_many_lines_have_no_bands():
    assert len(compare_charts.courses(table(MOST_BANDS), ["scaled"], TITLES).data) == 2 * MOST_BANDS
    assert len(compare_charts.courses(table(MOST_BANDS + 1), ["scaled"], TITLES).data) == MOST_BANDS + 1


def test_one_margin_is_a_band_and_several_are_lines_in_the_colours():
    figure = compare_charts.differences(table(2), ["scaled"], TITLES, [1.0, 1.0])
    checked(figure)
    band = figure.layout.shapes[0]
    assert (band.type, band.y0, band.y1) == ("rect", -1, 1)
    figure = compare_charts.differences(table(2), ["scaled"], TITLES, [0.1, 0.2])
    lines = {shape.y0: shape.line.color for shape in figure.layout.shapes if shape.line.dash == "dot"}
    assert lines == {-0.1: COLOURS[0], 0.1: COLOURS[0], -0.2: COLOURS[1], 0.2: COLOURS[1]}
    assert not any(shape.type == "rect" for shape in figure.layout.shapes)


def test_a_difference_far_away_does_not_squeeze_the_margin():
    figure = compare_charts.differences(table(2, height=50.0), ["scaled"], TITLES, [1.0, 1.0])
    assert figure.layout.yaxis.range == (-1.5, 6.0)
    unknown = compare_charts.differences(table(1), ["scaled"], TITLES, [float("nan")])
    assert not unknown.layout.shapes and unknown.layout.yaxis.range is None


def test_what_diverged_does_not_set_the_range():
    rows = table(2, diverged={(1, "scaled")})
    rows.loc[rows["place"] == 1, ["value", "high"]] = 1e6
    low, high = compare_charts.courses(rows, ["scaled"], TITLES).layout.yaxis.range
    assert (low, high) == pytest.approx((0.3 - 0.02, 0.7 + 0.02))  # 5 % of the range on either side
