"""The metrics.csv of Lightning's CSVLogger: columns epoch and step, and one of every metric, empty where it was not logged."""

from __future__ import annotations

from pathlib import Path

from ._series import Names, Reading
from ._table import header_of, read_table

TITLE = "Lightning metrics.csv (CSVLogger)"


def recognises(path: Path, head: bytes) -> str:
    columns = header_of(head)[0]
    is_metrics = path.name.startswith("metrics.csv") and "step" in columns
    return "the name metrics.csv and the column step" if is_metrics else ""


def read(path: Path, names: Names) -> Reading:
    return read_table(path, names)
