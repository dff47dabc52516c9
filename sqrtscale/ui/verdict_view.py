"""What a calibration says: the verdict in one line, then every arm, then the numbers behind it."""

from __future__ import annotations

import math
from collections.abc import Mapping

import pandas as pd
import streamlit as st

from ..evidence import ArmSummary, Regime, Verdict, summarise
from ..plan import WARM_START
from ..report import frontier, headline, keep, reasons, regimes, stopped_early, verdicts
from ..rules import FieldError
from ..store import CalibrationRecord, Store
from ..tasks import task
from . import inputs, runs
from .tables import escaped

COLOURS = {"matches": "green", "differs": "red", "cannot tell": "orange", "not a test": "gray"}
BOXES = {"matches": st.success, "differs": st.error, "cannot tell": st.warning, "not a test": st.info}
MARGIN_HELP = ("How far apart the curves may lie and still count as equal. Matching is shown, not assumed: the whole interval of "
               "the difference must lie inside the margin.")


@st.cache_data(max_entries=50, show_spinner=False)
def measured(_record: CalibrationRecord, _points: pd.DataFrame, id: str, version: str) -> dict[str, Regime]:
    """What dominates the gradient, computed once for every version of the points."""
    return regimes(_record, _points)


@st.cache_data(max_entries=50, show_spinner=False)
def judged(_record: CalibrationRecord, _points: pd.DataFrame, _measured: Mapping[str, Regime], id: str, version: str,
           margin: float | None) -> tuple[dict[str, Verdict], dict[str, ArmSummary]]:
    """The verdicts and the end values, computed once for every version of the points and every margin."""
    return verdicts(_record, _points, margin, _measured), summarise(
        _points[_points["arm"] != WARM_START], task(_record.plan.task).judged)


def show(store: Store, record: CalibrationRecord, points: pd.DataFrame, version: str, measured: Mapping[str, Regime]) -> None:
    """The verdict, once the arms have ended; before that nothing. What the default margin gives is kept for lists."""
    if not record.final or points[points["arm"] != WARM_START].empty:
        return
    margin = _margin(record)
    verdicts, ends = judged(record, points, measured, record.id, version, margin)
    if margin is None:
        keep(store, record, verdicts)
    answered = "scaled" in verdicts and verdicts["scaled"].reason != "no pairs"
    BOXES[verdicts["scaled"].outcome if answered else "not a test"](headline(record, verdicts))
    if further := frontier(record, verdicts):
        st.markdown(f"**{escaped(further)}**".replace("kappa", "κ"))
    if early := stopped_early(record):
        st.caption(early)
    if record.state != "DONE":
        st.caption("It did not run to its end: this is the verdict on what was measured.")
    if verdicts and not measured:
        st.caption("The gradient noise was not measured in this calibration, so whether it was a test of the rule is not known.")
    lost = [f"**{escaped(arm)}** diverged on {len(causes)} of {len(record.plan.seeds)} seeds: {escaped(causes[0])}."
            for arm, causes in runs.diverged(record).items()]
    sentences = [verdict.sentence for verdict in verdicts.values() if verdict.reason != "no pairs"]
    st.markdown("\n".join(f"- {sentence}" for sentence in (*sentences, *reasons(record, verdicts, measured), *lost)))
    if any(end.n for end in ends.values()):
        _arms(record, verdicts, ends)
    if verdicts:
        with st.expander("The numbers behind the verdict"):
            _margin_box(record)
            _numbers(verdicts)


def _margin(record: CalibrationRecord) -> float | None:
    """The margin that the user has set, or None for the default one; the box for it stands below the verdict."""
    text = st.session_state.get(f"margin-{record.id}", "").strip()
    value = inputs.parsed(text) if text else None
    return value if isinstance(value, (int, float)) and value > 0 and math.isfinite(value) else None


def _arms(record: CalibrationRecord, verdicts: Mapping[str, Verdict], ends: Mapping[str, ArmSummary]) -> None:
    """A line an arm: where it ends, what is said of it, its difference to base, in seed noise and in samples."""
    decimals = runs.places(end.mean for end in ends.values())
    rows = []
    for arm, end in ends.items():
        value = runs.fixed(end.mean, decimals) + (f" ± {end.std:.2g}" if end.n > 1 else "")
        row = (runs.coloured(arm), value, str(end.n))
        rows.append((*row, *(_against_base(verdicts[arm], record, decimals) if arm in verdicts else ("", "", "", ""))))
    about = task(record.plan.task)
    heads = ["Arm", f"End {about.metrics[about.judged].label.lower()}", "Seeds", "Against base", "Difference to base",
             "In seed deviations", "Samples ahead"]
    st.table(pd.DataFrame(rows, columns=heads), border="horizontal", hide_index=True, alt="The verdict on every arm")
    st.caption("End value: mean over the last tenth of the samples, ± standard deviation over seeds. Differences are paired by "
               "seed, with the interval of the test.")


def _against_base(verdict: Verdict, record: CalibrationRecord, decimals: int) -> tuple[str, str, str, str]:
    end = verdict.end
    difference = runs.fixed(end.difference, decimals, "+") if end else ""
    if end and verdict.pairs > 1:
        difference += f" ({runs.fixed(end.low, decimals, '+')} to {runs.fixed(end.high, decimals, '+')})"
    ahead = "" if verdict.samples_ahead is None else f"{verdict.samples_ahead / record.plan.samples:+.1%}"
    return (f":{COLOURS[verdict.outcome]}-badge[{verdict.outcome}]", difference,
            "" if math.isnan(verdict.effect_sd) else f"{verdict.effect_sd:+.2g}", ahead)


def _numbers(verdicts: Mapping[str, Verdict]) -> None:
    margin = next(iter(verdicts.values())).margin
    st.markdown(f"Margin: **{margin.value:.4g} {escaped(margin.unit)}** ({escaped(margin.origin)}).")
    rows = [(runs.coloured(arm), test.name, f"{test.difference:+.5g}", f"{test.low:+.4g} to {test.high:+.4g}",
             f"{test.p_within:.3g}", f"{test.p_beyond:.3g}", "" if math.isnan(test.sd) else f"{test.sd:.3g}")
            for arm, verdict in verdicts.items() for test in verdict.functionals]
    heads = ["Arm", "Measured over", "Difference", "Interval", "p within", "p beyond", "Sd of pairs"]
    st.table(pd.DataFrame(rows, columns=heads), border="horizontal", hide_index=True, alt="Tests of every arm")
    st.caption("Differences are paired by seed. Within: two one-sided t-tests against the margin; all three must hold for a "
               "match. Beyond: the same against the margin from outside, corrected for three. A difference that was not "
               "seen is not a match.")


def _margin_box(record: CalibrationRecord) -> None:
    """Where a user sets the margin."""
    st.text_input("Margin", key=f"margin-{record.id}", help=MARGIN_HELP,
                  placeholder="default: a practical size and the spread between base's seeds")
    text = st.session_state.get(f"margin-{record.id}", "").strip()
    if text and _margin(record) is None:
        error = FieldError("margin", text, "is no margin: give a positive number in the unit of the loss, for example 0.01")
        st.error(escaped(str(error)))
