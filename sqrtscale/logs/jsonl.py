"""JSON lines, or a list, of objects: an object a point, its keys steps, samples ... and metrics; a key run tells runs apart."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ._json import first_object, objects, whole
from ._series import Names, Reading, Rows
from ._source import head_of, refuse
from ._table import METRIC_NAMES, RUN_NAMES, VALUE_NAMES, column_for

TITLE = "JSON lines"
GENERAL = True


def recognises(path: Path, head: bytes) -> str:
    if head.lstrip()[:1] == b"[" and head.lstrip()[1:].lstrip()[:1] == b"{":
        return "a list of objects"
    return "an object in its first line" if first_object(head) else ""


def _points(path: Path) -> Iterator[dict[str, Any]]:
    if head_of(path).lstrip()[:1] != b"[":
        yield from objects(path)
        return
    data = whole(path)
    if not all(isinstance(row, dict) for row in data):
        raise refuse(path, "is a list with something else than objects in it: give one object a point")
    yield from data


def read(path: Path, names: Names) -> Reading:
    rows = Rows(path)
    run = metric = value = None
    for row in _points(path):
        if not rows.runs:
            run, metric, value = (
                column_for(ours, usual, list(row), names, path)
                for ours, usual in (("run", RUN_NAMES), ("metric", METRIC_NAMES), ("value", VALUE_NAMES))
            )
        label = str(row[run]) if run in row and isinstance(row[run], (str, int)) else None
        if metric in row and value in row:  # a point a line, its metric by name
            name = str(row[metric])
            row = {key: content for key, content in row.items() if key not in (metric, value)} | {name: row[value]}
        if label is not None:
            row = {key: content for key, content in row.items() if key != run}
        rows.add(row, label)
    return rows.reading(names)
