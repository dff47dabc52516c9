"""What a calibration says: the verdict in one line; under the curves its pictures, every arm, and the numbers behind it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd
import streamlit as st

from ..evidence import ArmSummary, Regime, Verdict, confidence, summarise
from ..plan import WARM_START
from ..report import (
    caveats,
    differences,
    frontier,
    headline,
    keep,
    regimes,
    sentences,
    stopped_early,
    tested_at,
    verdicts,
    was_stopped,
)
from ..rules import FieldError
from ..store import CalibrationRecord, Record, Store
from . import curve_view, difference_charts, inputs, live_plot, runs
from .colours import OF_AN_OUTCOME
from .tables import escaped

BOXES = {"matches": st.success, "differs": st.error, "cannot tell": st.warning, "not a test": st.info}
WORDS = ("Noise scale: the batch at which signal and noise weigh the same in a gradient; the rule is made for batches well below "
         "it. As if trained on more or fewer {counted}: how much further along base's own curve the end lies, as a share of a "
         "run. Standard deviations of base seeds: against how far base's own runs end apart.")
PAIRED = {True: "paired by seed", False: "of all runs of an arm to all of base (Welch)"}
MARGIN_HELP = ("How far apart the curves may lie and still count as equal. Matching is shown, not assumed: the whole interval of "
               "the difference must lie inside the margin.")


@st.cache_data(max_entries=50, show_spinner=False)
def measured(_record: Record, _points: pd.DataFrame, id: str, version: str) -> dict[str, Regime]:
    """What dominates the gradient, computed once for every version of the points."""
    return regimes(_record, _points)


@dataclass(frozen=True)
class Judgement:
    """What is said of the curves: a verdict and end values by arm, and the differences to base over samples."""

    verdicts: Mapping[str, Verdict]
    ends: Mapping[str, ArmSummary]
    differences: pd.DataFrame
    level: float
    caveats: tuple[str, ...]


@st.cache_data(max_entries=50, show_spinner=False)
def _judged(_record: Record, _points: pd.DataFrame, _measured: Mapping[str, Regime], id: str, version: str,
            margin: float | None) -> Judgement:
    """Computed once for every version of the points and every margin."""
    arms, plan = _points[_points["arm"] != WARM_START], _record.plan
    judged = verdicts(_record, _points, margin, _measured)
    return Judgement(judged, summarise(arms, plan.judged, paired=plan.paired), differences(_record, _points, judged),
                     tested_at(judged), caveats(_record, _points, judged, _measured))


def judge(store: Store, record: Record, points: pd.DataFrame, version: str,
          measured: Mapping[str, Regime]) -> Judgement | None:
    """The judgement, once the arms have ended; None before that. What the default margin gives is kept for lists."""
    if not record.final or points[points["arm"] != WARM_START].empty:
        return None
    margin = _margin(record)
    judgement = _judged(record, points, measured, record.id, version, margin)
    if margin is None:
        keep(store, record, judgement.verdicts, measured, judgement.differences)
    return judgement


def answer(record: Record, judgement: Judgement) -> None:
    """The verdict in one coloured sentence, and what limits it."""
    verdicts = judgement.verdicts
    rule = record.plan.rule
    answered = rule in verdicts and verdicts[rule].reason != "no pairs"
    if record.state == "DONE":
        BOXES[verdicts[rule].outcome if answered else "not a test"](headline(record, verdicts))
    else:  # no colour of a verdict for what was broken off
        st.info(f"So far: {headline(record, verdicts)}")
    if further := frontier(record, verdicts):
        st.markdown(f"**{escaped(further)}**".replace("kappa", "κ"))
    if was_stopped(record) and rule in verdicts:
        st.markdown(verdicts[rule].sentence)
    limits = [stopped_early(record), _cut_short(judgement.ends, record.plan.counted)]
    if record.state != "DONE":
        limits.insert(0, "It did not run to its end: this is said of what was measured.")
    if limits := list(filter(None, limits)):
        st.caption(" ".join(limits))


def _cut_short(ends: Mapping[str, ArmSummary], counted: str) -> str:
    """Which arms stop before others, other than by divergence, and what they are compared over; "" where none does."""
    longest = max((end.samples for end in ends.values()), default=0)
    short = [f"{arm} at {end.samples:,}" for arm, end in ends.items() if end.n and end.samples < longest]
    return (f"Stopped before {longest:,} {counted}: {', '.join(short)}. Every arm is compared with base over the {counted} that "
            "both have.") if short else ""


def details(record: Record, judgement: Judgement, measured: Mapping[str, Regime]) -> None:
    """Under the curves: the differences against the margin as pictures, every arm in a line, and the rest folded."""
    verdicts = judgement.verdicts
    if was_stopped(record) and judgement.differences.empty:  # nothing was compared
        return
    if not judgement.differences.empty:
        _pictures(record, judgement)
    if any(end.n for end in judgement.ends.values()):
        _arms(record, judgement)
    begun, what = Counter(run.arm for run in record.runs), curve_view.counted(record)
    lost = [f"**{escaped(arm)}** diverged on {len(causes)} of {begun[arm]} {what}s: {escaped(causes[0])}."
            for arm, causes in runs.diverged(record).items()]
    limits = judgement.caveats if isinstance(record, CalibrationRecord) else ()  # which stand above the curves of others
    if words := [*sentences(verdicts), *limits, *lost]:
        with st.expander("The verdict on every arm in words"):
            st.markdown("\n".join(f"- {sentence}" for sentence in words))
            st.caption(WORDS.format(counted=record.plan.counted))
            if verdicts and not measured and isinstance(record, CalibrationRecord):
                st.caption("The gradient noise was not measured in this calibration, so whether it was a test of the rule is "
                           "not known.")
    if verdicts:
        with st.expander("The numbers behind the verdict, and the margin"):
            _margin_box(record)
            _numbers(record, judgement)


def _pictures(record: Record, judgement: Judgement) -> None:
    """The differences over samples, and the forest plot of what is tested."""
    margin = next(iter(judgement.verdicts.values())).margin
    size, pairs = f"± {margin.value:.2g} {margin.unit}", int(judgement.differences["pairs"].max())
    interval = f" with its {confidence(judgement.level)} interval" if pairs > 1 else ""
    live_plot.show(difference_charts.over_samples(judgement.differences, margin.value, margin.unit,
                                                  curve_view.beginning(record)),
                   key="differences",
                   alt=f"Difference to base over {record.plan.counted}: {_who(record, pairs)}{interval} at every point. Grey "
                       f"band: the margin, {size}. Double-click for what lies outside the picture.",
                   file=curve_view.file_name(record, "difference to base"))
    live_plot.show(difference_charts.forest(judgement.verdicts), key="forest",
                   alt=f"What the verdict tests: an arm matches where all three intervals lie inside the grey band, {size}, and "
                       "differs where one lies outside by more than chance, and a margin that few "
                       f"{curve_view.counted(record)}s know, explain. An arrow points to what lies outside the picture.",
                   file=curve_view.file_name(record, "verdict"))


def _who(record: Record, count: int) -> str:
    """Of what the differences are, in words."""
    if not record.plan.paired:
        return "mean of an arm's runs minus mean of base's"
    return f"arm minus base on the same seed, mean over {count} seed{'s' * (count > 1)}"


def _margin(record: Record) -> float | None:
    """The margin that the user has set, or None for the default one; the box for it stands below the verdict."""
    text = st.session_state.get(f"margin-{record.id}", "").strip()
    value = inputs.parsed(text) if text else None
    return value if isinstance(value, (int, float)) and value > 0 and math.isfinite(value) else None


def _arms(record: Record, judgement: Judgement) -> None:
    """A line an arm: where it ends, what is said of it, its difference to base. Four columns, which a phone has room for."""
    ends, metric = judgement.ends, record.plan.metrics[record.plan.judged]
    decimals, most = runs.places(end.mean for end in ends.values()), max(end.n for end in ends.values())
    rows, what = [], curve_view.counted(record)
    for arm, end in ends.items():
        value = runs.fixed(end.mean, decimals) + (f" ± {end.std:.2g}" if end.n > 1 else "")
        fewer = f" ({end.n} {what}{'s' * (end.n != 1)})" if end.n < most else ""
        verdict = judgement.verdicts.get(arm)
        rows.append((runs.coloured(arm), value + fewer, *(_against_base(verdict, decimals) if verdict else ("", ""))))
    heads = ["Arm", f"End {metric.label[0].lower()}{metric.label[1:]}", "Against base", "Difference to base"]
    st.table(pd.DataFrame(rows, columns=heads), border="horizontal", hide_index=True, alt="The verdict on every arm")
    st.caption(f"End value: mean over the last tenth of the {record.plan.counted}, ± standard deviation over {most} "
               f"{what}{'s' * (most > 1)}. Differences are {PAIRED[record.plan.paired]}, with their "
               f"{confidence(judgement.level)} interval.")


def _against_base(verdict: Verdict, decimals: int) -> tuple[str, str]:
    end = verdict.end
    difference = runs.fixed(end.difference, decimals, "+") if end else ""
    if end and verdict.pairs > 1:
        difference += f" ({runs.fixed(end.low, decimals, '+')} to {runs.fixed(end.high, decimals, '+')})"
    return f":{OF_AN_OUTCOME[verdict.outcome]}-badge[{verdict.outcome}]", difference


def _numbers(record: Record, judgement: Judgement) -> None:
    verdicts = judgement.verdicts
    margin = next(iter(verdicts.values())).margin
    st.markdown(f"Margin: **{margin.value:.4g} {escaped(margin.unit)}** ({escaped(margin.origin)}).")
    rows = [(runs.coloured(arm), test.name, f"{test.difference:+.5g}", f"{test.low:+.4g} to {test.high:+.4g}",
             f"{test.p_within:.3g}", f"{test.p_beyond:.3g}", "" if math.isnan(test.sd) else f"{test.sd:.3g}")
            for arm, verdict in verdicts.items() for test in verdict.functionals]
    level = judgement.level
    spread = "Sd of pairs" if record.plan.paired else "Sd"
    heads = ["Arm", "Measured over", "Difference", f"{confidence(level)} interval", "p, within", "p, beyond", spread]
    st.table(pd.DataFrame(rows, columns=heads), border="horizontal", hide_index=True, alt="Tests of every arm")
    st.caption(f"Differences are {PAIRED[record.plan.paired]}. p, within: how likely curves as near as these would be if the "
               f"arm lay at the margin (two one-sided t-tests); at most {level:.2g} in all three lines is a match. p, beyond: "
               "the same from outside the margin, corrected for three and for how little a few seeds know of the margin; at "
               f"most {level:.2g} in one line is a difference. A difference that was not seen is not a match.")


def _margin_box(record: Record) -> None:
    """Where a user sets the margin."""
    st.text_input("Margin", key=f"margin-{record.id}", help=MARGIN_HELP,
                  placeholder="default: a practical size and the spread between base's seeds")
    text = st.session_state.get(f"margin-{record.id}", "").strip()
    if text and _margin(record) is None:
        error = FieldError("margin", text, "is no margin: give a positive number in the unit of the loss, for example 0.01")
        st.error(escaped(str(error)))
