"""The history of a Weights & Biases run as JSON lines, as ``run.scan_history()`` gives it: _step, _runtime, _timestamp ..."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ._axes import axes_among
from ._json import first_object, objects
from ._series import Columns, Names, Reading, Rows, Series, axes_of
from ._source import refuse

TITLE = "W&B history (JSON lines)"
OWN = ("_step", "_runtime", "_timestamp")
COUNTS_CALLS = "W&B's _step counts calls of wandb.log, which need not be optimizer steps: confirm what it counts"


def recognises(path: Path, head: bytes) -> str:
    keys = [key for key in OWN if key in first_object(head)]
    return f"the keys {' and '.join(keys)}" if "_step" in keys and len(keys) > 1 else ""


def read(path: Path, names: Names) -> Reading:
    rows = Rows(path)
    for row in objects(path):
        rows.add(row)
    return history(rows, names)


def history(
    rows: Rows, names: Names, parameters: dict[str | None, dict[str, str]] | None = None, calls: str = COUNTS_CALLS
) -> Reading:
    """The metrics over the trainer's own count of steps where it was logged, else over the tracker's, _step.

    calls: what is to be said of the tracker's count.
    """
    series: list[Series] = []
    notes: dict[str, None] = {}
    for run, columns in rows.runs.items():
        axes, own = _axes(rows.path, columns, names)
        leave = {name for candidates in axes_among(columns.names).values() for name in candidates}
        leave |= {name for name in columns.names if name.startswith("_")}
        series += columns.series(axes, run, leave)
        if not own:
            notes[calls] = None
        notes.update(dict.fromkeys(columns.remarks))
    if not series:
        raise refuse(rows.path, "has no metric among W&B's own columns: give the history of a run that logged numbers")
    return Reading(series, tuple(notes), parameters or {})


def _axes(path: Path, columns: Columns, names: Names) -> tuple[dict[str, str], bool]:
    """Axis -> column, and whether steps are counted by the trainer itself."""
    steps = [name for name in axes_among(columns.names).get("step", []) if name != "_step"]
    chosen = dict(names)
    own = "step" in names or (
        bool(steps) and all(np.array_equal(columns.dense(steps[0]), columns.dense(name), equal_nan=True) for name in steps[1:])
    )
    if "_step" not in columns.names:
        return axes_of(path, columns, chosen), True
    chosen.setdefault("step", steps[0] if own else "_step")
    if own:
        chosen.setdefault("log_call", "_step")
    for axis, name in (("wall_time", "_runtime"), ("wall_time", "_timestamp")):
        if name in columns.names:
            chosen.setdefault(axis, name)
    return axes_of(path, columns, chosen), own
