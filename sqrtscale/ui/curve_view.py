"""The curves of one calibration with the choices of how to see them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields

import pandas as pd
import streamlit as st

from ..plan import WARM_START
from ..report import comparable
from ..store import CalibrationRecord, Record, Store
from . import charts, live_plot, runs, view
from .state import put, went_back
from .view import View

BEGINNING = "the initial weights"
SHOWN = "view"  # the id of the calibration that was shown last


@st.cache_data(max_entries=50, max_size="100MB", show_spinner=False)
def curves(_store: Store, id: str, version: str) -> pd.DataFrame:
    """The points of what is stored under that id, read once for every version of them (``store.curves_version``)."""
    return comparable(_store, _store.record(id))


def file_name(record: Record, chart: str) -> str:
    """What a picture of one of its charts is called."""
    return live_plot.file_name(record.title, chart)


def open_view(record: Record) -> None:
    """Set the choices as the address has them, where it is new to them: a link, another calibration, Back or Forward.

    For the page's own run alone: what looks again by itself is no Back.
    """
    plan, keys = record.plan, _keys(record)
    address = view.carried(st.query_params.to_dict())
    st.query_params.from_dict(st.query_params.to_dict())  # Streamlit 1.67 leaves the browser's after a link on the same page
    if went_back() or st.session_state.get(SHOWN) != record.id or keys["band"] not in st.session_state:
        asked = view.read(address, plan.metrics, plan.judged)
        put({key: getattr(asked, choice) for choice, key in keys.items()})
        st.session_state[SHOWN] = record.id


def _keys(record: Record) -> dict[str, str]:
    """Field of a View -> key of its widget, which no other record shares: a busy browser may send those of the last one."""
    return {field.name: f"{field.name}-{record.id}" for field in fields(View)}


def _save(record: Record, chosen: View) -> None:
    """Write every choice that differs from its default into the address."""
    texts, address = view.texts_of(chosen, record.plan.judged), st.query_params.to_dict()
    if view.carried(address) != texts:
        others = {name: text for name, text in address.items() if name not in view.KEYS}
        st.query_params.from_dict(others | {"id": record.id} | texts)


def show(record: Record, points: pd.DataFrame) -> None:
    """The chart of the arms with its choices."""
    if points.empty:
        st.info("No points were measured." if record.final else "Curves appear here after the first measurement.")
        return
    plan, metrics = record.plan, record.plan.metrics
    arms = points[points["arm"] != WARM_START]
    lost = set(runs.diverged(record)) & set(arms["arm"])
    chosen = _choices(record, bool(lost))
    _save(record, chosen)
    if not arms.empty:
        batches = {arm.name: arm.batch_size for arm in plan.arms} if chosen.steps else None
        figure = charts.curves_figure(arms, metrics[chosen.metric].title, chosen, axis_of(record, batches),
                                      fit=None if chosen.whole_range or not lost else set(arms["arm"]) - lost)
        live_plot.show(figure, key=f"arms-{chosen.metric}-{chosen.steps}-{chosen.log_x}-{chosen.log_y}",
                       alt=_words(record, arms, chosen.band), file=file_name(record, metrics[chosen.metric].label))


def _choices(record: Record, lost: bool) -> View:
    """The widgets; lost: whether an arm diverged."""
    metrics, keys = record.plan.metrics, _keys(record)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        metric = st.segmented_control("Metric", list(metrics), default=record.plan.judged, required=True, wrap=True,
                                      key=keys["metric"], format_func=lambda name: metrics[name].label)
        band = st.segmented_control(f"Band over {counted(record)}s", view.BANDS, default=view.BANDS[0], required=True,
                                    key=keys["band"])
        with st.popover("View"):
            return View(
                metric, band,
                seeds=st.toggle(f"Single {counted(record)}s", key=keys["seeds"]),
                log_x=st.toggle("Log x", key=keys["log_x"]), log_y=st.toggle("Log y", key=keys["log_y"]),
                steps=st.toggle("Optimizer steps instead of samples", key=keys["steps"],
                                disabled=record.plan.counted != "samples"),
                whole_range=st.toggle("Range of arms that diverged", key=keys["whole_range"], disabled=not lost,
                                      help="Off: the y axis fits the arms that trained; one that diverged leaves the chart."))


def axis_of(record: Record, batches: Mapping[str, int] | None = None) -> charts.Axis:
    """The x axis of the arms; while they train it is as long as they are going to be."""
    plan = record.plan
    return charts.Axis(beginning(record), () if record.final else plan.evaluation_points, batches, plan.counted)


def beginning(record: Record) -> str:
    """Where the samples of the arms are counted from."""
    if isinstance(record, CalibrationRecord):
        return BEGINNING if record.plan.start == "scratch" else "the branch point"
    since = record.plan.warm_samples
    return f"{since:,} {record.plan.counted}" if since else "the first step"


def warm_start(record: CalibrationRecord, points: pd.DataFrame) -> None:
    """The curve that leads to the branch point, in the metric chosen above; folded once the arms have begun."""
    warm, plan = points[points["arm"] == WARM_START], record.plan
    if warm.empty:
        return
    metric = st.session_state.get(_keys(record)["metric"], plan.judged)
    axis = charts.Axis(BEGINNING, () if record.final else plan.warm_points)
    with st.expander("Warm start", expanded=len(warm) == len(points)):
        live_plot.show(charts.curves_figure(warm, plan.metrics[metric].title, View(metric), axis), key=f"warm-{metric}",
                       alt="The base configuration up to the branch point, from which every arm starts.",
                       file=file_name(record, f"warm start {plan.metrics[metric].label}"))


def counted(record: Record) -> str:
    """What there are several of in an arm: a seed stands for a run only where runs of the same seed belong together."""
    return "seed" if record.plan.paired else "run"


def _words(record: Record, arms: pd.DataFrame, band: str) -> str:
    sizes, what = arms.groupby("arm")["seed"].nunique(), counted(record)
    if sizes.max() == 1:
        return f"One {what} of every arm."
    many = f"{sizes.max()} {what}s of every arm" if record.plan.paired or sizes.nunique() == 1 else "the runs of every arm"
    return f"Mean over {many}" + ("." if band == "none" else f"; band: {band}.")
