"""A chart of Weights & Biases, exported as CSV: the x axis, and for each run "<run> - <metric>" with twins __MIN and __MAX.

A chart draws fewer points than were logged, and its export has what it draws: where the twins differ, the value is the mean of
several logged ones.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ._axes import axis_of
from ._series import Columns, Names, Reading, Series, axes_of
from ._source import refuse
from ._table import chunks, extend, header_of

TITLE = "W&B chart, exported as CSV"
TWINS = ("__MIN", "__MAX")


def recognises(path: Path, head: bytes) -> str:
    columns = header_of(head)[0]
    pairs = [column for column in columns[1:] if " - " in column]
    twins = {f"{column}{twin}" for column in pairs for twin in TWINS} & set(columns)
    is_chart = bool(pairs) and (bool(twins) or len(pairs) == len(columns) - 1)
    return f"the columns {columns[0]} and {pairs[0]}" if is_chart and axis_of(columns[0]) is not None else ""


def read(path: Path, names: Names) -> Reading:
    columns = Columns()
    for frame in chunks(path):
        extend(columns, frame)
    charted = [
        name for name in columns.names if " - " in name and not name.endswith(TWINS) and name.rpartition(" - ")[2] != "_step"
    ]
    if not charted:
        raise refuse(path, "has no column of numbers named <run> - <metric>: export the chart again")
    axes = axes_of(path, columns, names)
    leave = [name for name in columns.names if name not in charted]
    series = []
    for single in columns.series(axes, leave=leave):
        run, _, metric = single.metric.rpartition(" - ")
        series.append(Series(metric, single.points, run))
    notes = ["the columns __MIN and __MAX were left out"] if any(name.endswith(TWINS) for name in columns.names) else []
    if any(_averaged(columns, name) for name in charted):
        notes.append("W&B drew fewer points than were logged, each the mean of several: export the runs' history for all of them")
    if axes.get("step", "").lower() == "step":
        notes.append("W&B's Step counts calls of wandb.log, which need not be optimizer steps: confirm what it counts")
    return Reading(series, tuple(notes))


def _averaged(columns: Columns, name: str) -> bool:
    least, most = (f"{name}{twin}" for twin in TWINS)
    both = least in columns.names and most in columns.names
    return both and bool(np.any(columns.dense(least) < columns.dense(most)))
