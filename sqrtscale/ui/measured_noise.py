"""The noise scales that were measured, by stored calibrations or in a file, to be taken into the form of the Scale page."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import streamlit as st

from ..rules import FieldError, noise_file
from ..tasks import title_of
from .inputs import format_number
from .state import open_store, put
from .tables import sentence

if TYPE_CHECKING:
    from ..store import CalibrationSummary

MOST = 20  # that are offered, newest first
FILE_HELP = "What NoiseMeter has written (JSON lines), or a CSV file with the columns samples and noise_scale"
JUDGING = 0.5  # seconds for calibrations whose noise scale is not yet stored with them


def show() -> None:
    """Those that were measured here, and a file of somebody's own training."""
    _stored()
    _file()


def _file() -> None:
    """The noise scale at the end of a file, and the button that takes it."""
    upload = st.file_uploader("Measured in your own training", key="noise-file", max_upload_size=1, help=FILE_HELP)
    if upload is None:
        return
    try:
        points = noise_file.course(upload.getvalue(), upload.name).points
    except FieldError as error:
        st.error(sentence(str(error)))
        return
    samples, scale = points[-1]
    scales = [value for _, value in points]
    st.caption(f"**{_rounded(scale)}** at the end, after {samples:,.0f} samples; from {_rounded(min(scales))} to "
               f"{_rounded(max(scales))} over its course.")
    st.button("Use the noise scale at the end", on_click=_use, args=(scale,))


def _stored() -> None:
    """A choice among those of stored calibrations, and the button that takes it."""
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
    st.button("Use this noise scale", on_click=_use, args=(measured[chosen].noise_scale,))


def _use(scale: float | None) -> None:
    """Callback: put it into the form."""
    put({"noise": _rounded(scale)})


def _rounded(value: float | None) -> str:
    return "unknown" if value is None else "infinity" if math.isinf(value) else format_number(float(f"{value:.3g}"))


def _label(row: CalibrationSummary) -> str:
    value, low, high = map(_rounded, (row.noise_scale, row.noise_low, row.noise_high))
    words = [title_of(row.task), row.optimizer, f"batch {row.base_batch}", row.name or row.id]
    return f"{value} ({low} to {high}): {', '.join(filter(None, words))}"
