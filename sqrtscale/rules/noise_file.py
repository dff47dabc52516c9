"""A noise scale's course over samples, as files have it: CSV, a JSON list, or what ``NoiseMeter`` has written."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from typing import Any

from .errors import FieldError, shown
from .signal import WINDOW, NoiseScaleCurve

COLUMNS = ("samples", "noise_scale")
METER = ("samples", "noise", "signal")
POINTS = (
    f"give a CSV file with the columns {' and '.join(COLUMNS)}, a JSON list of [samples, noise scale], or what NoiseMeter "
    "has written"
)
LARGEST_FILE = 2**20  # bytes
MOST_POINTS = 10_000


def course(data: bytes, name: str, field: str = "noise_scale") -> NoiseScaleCurve:
    """The course in a file of that name; field: what asked for it. Raises FieldError."""

    def refuse(wrong: str) -> FieldError:
        return FieldError(field, name, f"{wrong}: {POINTS}")

    if len(data) > LARGEST_FILE:
        raise refuse("is too large for the points of a noise scale")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise refuse("is no text") from error
    if not text.strip():
        raise refuse("is empty")
    try:
        points = list({"[": _json_points, "{": _meter_points}.get(text.lstrip()[0], _csv_points)(text))
    except (csv.Error, ValueError, RecursionError) as error:
        raise refuse(f"has no points that can be read ({_reason(error)})") from error
    if len(points) > MOST_POINTS:
        raise FieldError(field, name, f"has {len(points):,} points: give at most {MOST_POINTS:,}")
    return NoiseScaleCurve(tuple(points))  # which refuses what is no number, or does not rise


def _reason(error: Exception) -> str:
    return "nested too deeply" if isinstance(error, RecursionError) else " ".join(str(error).split())


def _meter_points(text: str) -> Iterator[tuple[float, float]]:
    """What ``NoiseMeter`` has written, a measurement a line: the noise scale wherever a signal was seen."""
    sums: dict[float, tuple[float, float]] = {}
    for i, line in enumerate(filter(str.strip, text.splitlines()), 1):
        measured = json.loads(line)
        values = [measured.get(name) for name in METER] if isinstance(measured, dict) else []
        known = [float(value) for value in values if isinstance(value, int | float)]
        if len(known) < len(METER):
            raise ValueError(f"line {i} is {shown(measured)}")
        samples, noise, signal = known
        before = sums.get(samples, (0.0, 0.0))
        sums[samples] = before[0] + noise, before[1] + signal
    for samples in sorted(sums):
        lately = [both for other, both in sums.items() if samples / WINDOW <= other <= samples]
        noise, signal = (sum(parts) for parts in zip(*lately, strict=True))
        if noise > 0 < signal:
            yield samples, noise / signal


def _json_points(text: str) -> Iterator[tuple[Any, Any]]:
    """Pairs, or objects with both names."""
    points = json.loads(text)
    if not isinstance(points, list):
        raise ValueError("no list")
    for i, point in enumerate(points, 1):
        if isinstance(point, dict) and set(COLUMNS) <= set(point):
            yield point[COLUMNS[0]], point[COLUMNS[1]]
        elif isinstance(point, list) and len(point) == len(COLUMNS):
            yield point[0], point[1]
        else:
            raise ValueError(f"entry {i} is {shown(point)}")


def _csv_points(text: str) -> Iterator[tuple[float, float]]:
    """The rows below a header with both names, other columns left out; or rows of two numbers without a header."""
    lines = [(i, row) for i, row in enumerate(csv.reader(text.splitlines()), 1) if any(map(str.strip, row))]
    header = [name.strip() for name in lines[0][1]]
    columns = [0, 1]
    if set(COLUMNS) <= set(header):
        columns, lines = [header.index(name) for name in COLUMNS], lines[1:]
    elif len(header) != len(COLUMNS):
        raise ValueError(f"its first line is {shown(','.join(header))}")
    for i, row in lines:
        try:
            samples, scale = (float(row[column].strip()) for column in columns)
        except (IndexError, ValueError) as error:
            raise ValueError(f"line {i} is {shown(','.join(row))}") from error
        yield samples, scale
