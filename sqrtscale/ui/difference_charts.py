"""Figures of the difference to base, against the margin: over samples, and as a forest plot of what the verdict tests.

Pure: a table or verdicts go in, a figure comes out.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import count

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from ..evidence import Functional, Verdict
from .colours import UNSCALED, faint, style

FURTHEST = 6.0  # margins from zero that an axis shows at most, so that a control far away does not squeeze the margin
ROW, FRAME = 24, 96  # pixels of a line of the forest plot, and of what stands around them
SYMBOLS = {"matches": "✓", "differs": "✗", "cannot tell": "?", "not a test": "–"}  # no meaning by colour alone


def over_samples(differences: pd.DataFrame, margin: float, unit: str, since: str = "the branch point") -> go.Figure:
    """The mean difference of every arm to base over samples with its interval, the margin as a band around zero.

    differences: as ``evidence.differences_over_samples`` gives them; margin: in ``unit``; since: where samples are counted from.
    """
    figure = go.Figure()
    draw_margin(figure, margin, "y")
    for place, arm in enumerate(dict.fromkeys(differences["arm"])):
        points, (colour, dash) = differences[differences["arm"] == arm], style(arm, place)
        samples, low, high = (points[name].to_numpy(float) for name in ("samples", "low", "high"))
        if points["pairs"].max() > 1:
            figure.add_scatter(
                uid=f"{arm} interval", name=f"{arm} interval", mode="lines", x=np.concatenate([samples, samples[::-1]]),
                y=np.concatenate([low, high[::-1]]), fill="toself", fillcolor=faint(colour, 0.14), line={"width": 0},
                hoverinfo="skip", showlegend=False, legendgroup=arm)
        figure.add_scatter(
            uid=arm, name=arm, x=samples, y=points["difference"].to_numpy(float), mode="lines" if len(points) > 1 else "markers",
            legendgroup=arm, line={"color": colour, "width": 2.5, "dash": dash}, marker={"color": colour, "size": 8},
            customdata=np.column_stack([low, high]),
            hovertemplate="%{y:+.4g} (%{customdata[0]:+.4g} to %{customdata[1]:+.4g})" if points["pairs"].max() > 1
            else "%{y:+.4g}")
    figure.update_layout(
        height=320, margin={"l": 64, "r": 12, "t": 36, "b": 52}, hovermode="x unified", uirevision="kept",
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0, "xanchor": "left"},
        xaxis={"title": {"text": f"Samples seen since {since}"}, "automargin": True, "rangemode": "tozero"},
        yaxis={"title": {"text": f"Difference ({unit})"}, "automargin": True,
               "range": bounds(margin, differences[["difference", "low", "high"]].to_numpy(float))})
    return figure


def forest(verdicts: Mapping[str, Verdict]) -> go.Figure:
    """Each arm's interval in each functional against the margin, the verdict's word at the right."""
    tested = {arm: verdict for arm, verdict in verdicts.items() if verdict.functionals or verdict.reason == "diverged"}
    margin = next((verdict.margin for verdict in tested.values()), None)
    figure, lines, labels = go.Figure(), count(), []
    if margin is None:
        return figure
    ends = bounds(margin.value, np.array([value for verdict in tested.values() for test in verdict.functionals
                                          for value in (test.difference, test.low, test.high)]))
    draw_margin(figure, margin.value, "x")
    for place, (arm, verdict) in enumerate(tested.items()):
        colour, _ = style(arm, place)
        title = next(lines)
        labels.append("")
        for text, side, inset in ((f"<b>{arm}</b>", "left", 0.0),
                                  (f"<b>{SYMBOLS[verdict.outcome]} {verdict.outcome}</b>", "right", 1.0)):
            figure.add_annotation(text=text, x=inset, xref="paper", xanchor=side, y=title, yref="y", yanchor="middle",
                                  showarrow=False)
        heights = [next(lines) for _ in verdict.functionals]
        labels += [test.name for test in verdict.functionals]
        if verdict.functionals:
            figure.add_trace(_intervals(arm, verdict.functionals, heights, colour, ends))
            figure.add_traces(_open_ends(arm, verdict.functionals, heights, colour, ends))
    total = next(lines)
    figure.update_layout(
        height=FRAME + ROW * total, margin={"l": 96, "r": 12, "t": 12, "b": 52}, showlegend=False, uirevision="kept",
        xaxis={"title": {"text": f"Difference to base ({margin.unit})"}, "range": ends, "automargin": True},
        yaxis={"title": {"text": "Measured over"}, "range": [total - 0.4, -0.6], "tickmode": "array",
               "tickvals": list(range(total)), "ticktext": labels, "showgrid": False, "zeroline": False, "automargin": True})
    return figure


def _intervals(arm: str, tests: tuple[Functional, ...], heights: list[int], colour: str, ends: list[float]) -> go.Scatter:
    """The dots of an arm with their intervals; what lies outside the axis is an arrow at its end."""
    low, high = ends
    inside = [min(max(test.difference, low), high) for test in tests]
    symbols = ["triangle-left" if test.difference < low else "triangle-right" if test.difference > high else "circle"
               for test in tests]
    several = all(math.isfinite(test.low) for test in tests)  # one pair has no interval
    upward = [max(min(test.high, high) - at, 0) for test, at in zip(tests, inside, strict=True)]
    downward = [max(at - max(test.low, low), 0) for test, at in zip(tests, inside, strict=True)]
    words = [f"{test.difference:+.4g}" + (f" ({test.low:+.4g} to {test.high:+.4g})" if several else "") for test in tests]
    return go.Scatter(
        uid=arm, name=arm, x=inside, y=heights, mode="markers", cliponaxis=False, customdata=words,
        marker={"color": colour, "size": 10, "symbol": symbols}, hovertemplate="%{customdata}",
        error_x={"type": "data", "array": upward, "arrayminus": downward, "color": colour, "thickness": 2.5, "width": 5}
        if several else None)


def _open_ends(arm: str, tests: tuple[Functional, ...], heights: list[int], colour: str, ends: list[float]) -> list[go.Scatter]:
    """Small arrows where an interval goes on beyond the axis, so that its cut does not look like its end."""
    low, high = ends
    inside = [(test, at) for test, at in zip(tests, heights, strict=True) if low <= test.difference <= high]
    cut = [(low, at, "triangle-left") for test, at in inside if -math.inf < test.low < low]
    cut += [(high, at, "triangle-right") for test, at in inside if high < test.high < math.inf]
    if not cut:
        return []
    x, y, symbols = zip(*cut, strict=True)
    return [go.Scatter(uid=f"{arm} open ends", name=f"{arm} open ends", x=x, y=y, mode="markers", cliponaxis=False,
                       hoverinfo="skip", marker={"color": colour, "size": 8, "symbol": symbols})]


def draw_margin(figure: go.Figure, margin: float, axis: str) -> None:
    """Zero as a line and the margin as a band around it with dotted edges, across the whole figure."""
    along, across = axis, "x" if axis == "y" else "y"
    band = {f"{along}0": -margin, f"{along}1": margin, f"{across}0": 0, f"{across}1": 1, f"{across}ref": "paper"}
    figure.add_shape(type="rect", layer="below", fillcolor=faint(UNSCALED, 0.2), line={"width": 0}, **band)
    for value, dash in ((0.0, "solid"), (-margin, "dot"), (margin, "dot")):
        line = band | {f"{along}0": value, f"{along}1": value}
        figure.add_shape(type="line", layer="below", line={"color": UNSCALED, "width": 1.5, "dash": dash}, **line)


def bounds(margin: float, values: np.ndarray) -> list[float]:
    """Ends of an axis: the values and the whole margin, but no more than FURTHEST margins from zero."""
    finite = values[np.isfinite(values)]
    low, high = (float(end) for end in (finite.min(initial=0), finite.max(initial=0)))
    most = FURTHEST * margin
    return [max(min(1.1 * low, -1.5 * margin), -most), min(max(1.1 * high, 1.5 * margin), most)]
