"""What a comparison shows, as its widgets hold it: filled from the address, written back into it (``compare_link``)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import streamlit as st

from ..report import comparison
from ..report.comparison import AXES, Member
from ..rules.errors import shown as quoted
from . import compare_link
from .compare_link import SHOWS, UNITS, View
from .state import put, went_back
from .tables import escaped

IDS, SHOW, AXIS, METRIC, UNIT = (f"compare-{name}" for name in ("ids", "show", "axis", "metric", "unit"))
LAST = "compared"
SHOW_LABELS = {"differences": "Difference to base", "curves": "Curves"}
AXIS_LABELS = {"samples": "Samples", "steps": "Steps", "epochs": "Epochs"}
AXIS_HELP = "Steps: each arm's own, of its batch. Epochs: samples seen over the training samples that the task has."
UNIT_LABELS = {"margins": "Margins", "metric": "Metric's unit"}
UNIT_HELP = ("In margins, ±1 is the margin of every calibration, each its own: how far apart curves may lie and still count as "
             "equal. Calibrations of different tasks can be compared so.")


class Shown(NamedTuple):
    """What was shown last: the view with every choice, and its address."""

    view: View
    address: dict[str, str]


def load() -> tuple[str, ...]:
    """Fill the widgets from the address or from what was shown last, when either is new to them; says what is not as asked."""
    last = _last()
    address = {name: st.query_params[name] for name in compare_link.NAMES if name in st.query_params}
    words: tuple[str, ...] = ()
    if IDS not in st.session_state:  # opened by a link, or again after another page
        view, words = compare_link.read(address) if address else (last.view, ())
    elif address != last.address and went_back():
        view, words = compare_link.read(address)
    else:
        return ()
    put({IDS: list(view.ids), SHOW: view.show, AXIS: view.axis, UNIT: view.unit, METRIC: view.metric,
         _arms_key(view): None if view.arms is None else list(view.arms)})
    return words


def held() -> View:
    """The view as the widgets have it; what has no widget now is as it was."""
    state, last = st.session_state, _last().view
    view = View(tuple(state[IDS]), state.get(SHOW, last.show), state.get(AXIS, last.axis), state.get(METRIC, last.metric),
                state.get(UNIT, last.unit))
    arms = state.get(_arms_key(view))
    return replace(view, arms=None if arms is None else tuple(arms))


def save(view: View, short: View) -> None:
    """Write the view into the address; short: the same without what is usual."""
    address = compare_link.texts_of(short)
    if st.query_params.to_dict() != address:
        st.query_params.from_dict(address)
    st.session_state[LAST] = Shown(view, address)


def choose(members: Sequence[Member]) -> View:
    """The choices of what the figure shows; writes them into the address."""
    asked, words = held(), []
    labels, left_out = comparison.metrics(members)
    first = next(iter(labels))
    metric = asked.metric if asked.metric in labels else first
    if asked.metric not in ("", metric):
        words.append(f"Not all of these have a metric {quoted(asked.metric)}: {labels[metric].lower()} is shown.")
    st.session_state.update({SHOW: asked.show, AXIS: asked.axis, METRIC: metric, UNIT: asked.unit})
    with st.container(horizontal=True, vertical_alignment="top"):
        show = st.segmented_control("Show", SHOWS, key=SHOW, required=True, format_func=SHOW_LABELS.__getitem__) or asked.show
        metric = st.segmented_control(
            "Metric", list(labels), key=METRIC, required=True, format_func=labels.__getitem__,
            help=f"Not all have these, so they are left out: {', '.join(left_out)}." if left_out else None) or metric
        axis = st.segmented_control("Over", AXES, key=AXIS, required=True, format_func=AXIS_LABELS.__getitem__,
                                    help=AXIS_HELP) or asked.axis
        unit = asked.unit
        if show == "differences":
            unit = st.segmented_control("In", UNITS, key=UNIT, required=True, format_func=UNIT_LABELS.__getitem__,
                                        help=UNIT_HELP) or asked.unit
        arms, usual = _arms(members, asked, words)
    for word in words:
        st.warning(escaped(word))
    view = View(tuple(member.record.id for member in members), show, axis, metric, unit, arms)
    save(view, replace(view, metric="" if metric == first else metric, arms=None if arms == usual else arms))
    return view


def _arms(members: Sequence[Member], asked: View, words: list[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The arms that are chosen, and those that usually are; adds to ``words`` what cannot be shown."""
    every = [arm for arm in comparison.arms(members) if asked.show == "curves" or arm != "base"]
    usual = ("scaled", "base") if asked.show == "curves" else ("scaled",)
    known = [arm for arm in asked.arms or () if arm in every]
    if strange := [arm for arm in asked.arms or () if arm not in every]:
        words.append(f"None of these has an arm {quoted(', '.join(strange))} to show here.")
    # An empty choice stays as it is; one that nothing is left of does not.
    st.session_state[_arms_key(asked)] = known if known or asked.arms == () else list(usual)
    arms = tuple(st.multiselect("Arms", every, key=_arms_key(asked), max_selections=compare_link.MOST_ARMS))
    return arms, usual


def _arms_key(view: View) -> str:
    """Of the widget for the arms: curves and differences have usual ones of their own."""
    return f"compare-arms-{view.show}"


def _last() -> Shown:
    last: Shown = st.session_state.get(LAST, Shown(View(), {}))
    return last
