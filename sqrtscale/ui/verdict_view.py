"""What a calibration says: the verdict in one line; under the curves its pictures, every arm, and the numbers behind it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd
import streamlit as st

from ..evidence import (
    ArmSummary,
    Regime,
    Verdict,
    confidence,
    layer_tails,
    passes_for_normal,
    summarise,
)
from ..plan import WARM_START
from ..report import (
    differences,
    frontier,
    headline,
    keep,
    reasons,
    regimes,
    sentences,
    stopped_early,
    tested_at,
    verdicts,
    was_stopped,
)
from ..rules import FieldError
from ..store import CalibrationRecord, Store
from ..tasks import task
from . import curve_view, difference_charts, inputs, live_plot, runs
from .colours import OF_AN_OUTCOME
from .tables import escaped

BOXES = {"matches": st.success, "differs": st.error, "cannot tell": st.warning, "not a test": st.info}
WORDS = ("Noise scale: the batch at which signal and noise weigh the same in a gradient; the rule is made for batches well below "
         "it. As if trained on more or fewer samples: how much further along base's own curve the end lies, as a share of a run. "
         "Standard deviations of base seeds: against how far base's own runs end apart.")
MARGIN_HELP = ("How far apart the curves may lie and still count as equal. Matching is shown, not assumed: the whole interval of "
               "the difference must lie inside the margin.")


@st.cache_data(max_entries=50, show_spinner=False)
def measured(_record: CalibrationRecord, _points: pd.DataFrame, id: str, version: str) -> dict[str, Regime]:
    """What dominates the gradient, computed once for every version of the points."""
    return regimes(_record, _points)


@dataclass(frozen=True)
class Judgement:
    """What is said of the curves: a verdict and end values by arm, and the differences to base over samples."""

    verdicts: Mapping[str, Verdict]
    ends: Mapping[str, ArmSummary]
    differences: pd.DataFrame
    level: float
    is_normal: bool | None  # the gradient noise, where its tails were measured


@st.cache_data(max_entries=50, show_spinner=False)
def _judged(_record: CalibrationRecord, _points: pd.DataFrame, _measured: Mapping[str, Regime], id: str, version: str,
            margin: float | None) -> Judgement:
    """Computed once for every version of the points and every margin."""
    arms, metric = _points[_points["arm"] != WARM_START], task(_record.plan.task).judged
    judged = verdicts(_record, _points, margin, _measured)
    return Judgement(judged, summarise(arms, metric), differences(_record, _points, judged), tested_at(judged),
                     passes_for_normal(layer_tails(arms)))


def judge(store: Store, record: CalibrationRecord, points: pd.DataFrame, version: str,
          measured: Mapping[str, Regime]) -> Judgement | None:
    """The judgement, once the arms have ended; None before that. What the default margin gives is kept for lists."""
    if not record.final or points[points["arm"] != WARM_START].empty:
        return None
    margin = _margin(record)
    judgement = _judged(record, points, measured, record.id, version, margin)
    if margin is None:
        keep(store, record, judgement.verdicts, measured, judgement.differences)
    return judgement


def answer(record: CalibrationRecord, judgement: Judgement) -> None:
    """The verdict in one coloured sentence, and what limits it."""
    verdicts = judgement.verdicts
    answered = "scaled" in verdicts and verdicts["scaled"].reason != "no pairs"
    if record.state == "DONE":
        BOXES[verdicts["scaled"].outcome if answered else "not a test"](headline(record, verdicts))
    else:  # no colour of a verdict for what was broken off
        st.info(f"So far: {headline(record, verdicts)}")
    if further := frontier(record, verdicts):
        st.markdown(f"**{escaped(further)}**".replace("kappa", "κ"))
    if was_stopped(record) and "scaled" in verdicts:
        st.markdown(verdicts["scaled"].sentence)
    limits = [stopped_early(record), _cut_short(judgement.ends)]
    if record.state != "DONE":
        limits.insert(0, "It did not run to its end: this is said of what was measured.")
    if limits := list(filter(None, limits)):
        st.caption(" ".join(limits))


def _cut_short(ends: Mapping[str, ArmSummary]) -> str:
    """Which arms stop before others, other than by divergence, and what they are compared over; "" where none does."""
    longest = max((end.samples for end in ends.values()), default=0)
    short = [f"{arm} at {end.samples:,}" for arm, end in ends.items() if end.n and end.samples < longest]
    return (f"Stopped before {longest:,} samples: {', '.join(short)}. Every arm is compared with base over the samples that both "
            "have.") if short else ""


def details(record: CalibrationRecord, judgement: Judgement, measured: Mapping[str, Regime]) -> None:
    """Under the curves: the differences against the margin as pictures, every arm in a line, and the rest folded."""
    verdicts = judgement.verdicts
    if was_stopped(record) and judgement.differences.empty:  # nothing was compared
        return
    if not judgement.differences.empty:
        _pictures(record, judgement)
    if any(end.n for end in judgement.ends.values()):
        _arms(record, judgement)
    lost = [f"**{escaped(arm)}** diverged on {len(causes)} of {len(record.plan.seeds)} seeds: {escaped(causes[0])}."
            for arm, causes in runs.diverged(record).items()]
    if words := [*sentences(verdicts), *reasons(record, verdicts, measured, judgement.is_normal), *lost]:
        with st.expander("The verdict on every arm in words"):
            st.markdown("\n".join(f"- {sentence}" for sentence in words))
            st.caption(WORDS)
            if verdicts and not measured:
                st.caption("The gradient noise was not measured in this calibration, so whether it was a test of the rule is "
                           "not known.")
    if verdicts:
        with st.expander("The numbers behind the verdict, and the margin"):
            _margin_box(record)
            _numbers(judgement)


def _pictures(record: CalibrationRecord, judgement: Judgement) -> None:
    """The differences over samples, and the forest plot of what is tested."""
    margin = next(iter(judgement.verdicts.values())).margin
    size, pairs = f"± {margin.value:.2g} {margin.unit}", int(judgement.differences["pairs"].max())
    interval = f" with its {confidence(judgement.level)} interval" if pairs > 1 else ""
    live_plot.show(difference_charts.over_samples(judgement.differences, margin.value, margin.unit,
                                                  "the branch point" if record.plan.warm_samples else curve_view.BEGINNING),
                   key="differences",
                   alt=f"Difference to base over samples: arm minus base on the same seed, mean over {pairs} "
                       f"seed{'s' * (pairs > 1)}{interval} at every point. Grey band: the margin, {size}. "
                       "Double-click for what lies outside the picture.",
                   file=curve_view.file_name(record, "difference to base"))
    live_plot.show(difference_charts.forest(judgement.verdicts), key="forest",
                   alt=f"What the verdict tests: an arm matches where all three intervals lie inside the grey band, {size}, and "
                       "differs where one lies outside by more than chance, and a margin that few seeds know, explain. An arrow "
                       "points to what lies outside the picture.",
                   file=curve_view.file_name(record, "verdict"))


def _margin(record: CalibrationRecord) -> float | None:
    """The margin that the user has set, or None for the default one; the box for it stands below the verdict."""
    text = st.session_state.get(f"margin-{record.id}", "").strip()
    value = inputs.parsed(text) if text else None
    return value if isinstance(value, (int, float)) and value > 0 and math.isfinite(value) else None


def _arms(record: CalibrationRecord, judgement: Judgement) -> None:
    """A line an arm: where it ends, what is said of it, its difference to base. Four columns, which a phone has room for."""
    ends, about = judgement.ends, task(record.plan.task)
    decimals, most = runs.places(end.mean for end in ends.values()), max(end.n for end in ends.values())
    rows = []
    for arm, end in ends.items():
        value = runs.fixed(end.mean, decimals) + (f" ± {end.std:.2g}" if end.n > 1 else "")
        fewer = f" ({end.n} seed{'s' * (end.n != 1)})" if end.n < most else ""
        verdict = judgement.verdicts.get(arm)
        rows.append((runs.coloured(arm), value + fewer, *(_against_base(verdict, decimals) if verdict else ("", ""))))
    heads = ["Arm", f"End {about.metrics[about.judged].label.lower()}", "Against base", "Difference to base"]
    st.table(pd.DataFrame(rows, columns=heads), border="horizontal", hide_index=True, alt="The verdict on every arm")
    st.caption(f"End value: mean over the last tenth of the samples, ± standard deviation over {most} seed{'s' * (most > 1)}. "
               f"Differences are paired by seed, with their {confidence(judgement.level)} interval.")


def _against_base(verdict: Verdict, decimals: int) -> tuple[str, str]:
    end = verdict.end
    difference = runs.fixed(end.difference, decimals, "+") if end else ""
    if end and verdict.pairs > 1:
        difference += f" ({runs.fixed(end.low, decimals, '+')} to {runs.fixed(end.high, decimals, '+')})"
    return f":{OF_AN_OUTCOME[verdict.outcome]}-badge[{verdict.outcome}]", difference


def _numbers(judgement: Judgement) -> None:
    verdicts = judgement.verdicts
    margin = next(iter(verdicts.values())).margin
    st.markdown(f"Margin: **{margin.value:.4g} {escaped(margin.unit)}** ({escaped(margin.origin)}).")
    rows = [(runs.coloured(arm), test.name, f"{test.difference:+.5g}", f"{test.low:+.4g} to {test.high:+.4g}",
             f"{test.p_within:.3g}", f"{test.p_beyond:.3g}", "" if math.isnan(test.sd) else f"{test.sd:.3g}")
            for arm, verdict in verdicts.items() for test in verdict.functionals]
    level = judgement.level
    heads = ["Arm", "Measured over", "Difference", f"{confidence(level)} interval", "p, within", "p, beyond", "Sd of pairs"]
    st.table(pd.DataFrame(rows, columns=heads), border="horizontal", hide_index=True, alt="Tests of every arm")
    st.caption("Differences are paired by seed. p, within: how likely curves as near as these would be if the arm lay at the "
               f"margin (two one-sided t-tests); at most {level:.2g} in all three lines is a match. p, beyond: the same from "
               "outside the margin, corrected for three and for how little a few seeds know of the margin; at most "
               f"{level:.2g} in one line is a difference. A difference that was not seen is not a match.")


def _margin_box(record: CalibrationRecord) -> None:
    """Where a user sets the margin."""
    st.text_input("Margin", key=f"margin-{record.id}", help=MARGIN_HELP,
                  placeholder="default: a practical size and the spread between base's seeds")
    text = st.session_state.get(f"margin-{record.id}", "").strip()
    if text and _margin(record) is None:
        error = FieldError("margin", text, "is no margin: give a positive number in the unit of the loss, for example 0.01")
        st.error(escaped(str(error)))
