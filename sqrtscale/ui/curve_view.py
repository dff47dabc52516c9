"""The curves of one calibration with the choices of how to see them."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from ..plan import WARM_START
from ..store import CalibrationRecord, Store
from ..tasks import task
from . import charts, live_plot, runs

BEGINNING = "the initial weights"


@st.cache_data(max_entries=50, max_size="100MB", show_spinner=False)
def curves(_store: Store, id: str, version: str) -> pd.DataFrame:
    """The points of a calibration, read once for every version of them (``store.curves_version``)."""
    return _store.curves(id)


def show(record: CalibrationRecord, points: pd.DataFrame) -> None:
    """The chart of the arms with its choices."""
    if points.empty:
        st.info("No points were measured." if record.final else "Curves appear here after the first measurement.")
        return
    plan, metrics = record.plan, task(record.plan.task).metrics
    arms = points[points["arm"] != WARM_START]
    lost = set(runs.diverged(record)) & set(arms["arm"])
    with st.container(horizontal=True, vertical_alignment="bottom"):
        metric = st.segmented_control("Metric", list(metrics), default=task(plan.task).judged, required=True, wrap=True,
                                      key=f"metric-{plan.task}", format_func=lambda name: metrics[name].label)
        band = st.segmented_control("Band over seeds", charts.BANDS, default=charts.BANDS[0], required=True, key="band")
        with st.popover("View"):
            seeds = st.toggle("Single seeds", key="single-seeds")
            log_x, log_y = st.toggle("Log x", key="log-x"), st.toggle("Log y", key="log-y")
            steps = st.toggle("Optimizer steps instead of samples", key="steps-axis")
            whole = st.toggle("Range of arms that diverged", key="whole-range", disabled=not lost,
                              help="Off: the y axis fits the arms that trained; one that diverged leaves the chart.")
    if not arms.empty:
        batches = {arm.name: arm.config.batch_size for arm in plan.arms} if steps else None
        figure = charts.curves_figure(
            arms, metric, metrics[metric].title, band=band, seeds=seeds, log_x=log_x, log_y=log_y, batches=batches,
            since="the branch point" if plan.warm_samples else BEGINNING,
            fit=None if whole or not lost else set(arms["arm"]) - lost)
        live_plot.show(figure, key=f"arms-{metric}-{steps}-{log_x}-{log_y}", alt=_words(arms["seed"].nunique(), band))


def warm_start(record: CalibrationRecord, points: pd.DataFrame) -> None:
    """The curve that leads to the branch point, in the metric chosen above; folded once the arms have begun."""
    warm, about = points[points["arm"] == WARM_START], task(record.plan.task)
    if warm.empty:
        return
    metric = st.session_state.get(f"metric-{record.plan.task}", about.judged)
    with st.expander("Warm start", expanded=len(warm) == len(points)):
        live_plot.show(charts.curves_figure(warm, metric, about.metrics[metric].title, since=BEGINNING), key=f"warm-{metric}",
                       alt="The base configuration up to the branch point, from which every arm starts.")


def _words(seeds: int, band: str) -> str:
    if seeds == 1:
        return "One seed of every arm."
    return f"Mean over {seeds} seeds of every arm" + ("." if band == "none" else f"; band: {band}.")
