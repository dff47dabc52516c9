"""Figures of curves: one line per arm with its band over seeds. Pure: a table goes in, a figure comes out."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from .colours import ARM_COLOURS, ARM_DASHES, UNSCALED, faint

METRIC_LABELS = {"val_loss": "Validation loss", "train_loss": "Train loss", "val_accuracy": "Validation accuracy"}
BANDS = ("min to max", "± std", "none")
AXES = {"samples": "Samples seen since the branch point", "steps": "Optimizer steps since the branch point"}


def curves_figure(
    curves: pd.DataFrame, metric: str, unit: str, *, band: str = BANDS[0], seeds: bool = False, log_x: bool = False,
    log_y: bool = False, batches: Mapping[str, int] | None = None, x_title: str | None = None,
) -> go.Figure:
    """Mean curve of every arm over its seeds, with a band and, if wanted, every single seed.

    curves: columns arm, seed, metric, samples, value; band: one of BANDS; batches: arm -> batch size, given
    when the x axis counts optimizer steps instead of samples. NaN values are left out of mean and band.
    """
    figure = go.Figure()
    chosen = curves[curves["metric"] == metric]
    for arm in [name for name in dict.fromkeys(curves["arm"])]:
        mine = chosen[chosen["arm"] == arm].assign(value=lambda table: table["value"].where(np.isfinite(table["value"])))
        colour, dash = ARM_COLOURS.get(arm, UNSCALED), ARM_DASHES.get(arm, "dash")
        per = batches[arm] if batches else 1
        points = mine.groupby("samples")["value"].agg(["mean", "std", "min", "max", "count"]).reset_index()
        points["x"] = points["samples"] / per
        several = len(points) and points["count"].max() > 1
        if several and band != "none":
            low, high = (points["min"], points["max"]) if band == BANDS[0] else (
                points["mean"] - points["std"], points["mean"] + points["std"])
            shown = points[low.notna() & high.notna()].index
            figure.add_trace(go.Scatter(
                x=np.concatenate([points["x"][shown], points["x"][shown][::-1]]),
                y=np.concatenate([low[shown], high[shown][::-1]]), fill="toself", fillcolor=faint(colour, 0.16),
                line={"width": 0}, hoverinfo="skip", showlegend=False, legendgroup=arm, name=f"{arm} band"))
        if seeds and several:
            for seed, one in mine.groupby("seed"):
                figure.add_trace(go.Scatter(
                    x=(one["samples"] / per).to_numpy(), y=one["value"].to_numpy(), mode="lines", name=f"{arm}, seed {seed}",
                    line={"color": faint(colour, 0.55), "width": 1, "dash": dash}, showlegend=False, legendgroup=arm,
                    hoverinfo="skip"))
        single = len(points) == 1
        figure.add_trace(go.Scatter(
            x=points["x"].to_numpy(), y=points["mean"].to_numpy(), mode="markers" if single else "lines", name=arm,
            legendgroup=arm, line={"color": colour, "width": 2.5, "dash": dash}, marker={"color": colour, "size": 8},
            hovertemplate="%{y:.5g}"))
    label = METRIC_LABELS.get(metric, metric)
    figure.update_layout(
        height=380, margin={"l": 64, "r": 12, "t": 36, "b": 52}, hovermode="x unified", uirevision="kept",
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0, "xanchor": "left"},
        xaxis={"title": {"text": x_title or AXES["steps" if batches else "samples"]}, "type": "log" if log_x else "linear",
               "automargin": True},
        yaxis={"title": {"text": f"{label} ({unit})" if unit else label}, "type": "log" if log_y else "linear",
               "automargin": True})
    return figure
