"""JSON values, one a line or in one document; each that is broken is a sentence."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ._source import document, first_lines, lines, refuse


def objects(path: Path) -> Iterator[dict[str, Any]]:
    """The objects of JSON lines; a last line that was not finished is left out, as a run writes it that still goes on."""
    broken = 0
    for number, line in enumerate(lines(path), 1):
        line = line.strip()
        if not line:
            continue
        if broken:
            raise refuse(path, f"is broken at line {broken}: mend that line or take it out")
        try:
            row, end = (STRICT if number <= CHECKED else QUICK).raw_decode(line)
            if end < len(line):
                raise ValueError("more than one value")
        except (ValueError, RecursionError):
            broken = number
            continue
        except KeyError as error:
            raise refuse(path, f"has two metrics named {error.args[0]!r} in line {number}: give each its own name") from error
        if not isinstance(row, dict):
            raise refuse(path, f'has no object in line {number}: one object a line is read, {{"step": 1, "loss": 2.5}}')
        yield row
    if broken == 1:
        raise refuse(path, "is broken at line 1: one JSON object a line is read")


def _without_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    row = dict(pairs)
    if len(row) < len(pairs):
        names = [name for name, _ in pairs]
        raise KeyError(next(name for name in names if names.count(name) > 1))
    return row


CHECKED = 1_000  # lines whose names are looked at for twins
STRICT, QUICK = json.JSONDecoder(object_pairs_hook=_without_twins), json.JSONDecoder()


def whole(path: Path) -> Any:
    """A JSON document."""
    text = document(path)
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise refuse(path, "is broken JSON: copy it again whole") from error


def listed(path: Path, key: str, lacks: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """A JSON object, and the list of objects that it has by that key; ``lacks`` is said of a file without."""
    data = whole(path)
    rows = data.get(key) if isinstance(data, dict) else None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise refuse(path, lacks)
    return data, rows


def first_object(head: bytes) -> dict[str, Any]:
    """The first line's object, to recognise a file by; empty where it has none."""
    start = first_lines(head)
    try:
        row = json.loads(start[0]) if start else {}
    except (ValueError, RecursionError):
        return {}
    return row if isinstance(row, dict) else {}
