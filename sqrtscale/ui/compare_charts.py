"""Figures of several calibrations over each other. Pure: a table of ``report.comparison`` goes in, a figure comes out.

Colour and symbol tell calibrations apart and dashes their arms. Blue and orange, which mean base and scaled, and the greys of the
controls are not used for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from .colours import faint
from .difference_charts import bounds, draw_margin

COLOURS = ("#8B5CF6", "#0D9488", "#DB2777", "#6B8E00", "#B45309", "#0891B2")
SYMBOLS = {"circle": "●", "square": "■", "diamond": "◆", "triangle-up": "▲", "triangle-down": "▼", "star": "★",
           "circle-open": "○", "square-open": "□", "diamond-open": "◇", "triangle-up-open": "△", "triangle-down-open": "▽",
           "star-open": "☆"}  # Plotly's name -> the same as text
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
MOST_BANDS = 6  # lines that have their interval drawn; more would hide each other
MARKS = 10  # symbols along a line
LEGEND_ENTRY = 10  # pixels that a further line of the legend may take: two stand beside each other on a telephone


def mark(place: int) -> str:
    """The symbol of the calibration at that place, as text."""
    return list(SYMBOLS.values())[place % len(SYMBOLS)]


def letter(place: int) -> str:
    """The letter of the calibration at that place."""
    return chr(ord("A") + place)


def differences(table: pd.DataFrame, chosen: Sequence[str], titles: tuple[str, str], margins: Sequence[float]) -> go.Figure:
    """The differences to base of ``comparison.differences``, the margin as a band where all have the same, else as dotted lines.

    chosen: the arms, in the order of their dashes; titles: of the axes; margins: of every calibration, in the unit of the table.
    """
    figure = _lines(table, chosen, titles)
    known = [margin for margin in margins if np.isfinite(margin)]
    if not known:
        return figure
    if np.allclose(known, known[0], rtol=1e-9):
        draw_margin(figure, known[0], "y")
    else:
        figure.add_hline(0, layer="below", line={"color": faint("#6B7280", 1), "width": 1.5})
        for (place, margin), side in product(enumerate(margins), (-1, 1)):
            if np.isfinite(margin):
                figure.add_hline(side * margin, layer="below", line={"color": _colour(place), "width": 1.5, "dash": "dot"})
    figure.update_yaxes(range=bounds(max(known), table[["value", "low", "high"]].to_numpy(float)))
    return figure


def courses(table: pd.DataFrame, chosen: Sequence[str], titles: tuple[str, str]) -> go.Figure:
    """The curves of ``comparison.courses``; arms with a run that diverged do not set the range of the axis."""
    figure = _lines(table, chosen, titles)
    kept = table[~table["diverged"].astype(bool)]
    if not kept.empty:
        low, high = float(kept["low"].min()), float(kept["high"].max())
        free = 0.05 * ((high - low) or abs(high) or 1.0)
        figure.update_yaxes(range=[low - free, high + free])
    return figure


def _lines(table: pd.DataFrame, chosen: Sequence[str], titles: tuple[str, str]) -> go.Figure:
    figure = go.Figure()
    lines = table[["place", "arm"]].drop_duplicates()
    for place, (which, arm) in product(sorted(set(lines["place"])), enumerate(chosen)):
        points = table[(table["place"] == place) & (table["arm"] == arm)]
        if not points.empty:
            name = letter(place) + (f" {arm}" if len(chosen) > 1 else "")
            figure.add_traces(_line(points, name, place, DASHES[which % len(DASHES)], len(lines) <= MOST_BANDS))
    figure.update_layout(
        height=380 + LEGEND_ENTRY * max(len(lines) - MOST_BANDS, 0), margin={"l": 64, "r": 12, "t": 36, "b": 52},
        hovermode="x unified", uirevision="kept", showlegend=True,
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0, "xanchor": "left"},
        xaxis={"title": {"text": titles[0]}, "automargin": True, "rangemode": "tozero"},
        yaxis={"title": {"text": titles[1]}, "automargin": True})
    return figure


def _line(points: pd.DataFrame, name: str, place: int, dash: str, band: bool) -> list[go.Scatter]:
    """The interval of a line, where it has one and it is wanted, and the line with its symbols."""
    colour = _colour(place)
    x, y, low, high = (points[column].to_numpy(float) for column in ("x", "value", "low", "high"))
    several = bool(points["seeds"].max() > 1)
    traces = []
    if band and several:
        traces.append(go.Scatter(
            uid=f"{name} band", name=f"{name} band", mode="lines", x=np.concatenate([x, x[::-1]]),
            y=np.concatenate([low, high[::-1]]), fill="toself", fillcolor=faint(colour, 0.14), line={"width": 0},
            hoverinfo="skip", showlegend=False, legendgroup=name))
    traces.append(go.Scatter(
        uid=name, name=name, x=x, y=y, mode="lines+markers", legendgroup=name, line={"color": colour, "width": 2.5, "dash": dash},
        marker={"color": colour, "size": 9, "symbol": list(SYMBOLS)[place % len(SYMBOLS)], "maxdisplayed": MARKS},
        customdata=np.column_stack([low, high]),
        hovertemplate="%{y:.4g}" + (" (%{customdata[0]:.4g} to %{customdata[1]:.4g})" if several else "")))
    return traces


def _colour(place: int) -> str:
    return COLOURS[place % len(COLOURS)]
