"""CSV: long (run, metric, value and what counts the points, a row each) or wide (a column a metric)."""

from __future__ import annotations

import re
from pathlib import Path

from ._series import Names, Reading, Series
from ._source import head_of
from ._table import header_of, read_table

TITLE = "CSV, long or wide"
GENERAL = True
TENSORBOARD = ("Wall time", "Step", "Value")  # what TensorBoard's own download has, whose name says run and tag


def recognises(path: Path, head: bytes) -> str:
    columns = header_of(head)[0]
    return f"the columns {', '.join(columns[:4])}" if columns else ""


def read(path: Path, names: Names) -> Reading:
    reading = read_table(path, names)
    if tuple(header_of(head_of(path))[0]) != TENSORBOARD:
        return reading
    match = re.fullmatch(r"(?:run-)?(?P<run>.+?)-tag-(?P<tag>.+?)\.csv(\.gz)?", path.name)
    run, tag = (match["run"], match["tag"]) if match else (None, "Value")
    return Reading([Series(tag, single.points, run) for single in reading.series], reading.notes)
