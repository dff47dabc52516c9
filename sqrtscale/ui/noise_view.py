"""What was measured of the gradient: which regime the run was in, and whether its noise is Gaussian enough."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from ..diagnostics import REGIME
from ..evidence import Index, LayerTails, Regime, describe_skewness, describe_tails, layer_tails
from ..plan import WARM_START
from ..report import followed
from ..report.noise_law import law_sentence
from ..rules import family
from ..store import CalibrationRecord
from . import charts, curve_view, live_plot
from .colours import SCALED, UNSCALED
from .tables import escaped, sentence
from .view import View

LABELS = {"noise_scale": "Noise scale", "ratio": "Second moments, base / scaled", "update_rms": "Update size",
          "lr_factor": "Learning rate over base's", "eps_share": "Share of epsilon", "clipped": "Clipped steps",
          "skipped": "Skipped steps"}

WORDS = {"noise_scale": "tr Σ / |G|² in samples [McCandlish et al. 2018]. The rule is made for batches well below it.",
         "ratio": "mean v of base over mean v of scaled: κ where noise dominates, 1 where the signal does."}


def show(record: CalibrationRecord, points: pd.DataFrame, measured: Mapping[str, Regime]) -> None:
    """The regime in a sentence, its plots, and the tails; nothing where nothing was measured."""
    if "scaled" not in measured:
        return
    box = st.expander("Gradient noise: was it a test of the rule?", on_change="rerun", key=f"noise-of-{record.id}")
    if not box.open:  # drawn only for those who look
        return
    arms = points[points["arm"] != WARM_START]
    with box:
        st.markdown(sentence(measured["scaled"].sentence))
        metrics = [name for name in LABELS if name in ("noise_scale", "ratio") or (arms["metric"] == name).any()]
        chosen = st.segmented_control("Measured", metrics, default=metrics[0], required=True, wrap=True,
                                      key="measured", format_func=LABELS.__getitem__)
        live_plot.show(_figure(record, arms, chosen), key=f"noise-{chosen}", alt=WORDS.get(chosen) or REGIME[chosen].meaning,
                       file=curve_view.file_name(record, LABELS[chosen]))
        if chosen == "lr_factor":
            st.caption(sentence(followed(record.plan, arms)))
        _tails(arms, in_lab=family(record.plan.base.optimizer).moments is not None)


def _figure(record: CalibrationRecord, arms: pd.DataFrame, name: str) -> go.Figure:
    plan, axis = record.plan, curve_view.axis_of(record)
    if name not in ("noise_scale", "ratio"):
        title = f"{LABELS[name]} ({unit})" if (unit := REGIME[name].unit) != "1" else LABELS[name]
        return charts.curves_figure(arms, title, View(name), axis)
    table = _noise_scale(arms) if name == "noise_scale" else _ratio(arms)
    title = f"{LABELS[name]} (samples)" if name == "noise_scale" else LABELS[name]
    figure = charts.curves_figure(table, title, View(name), axis)
    lines = [(f"target batch {plan.target_batch}", plan.target_batch, SCALED)] if name == "noise_scale" else [
        ("κ: noise alone", plan.arm_kappa("scaled"), SCALED), ("1: signal alone", 1, UNSCALED)]
    for label, value, colour in lines:  # traces, because a line across a logarithmic axis stretches it (Plotly 7.1)
        figure.add_scatter(x=[0, plan.samples], y=[value, value], mode="lines", name=label, hoverinfo="skip",
                           line={"dash": "dot", "color": colour, "width": 1.5})
    figure.update_yaxes(type="log" if name == "noise_scale" else "linear")
    return figure


def _noise_scale(arms: pd.DataFrame) -> pd.DataFrame:
    """The ratio of the seeds' averages at every point, as a curve without seeds."""
    means = arms[arms["metric"].isin(["noise", "signal"])].groupby(["arm", "samples", "metric"], sort=False)["value"].mean()
    table = means.unstack("metric").reset_index()
    value = np.where(table["signal"] > 0, table["noise"] / table["signal"], np.nan)
    return table[["arm", "samples"]].assign(seed=0, metric="noise_scale", value=value)


def _ratio(arms: pd.DataFrame) -> pd.DataFrame:
    """v of base over v of the scaled arm, seed by seed."""
    moments = arms[arms["metric"] == "second_moment"].pivot_table(index=["seed", "samples"], columns="arm", values="value")
    ratio = (moments["base"] / moments["scaled"]).rename("value").reset_index()
    return ratio.assign(arm="scaled", metric="ratio")


def _tails(arms: pd.DataFrame, in_lab: bool) -> None:
    """Tails and skewness in words and layer by layer; in_lab: whether the optimizer's moments are those of the lab's SDEs."""
    indices = layer_tails(arms)
    if not indices:
        return
    said = {"Tails": escaped(describe_tails(indices)), "Skewness": escaped(describe_skewness(indices)),
            "In the lab": sentence(law_sentence(indices)) if in_lab else ""}
    st.markdown("\n\n".join(f"**{title}.** {text}" for title, text in said.items() if text))
    rows = [(tail.arm, tail.layer, f"{tail.samples:,}", _index(tail.stable), _index(tail.hill), _skewness(tail),
             f"{tail.not_normal:.0%}") for tail in indices]
    st.dataframe(pd.DataFrame(rows, columns=["Arm", "Layer", "Samples", "Stable index", "Hill index", "Skewness", "Not normal"]),
                 hide_index=True, width="stretch", alt="Tail index and skewness of every layer's gradient noise")


def _skewness(tails: LayerTails) -> str:
    if tails.skewness is None:
        return "not measured" if tails.stable else ""
    return f"{tails.skewness.size:.2f} ({tails.skewness.low:.2f} to {tails.skewness.high:.2f})"


def _index(index: Index | None) -> str:
    return "" if index is None else f"{index.alpha:.2f} ({index.low:.2f} to {index.high:.2f})"
