"""The noise scales that stored calibrations have measured, to be taken into the form of the Scale page."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import streamlit as st

from ..tasks import TASKS
from .inputs import format_number
from .state import open_store

if TYPE_CHECKING:
    from ..store import CalibrationSummary

MOST = 20  # that are offered, newest first
JUDGING = 0.5  # seconds for calibrations whose noise scale is not yet stored with them


def show() -> None:
    """A choice among them, and the button that takes it."""
    from ..report import catch_up  # the first page is there sooner without these
    from ..store import Filter

    store = open_store()
    catch_up(store, JUDGING)
    measured = {row.id: row for row in store.summaries(Filter(states=("DONE",)))
                if row.noise_scale is not None and 0 < row.noise_scale < math.inf}
    if not measured:
        st.caption("No stored calibration has measured one yet: Calibrate this, and its result has it.")
        return
    st.caption("A noise scale belongs to a model, its data and how long it has trained, and it grows in training: take one of "
               "these where it was measured on something like yours.")
    chosen = st.selectbox("Measured noise scales", list(measured)[:MOST], format_func=lambda id: _label(measured[id]),
                          key="measured-noise", label_visibility="collapsed")
    st.button("Use this noise scale", on_click=_use, args=(measured[chosen],))


def _use(row: CalibrationSummary) -> None:
    """Callback: put it into the form."""
    st.session_state["noise"] = _rounded(row.noise_scale)


def _rounded(value: float | None) -> str:
    return "unknown" if value is None else "infinity" if math.isinf(value) else format_number(float(f"{value:.3g}"))


def _label(row: CalibrationSummary) -> str:
    task = TASKS[row.task].title if row.task in TASKS else row.task
    value, low, high = map(_rounded, (row.noise_scale, row.noise_low, row.noise_high))
    return f"{value} ({low} to {high}): {task}, {row.optimizer}, batch {row.base_batch}, {row.name or row.id}"
