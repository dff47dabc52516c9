"""Stored calibrations as a list, runs as a table, and the words and colours of their states."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import pandas as pd
import streamlit as st

from ..arms import DEFAULT_ARMS
from ..rules import family
from ..store import FINAL_STATES, CalibrationRecord, CalibrationSummary
from ..tasks import TASKS, task
from .colours import BASE, SCALED, style
from .tables import escaped

STATE_COLOURS = {"DONE": "green", "RUNNING": "blue", "STARTING": "blue", "QUEUED": "gray", "CANCELLING": "orange",
                 "CANCELLED": "gray", "FAILED": "red", "LOST": "red", "TIMED_OUT": "red"}
ARM_TEXT = {BASE: "blue", SCALED: "orange"}
NO_END = (math.nan, math.nan, 0)
END_HELP = ("Last value of what is judged, mostly the validation loss: mean ± standard deviation over seeds. A verdict compares "
            "means over the last tenth of the samples instead.")
VERDICT_HELP = "Does scaled do what base does? By the default margin; empty where nothing was compared or nobody has looked yet"
LONGEST_NUMBER = 1e7  # from here on with an exponent


def badge(state: str) -> str:
    """A state as a coloured badge in Markdown."""
    return f":{STATE_COLOURS.get(state, 'gray')}-badge[{state}]"


def coloured(arm: str, text: str = "") -> str:
    """An arm's name, or another text, in the arm's colour."""
    return f":{ARM_TEXT.get(style(arm)[0], 'gray')}[{escaped(text or arm)}]"


def title(name: str, task: str, base_batch: int, target_batch: int) -> str:
    """What a calibration is called: its own name, or what it does."""
    return name or f"{task}: batch {base_batch} → {target_batch}"


def places(values: Iterable[float]) -> int:
    """Decimals with which the smallest of the values still shows six digits; one number for a whole column."""
    sizes = [abs(value) for value in values if math.isfinite(value) and value]
    return min(max(5 - math.floor(math.log10(min(sizes))), 0), 10) if sizes else 6


def fixed(value: float, decimals: int, sign: str = "") -> str:
    """A number with that many decimals; nothing for NaN."""
    if math.isnan(value):
        return ""
    return f"{value:{sign}.6g}" if abs(value) >= LONGEST_NUMBER else f"{value:{sign}.{decimals}f}"


def calibrations_table(summaries: Sequence[CalibrationSummary], key: str) -> str | None:
    """The list; returns the id of a row that the user has just chosen, by its box or by any cell."""
    ends = [_end(summary, arm)[0] for summary in summaries for arm in ("base", "scaled")]
    decimals = min(places(ends), 6)
    frame = pd.DataFrame([
        {"State": _state(summary), "Verdict": summary.outcome,
         "Name": title(summary.name, summary.task, summary.base_batch, summary.target_batch),
         "Batch": f"{summary.base_batch} → {summary.target_batch}",
         **{arm.capitalize(): end_value(summary, arm, decimals) for arm in DEFAULT_ARMS},
         "Task": summary.task, "Optimizer": family(summary.optimizer).label, "Created": summary.created_at}
        for summary in summaries])
    # The row that comes back is numbered as the user saw the list, and a new one may have come on top since.
    seen = st.session_state.get(f"{key} seen", [])
    st.session_state[f"{key} seen"] = [summary.id for summary in summaries]
    chosen = st.dataframe(
        frame, hide_index=True, width="stretch", key=key, on_select="rerun", selection_mode=("single-row", "single-cell"),
        column_config={"Created": st.column_config.DatetimeColumn(format="YYYY-MM-DD HH:mm", timezone="UTC", help="In UTC"),
                       "Verdict": st.column_config.TextColumn(help=VERDICT_HELP),
                       "Name": st.column_config.TextColumn(width="medium"),
                       **{arm: st.column_config.TextColumn(f"{arm}, last", width=128, help=END_HELP)
                          for arm in map(str.capitalize, DEFAULT_ARMS)}},
        alt="Stored calibrations; choose a row to open it").selection
    rows = [*chosen.rows, *(cell[0] for cell in chosen.cells)]
    return seen[rows[0]] if rows and rows[0] < len(seen) else None


def _state(summary: CalibrationSummary) -> str:
    """The state; of one under way, how far it is."""
    return summary.state + ("" if summary.state in FINAL_STATES or not summary.progress else f" {summary.progress:.0%}")


def end_value(summary: CalibrationSummary, arm: str, decimals: int) -> str:
    """Last value of an arm's judged metric over its seeds, or nothing where there is none."""
    mean, std, count = _end(summary, arm)
    if not count:
        return ""
    return fixed(mean, decimals) + (f" ± {std:.2g}" if count > 1 else "")


def _end(summary: CalibrationSummary, arm: str) -> tuple[float, float, int]:
    """Mean, standard deviation and count of the last values of the metric that the calibration's task judges."""
    ends = summary.final.get(arm, {})
    return ends.get(TASKS[summary.task].judged, NO_END) if summary.task in TASKS else NO_END


def runs_table(record: CalibrationRecord) -> None:
    """Every run of a calibration with its state, its last values and why it ended."""
    metrics = task(record.plan.task).metrics
    decimals = {metric: places(run.final.get(metric, math.nan) for run in record.runs) for metric in metrics}
    rows = [(run.arm, str(run.seed), run.state,
             *(fixed(run.final.get(metric, math.nan), decimals[metric]) for metric in metrics), run.reason)
            for run in record.runs]
    heads = [f"Last {metric.label[0].lower()}{metric.label[1:]}" for metric in metrics.values()]
    st.dataframe(pd.DataFrame(rows, columns=["Arm", "Seed", "State", *heads, "Reason"]), hide_index=True, width="stretch",
                 alt="Every run with its state and its last values")


def diverged(record: CalibrationRecord) -> dict[str, list[str]]:
    """Arm -> reasons of its runs that diverged, for the arms that have some."""
    reasons: dict[str, list[str]] = {}
    for run in record.runs:
        if run.state == "DIVERGED":
            reasons.setdefault(run.arm, []).append(run.reason)
    return reasons
