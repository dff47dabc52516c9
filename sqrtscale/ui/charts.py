"""Figures of curves: one line per arm with its band over seeds. Pure: a table goes in, a figure comes out."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from .colours import faint, style
from .view import BANDS, View

NOTHING_FINITE = "No finite value was measured."
MARGIN = 0.05  # of the range that is kept free above and below the fitted arms


@dataclass(frozen=True)
class Axis:
    """The x axis: where its count starts, and what it counts.

    points: the samples at which every arm is going to be measured, so that the axis has its length from the start; empty: as
    long as the curves are. batches: arm -> batch size, given when it counts optimizer steps instead of what is ``counted``,
    samples or tokens.
    """

    since: str = "the branch point"
    points: Sequence[int] = ()
    batches: Mapping[str, int] | None = None
    counted: str = "samples"

    @property
    def title(self) -> str:
        return f"{'Optimizer steps' if self.batches else f'{self.counted.capitalize()} seen'} since {self.since}"

    def range(self, log: bool) -> list[float] | None:
        """Its ends in the axis' own units; None where the curves set them."""
        if len(self.points) < 2:
            return None
        sizes = list((self.batches or {"": 1}).values())
        last = self.points[-1] / min(sizes)
        return [math.log10(self.points[1] / max(sizes)), math.log10(last)] if log else [0, last]


def curves_figure(
    curves: pd.DataFrame, title: str, view: View, axis: Axis = Axis(), fit: Collection[str] | None = None,
) -> go.Figure:
    """Mean curve of every arm over its seeds, with a band and, if wanted, every single seed.

    curves: columns arm, seed, metric, samples, value; title: of the y axis; fit: the arms that set the range of the y axis
    (default: all). NaN and infinity are left out of mean and band.
    """
    chosen, batches = curves[curves["metric"] == view.metric], axis.batches
    chosen = chosen.assign(x=chosen["samples"] / chosen["arm"].map(batches) if batches else chosen["samples"],
                           value=chosen["value"].where(np.isfinite(chosen["value"])))
    if view.log_x:
        chosen = chosen[chosen["x"] > 0]  # zero has no place on a logarithmic axis
    figure = go.Figure()
    for place, arm in enumerate(dict.fromkeys(curves["arm"])):
        figure.add_traces(_arm(chosen[chosen["arm"] == arm], arm, style(arm, place), view))
    figure.update_layout(
        height=380, margin={"l": 64, "r": 12, "t": 36, "b": 52}, hovermode="x unified", uirevision="kept",
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0, "xanchor": "left"},
        xaxis={"title": {"text": axis.title}, "type": "log" if view.log_x else "linear", "range": axis.range(view.log_x),
               "automargin": True},
        yaxis={"title": {"text": title}, "type": "log" if view.log_y else "linear", "automargin": True})
    if fit is not None and (bounds := _range(chosen[chosen["arm"].isin(fit)]["value"], view.log_y)):
        figure.update_yaxes(range=bounds)
    if not chosen["value"].notna().any():
        figure.add_annotation(text=NOTHING_FINITE, x=0.5, y=0.5, xref="paper", yref="paper", showarrow=False)
    return figure


def _arm(curves: pd.DataFrame, arm: str, look: tuple[str, str], view: View) -> list[go.Scatter]:
    """The traces of one arm: band, single seeds, mean. A uid each: what a user hides is known by it while data grow."""
    colour, dash = look
    points = curves.groupby("x")["value"].agg(["mean", "std", "min", "max", "count"]).reset_index()
    several = len(points) and points["count"].max() > 1
    traces = []
    if several and view.band != "none":
        low, high = (points["min"], points["max"]) if view.band == BANDS[0] else (
            points["mean"] - points["std"], points["mean"] + points["std"])
        if view.log_y:
            low = low.where(low > 0, points["min"])
        shown = points[low.notna() & high.notna()].index
        traces.append(go.Scatter(
            uid=f"{arm} band", mode="lines", x=np.concatenate([points["x"][shown], points["x"][shown][::-1]]),
            y=np.concatenate([low[shown], high[shown][::-1]]), fill="toself", fillcolor=faint(colour, 0.16),
            line={"width": 0}, hoverinfo="skip", showlegend=False, legendgroup=arm, name=f"{arm} band"))
    if view.seeds and several:
        traces += [go.Scatter(
            uid=f"{arm} {seed}", x=run["x"].to_numpy(), y=run["value"].to_numpy(), mode="lines", name=f"{arm}, seed {seed}",
            line={"color": faint(colour, 0.55), "width": 1, "dash": dash}, showlegend=False, legendgroup=arm,
            hoverinfo="skip") for seed, run in curves.groupby("seed")]
    single = points["mean"].notna().sum() == 1  # one point makes no line
    traces.append(go.Scatter(
        uid=arm, x=points["x"].to_numpy(), y=points["mean"].to_numpy(), mode="markers" if single else "lines", name=arm,
        legendgroup=arm, line={"color": colour, "width": 2.5, "dash": dash}, marker={"color": colour, "size": 8},
        customdata=points["count"].to_numpy(),
        hovertemplate="%{y:.6g}" + (" (%{customdata} seeds)" if several else "")))
    return traces


def _range(values: pd.Series, log: bool) -> list[float] | None:
    """Ends of an axis that holds the values with a margin, in the axis' own units; None without values."""
    kept = values[values > 0] if log else values.dropna()
    if kept.empty:
        return None
    low, high = (math.log10(kept.min()), math.log10(kept.max())) if log else (float(kept.min()), float(kept.max()))
    margin = MARGIN * ((high - low) or abs(high) or 1.0)
    return [low - margin, high + margin]
