"""What a calibration says: the verdict in one line, then every arm, then the numbers behind it."""

from __future__ import annotations

import math
from collections.abc import Mapping

import pandas as pd
import streamlit as st

from ..evidence import Verdict, headline
from ..plan import WARM_START
from ..report import verdicts
from ..rules import FieldError
from ..store import CalibrationRecord
from . import inputs, runs
from .tables import plain

COLOURS = {"matches": "green", "differs": "red", "cannot tell": "orange", "not a test": "gray"}
BOXES = {"matches": st.success, "differs": st.error, "cannot tell": st.warning, "not a test": st.info}
MARGIN_HELP = ("How far apart the curves may lie and still count as equal. Matching is shown, not assumed: the whole interval of "
               "the difference must lie inside the margin.")


def show(record: CalibrationRecord, points: pd.DataFrame) -> None:
    """The verdict, once the arms have ended; before that nothing."""
    arms = points[points["arm"] != WARM_START]
    if not record.final or arms.empty:
        return
    found = verdicts(record, points, _margin(record))
    if not found:
        return
    outcome = found["scaled"].outcome if "scaled" in found else "cannot tell"
    BOXES[outcome](headline(found))
    _arms(record, found)
    st.markdown("\n".join(f"- {one.sentence}" for one in found.values()))
    if record.state != "DONE":
        st.caption("It did not run to its end: this is the verdict on what was measured.")
    with st.expander("The numbers behind the verdict"):
        margin_box(record)
        _numbers(found)


def _margin(record: CalibrationRecord) -> float | None:
    """The margin that the user has set, or None for the default one; the box for it stands below the verdict."""
    text = st.session_state.get(f"margin-{record.id}", "").strip()
    value = inputs.parsed(text) if text else None
    return value if isinstance(value, (int, float)) and value > 0 and math.isfinite(value) else None


def _arms(record: CalibrationRecord, found: Mapping[str, Verdict]) -> None:
    """A line an arm: outcome, difference, effect in seed noise and in samples."""
    rows = []
    for arm, one in found.items():
        end = one.functionals[-1] if one.functionals else None
        rows.append((runs.coloured(arm), f":{COLOURS[one.outcome]}-badge[{one.outcome}]",
                     f"{end.difference:+.3g}" if end else "",
                     f"{end.low:+.3g} to {end.high:+.3g}" if end and one.pairs > 1 else "",
                     "" if math.isnan(one.effect_sd) else f"{one.effect_sd:+.2g}",
                     "" if one.samples_ahead is None else f"{one.samples_ahead / record.plan.samples:+.2%}", str(one.pairs)))
    heads = ["Arm", "Against base", "Difference at the end", "Interval", "In seed deviations", "Samples ahead", "Seeds"]
    st.table(pd.DataFrame(rows, columns=heads), border="horizontal", hide_index=True, alt="The verdict on every arm")


def _numbers(found: Mapping[str, Verdict]) -> None:
    margin = next(iter(found.values())).margin
    st.markdown(f"Margin: **{margin.value:.4g} {plain(margin.unit)}** ({plain(margin.origin)}).")
    rows = [(runs.coloured(arm), one.name, f"{one.difference:+.5g}", f"{one.low:+.4g} to {one.high:+.4g}",
             f"{one.p_within:.3g}", f"{one.p_beyond:.3g}", "" if math.isnan(one.sd) else f"{one.sd:.3g}")
            for arm, verdict in found.items() for one in verdict.functionals]
    heads = ["Arm", "Measured over", "Difference", "Interval", "p within", "p beyond", "Sd of pairs"]
    st.table(pd.DataFrame(rows, columns=heads), border="horizontal", hide_index=True, alt="Tests of every arm")
    st.caption("Differences are paired by seed. Within: two one-sided t-tests against the margin; all three must hold for a "
               "match. Beyond: the same against the margin from outside, corrected for three. A difference that was not "
               "seen is not a match.")


def margin_box(record: CalibrationRecord) -> None:
    """Where a user sets the margin."""
    st.text_input("Margin", key=f"margin-{record.id}", help=MARGIN_HELP,
                  placeholder="default: a practical size and the spread between base's seeds")
    text = st.session_state.get(f"margin-{record.id}", "").strip()
    if text and _margin(record) is None:
        error = FieldError("margin", text, "is no margin: give a positive number in the unit of the loss, for example 0.01")
        st.error(plain(str(error)))
