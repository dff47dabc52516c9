"""Stored calibrations as a list, runs as a table, and the words and colours of their states."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import pandas as pd
import streamlit as st

from ..evidence import OUTCOMES
from ..rules import family
from ..store import FINAL_STATES, CalibrationSummary, ImportedRecord, Record
from ..tasks import without_version
from .colours import BASE, NOISE_AWARE, OF_AN_OUTCOME, SCALED, style
from .difference_charts import SYMBOLS
from .tables import escaped

STATE_COLOURS = {"DONE": "green", "RUNNING": "blue", "STARTING": "blue", "QUEUED": "gray", "CANCELLING": "orange",
                 "CANCELLED": "gray", "INTERRUPTED": "orange", "FAILED": "red", "LOST": "red", "TIMED_OUT": "red"}
ARM_TEXT = {BASE: "blue", SCALED: "orange", NOISE_AWARE: "violet"}
VERDICT_HELP = "Does scaled do what base does? By the default margin; empty where nothing was compared"
DIFFERENCE_HELP = "Scaled - base over the last tenth of the samples, in the unit of what the task judges"
COURSE_HELP = "The difference to base over samples, from the branch point on: the height of a row is two margins up and down"
FURTHEST = 2.0  # margins that the sparkline of a course shows
ROW = 35  # pixels
LONGEST_NUMBER = 1e7  # from here on with an exponent


def badge(state: str) -> str:
    """A state as a coloured badge in Markdown."""
    return f":{STATE_COLOURS.get(state, 'gray')}-badge[{state}]"


def coloured(arm: str, text: str = "") -> str:
    """An arm's name, or another text, in the arm's colour."""
    return f":{ARM_TEXT.get(style(arm)[0], 'gray')}[{escaped(text or arm)}]"


def places(values: Iterable[float]) -> int:
    """Decimals with which the smallest of the values still shows six digits; one number for a whole column."""
    sizes = [abs(value) for value in values if math.isfinite(value) and value]
    return min(max(5 - math.floor(math.log10(min(sizes))), 0), 10) if sizes else 6


def fixed(value: float, decimals: int, sign: str = "") -> str:
    """A number with that many decimals; nothing for NaN."""
    if math.isnan(value):
        return ""
    return f"{value:{sign}.6g}" if abs(value) >= LONGEST_NUMBER else f"{value:{sign}.{decimals}f}"


class Chosen(NamedTuple):
    """What the user chose in a list: a row to open, by its name, and the rows that are ticked."""

    opened: str | None
    ticked: frozenset[str]


def calibrations_table(summaries: Sequence[CalibrationSummary], key: str) -> Chosen:
    """The list; numbers are numbers, so that its columns sort as such."""
    seen: list[str] = st.session_state.get(f"{key} seen", [])
    ids = st.session_state[f"{key} seen"] = [summary.id for summary in summaries]
    # The rows that come back are numbered as the user saw the list, and new ones may have come on top since.
    rows: list[int] = st.session_state.get(key, {}).get("selection", {}).get("rows", [])
    ticked = frozenset(seen[row] for row in rows if row < len(seen))
    clicked = st.session_state.get(f"{key} name")
    opened = seen[clicked.row] if clicked and clicked.row < len(seen) else None
    if rows and seen != ids:
        st.session_state[key] = {"selection": {"rows": [row for row, id in enumerate(ids) if id in ticked]}}
    st.dataframe(
        pd.DataFrame({name: column(summaries) for name, column in COLUMNS.items()}), hide_index=True, width="stretch", key=key,
        on_select="rerun", selection_mode="multi-row", column_config=_columns(summaries, f"{key} name"), row_height=ROW,
        placeholder="", alt="Stored calibrations")
    return Chosen(opened, ticked)


COLUMNS: dict[str, Callable[[Sequence[CalibrationSummary]], list[Any]]] = {
    "State": lambda rows: [_state(row) for row in rows],
    "Verdict": lambda rows: [[verdict(row.outcome)] if row.outcome else [] for row in rows],
    "Name": lambda rows: [row.title for row in rows],
    "Optimizer": lambda rows: [optimizer(row) for row in rows],
    "Task": lambda rows: [without_version(row.task) for row in rows],
    "κ": lambda rows: [row.kappa for row in rows],
    "Batch": lambda rows: [f"{row.base_batch} → {row.target_batch}" for row in rows],
    "lr": lambda rows: [row.lr for row in rows],
    "Difference": lambda rows: [row.difference for row in rows],
    "±": lambda rows: [_half_width(row) for row in rows],
    "Course": lambda rows: [_course(row) for row in rows],
    "Tags": lambda rows: [list(row.tags) for row in rows],
    "Created": lambda rows: [row.created_at for row in rows],
}


def _columns(summaries: Sequence[CalibrationSummary], name: str) -> dict[str, Any]:
    """How each column is shown; name: the key that holds a click on one."""
    column = st.column_config
    tags = sorted({tag for row in summaries for tag in row.tags})
    return {
        "State": column.TextColumn(width=100),
        "Verdict": column.MultiselectColumn(options=[verdict(outcome) for outcome in OUTCOMES], width=114, help=VERDICT_HELP,
                                            color=[OF_AN_OUTCOME[outcome] for outcome in OUTCOMES]),
        "Name": column.ButtonColumn(width=184, type="secondary", alignment="left", key=name),
        "Optimizer": column.TextColumn(width=84), "Task": column.TextColumn(width=76),
        "κ": column.NumberColumn(format="%.4g", width=52, help="Target batch over base batch"),
        "Batch": column.TextColumn(width=88),
        "lr": column.NumberColumn(format="%.4g", width=72, help="Learning rate of base"),
        "Difference": column.NumberColumn(format="%+.3g", width=88, help=DIFFERENCE_HELP),
        "±": column.NumberColumn(format="%.2g", width=72, help="Half the width of the difference's interval"),
        "Course": column.LineChartColumn(width=96, y_min=-FURTHEST, y_max=FURTHEST, color="gray", help=COURSE_HELP),
        "Tags": column.MultiselectColumn(options=tags, color="gray", width=116),
        "Created": column.DatetimeColumn(format="YYYY-MM-DD HH:mm", timezone="UTC", width=130, help="In UTC"),
    }


def optimizer(row: CalibrationSummary) -> str:
    """What the optimizer family is called; nothing where it is not known, of imported runs."""
    return family(row.optimizer).label if row.optimizer else ""


def verdict(outcome: str) -> str:
    """An outcome with its sign, so that it is not told by colour alone."""
    return f"{SYMBOLS[outcome]} {outcome}"


def _half_width(row: CalibrationSummary) -> float | None:
    """Of the interval, which lies evenly around the difference; None for one pair."""
    if row.low is None or row.high is None or not math.isfinite(row.high - row.low):
        return None
    return (row.high - row.low) / 2


def _course(row: CalibrationSummary) -> list[float]:
    """The course in margins, cut to what the sparkline shows."""
    return [min(max(value / row.margin, -FURTHEST), FURTHEST) for value in row.course] if row.margin else []


def _state(summary: CalibrationSummary) -> str:
    """The state; of one under way, how far it is."""
    return summary.state + ("" if summary.state in FINAL_STATES or not summary.progress else f" {summary.progress:.0%}")


def runs_table(record: Record) -> None:
    """Every run with its state, its last values and why it ended."""
    metrics = record.plan.metrics
    decimals = {metric: places(run.final.get(metric, math.nan) for run in record.runs) for metric in metrics}
    names = {}
    if isinstance(record, ImportedRecord):
        names = {(run.arm, run.seed): run.name + f", seed {run.seed}" * record.plan.paired for run in record.plan.runs}
    rows = [(run.arm, names.get((run.arm, run.seed), str(run.seed)), run.state,
             *(fixed(run.final.get(metric, math.nan), decimals[metric]) for metric in metrics), run.reason)
            for run in record.runs]
    heads = [f"Last {metric.label[0].lower()}{metric.label[1:]}" for metric in metrics.values()]
    frame = pd.DataFrame(rows, columns=["Arm", "Run" if names else "Seed", "State", *heads, "Reason"])
    st.dataframe(frame, hide_index=True, width="stretch", alt="Every run with its state and its last values")


def diverged(record: Record) -> dict[str, list[str]]:
    """Arm -> reasons of its runs that diverged, for the arms that have some."""
    reasons: dict[str, list[str]] = {}
    for run in record.runs:
        if run.state == "DIVERGED":
            reasons.setdefault(run.arm, []).append(run.reason)
    return reasons
