"""The metrics.csv of Lightning's CSVLogger: columns epoch and step, and one of every metric, empty where it was not logged.

Lightning numbers its steps from 0: what it logs after 32 steps, evaluations too, stands at step 31. Looked up: lightning,
loops/training_epoch_loop.py (on_advance_end raises _batches_that_stepped after validation and logging).
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ._series import Names, Reading
from ._table import header_of, read_table

TITLE = "Lightning metrics.csv (CSVLogger)"


def recognises(path: Path, head: bytes) -> str:
    columns = header_of(head)[0]
    is_metrics = path.name.startswith("metrics.csv") and "step" in columns
    return "the name metrics.csv and the column step" if is_metrics else ""


def read(path: Path, names: Names) -> Reading:
    """All series over the steps that were made, which is one more than the number of the step; a step that is named stays."""
    reading = read_table(path, names)
    if names.get("step", "step") != "step" or not all("step" in series.points for series in reading.series):
        return reading
    series = [replace(single, points=single.points.assign(step=single.points["step"] + 1)) for single in reading.series]
    note = "Lightning numbers its steps from 0: 1 was added, so that a point stands at the steps that were made"
    return replace(reading, series=series, notes=(*reading.notes, note))
