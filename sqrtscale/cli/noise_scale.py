"""``--noise-scale``: a number, a file with its course over samples seen, or a stored calibration that has measured it."""

from __future__ import annotations

import csv
import json
import math
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from ..rules import FieldError
from ..rules.errors import shown
from ..rules.signal import ALLOWED, LARGEST, WINDOW, NoiseScaleCurve, noise_scale
from .runs import whole_id
from .shared import BadInput, file_bytes, number, open_store

OPTION = "--noise-scale"
COLUMNS = ("samples", "noise_scale")
METER = ("samples", "noise", "signal")
POINTS = (f"give a CSV file with the columns {' and '.join(COLUMNS)}, a JSON list of [samples, noise scale], or what NoiseMeter "
          "has written")
SOURCES = f"{ALLOWED}, a file of points, or the id of a stored calibration"
LARGEST_FILE = 2**20  # bytes
MOST_POINTS = 10_000
WHOLE_ID, BEGINNING = re.compile(r"[0-9a-f]{12}"), re.compile(r"[0-9a-f]{1,12}")
SMALLEST = 1e-9  # samples: in place of 0, at the lower end of an interval that says nothing


class NoiseScale(NamedTuple):
    """A noise scale, or its course over samples seen; ends: the lower and the upper end of its interval, where that is known."""

    value: float | NoiseScaleCurve
    ends: tuple[NoiseScaleCurve, ...] = ()


def noise_scale_of(text: str) -> NoiseScale:
    """What the option says. An id that reads as a number has to be given whole."""
    if not WHOLE_ID.fullmatch(text):
        value = number(text)
        if not isinstance(value, str):
            return NoiseScale(noise_scale(value))
        if os.path.exists(text):
            return NoiseScale(_of_file(Path(text)))
    if not BEGINNING.fullmatch(text):
        raise FieldError("noise_scale", text, SOURCES)
    return _stored(text)


def _stored(id: str) -> NoiseScale:
    """What the base runs of a stored calibration have measured, in samples after the branch point."""
    from ..diagnostics.course import BEYOND, remembered
    from ..evidence import noise_by_samples, noise_scale_course
    from ..plan import WARM_START
    from ..store import DamagedChunk

    with open_store() as store:
        id = whole_id(store, id)
        try:
            plan, curves = store.get(id).plan, store.curves(id)
        except DamagedChunk as error:
            raise RuntimeError(str(error)) from error
    course = noise_scale_course(curves, before=plan.warm_samples)
    seen = [(samples, ratio) for samples, ratio in course if 0 < ratio.value < math.inf]
    if not seen:
        measured = "saw no signal, only noise: take the square-root rule" if course else "has not measured it: give another one"
        raise BadInput(f"{OPTION} = {id!r} {measured}")
    # As an arm that follows takes it: averaged as v averages, over the warm start as well. The intervals are in proportion.
    before = plan.warm_samples
    ages = noise_by_samples(curves, WARM_START) | {
        samples + before: measured for samples, measured in noise_by_samples(curves).items()}
    scales = remembered(ages, plan.memory, BEYOND * max(arm.config.batch_size for arm in plan.arms))
    points = [(samples, scales[samples + before], ratio) for samples, ratio in seen]
    lows, highs = ([(samples, min(max(scale * end / ratio.value, SMALLEST), LARGEST)) for samples, scale, ratio, end in ends]
                   for ends in ([(*point, point[2].low) for point in points], [(*point, point[2].high) for point in points]))
    return NoiseScale(NoiseScaleCurve.of((samples, scale) for samples, scale, _ in points),
                      (NoiseScaleCurve.of(lows), NoiseScaleCurve.of(highs)))


def _of_file(path: Path) -> NoiseScaleCurve:
    """The course in a file of points; raises BadInput and FieldError."""
    data = file_bytes(OPTION, path, LARGEST_FILE, "the points of a noise scale")
    name = shown(str(path))
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadInput(f"{OPTION} = {name} is no text: {POINTS}") from error
    if not text.strip():
        raise BadInput(f"{OPTION} = {name} is empty: {POINTS}")
    try:
        kind = {"[": _json_points, "{": _meter_points}.get(text.lstrip()[0], _csv_points)
        points = list(kind(text))
    except (csv.Error, ValueError, RecursionError) as error:
        raise BadInput(f"{OPTION} = {name} has no points that can be read ({_reason(error)}): {POINTS}") from error
    if len(points) > MOST_POINTS:
        raise BadInput(f"{OPTION} = {name} has {len(points):,} points: give at most {MOST_POINTS:,}")
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


def _csv_points(text: str) -> Iterator[tuple[Any, Any]]:
    """The rows below a header with both names, other columns left out; or rows of two numbers without a header."""
    lines = [(i, row) for i, row in enumerate(csv.reader(text.splitlines()), 1) if any(map(str.strip, row))]
    header = [name.strip() for name in lines[0][1]]
    columns = [0, 1]
    if set(COLUMNS) <= set(header):
        columns, lines = [header.index(name) for name in COLUMNS], lines[1:]
    elif len(header) != len(COLUMNS):
        raise ValueError(f"its first line is {shown(','.join(header))}")
    for i, row in lines:
        values = [number(row[column].strip()) for column in columns if column < len(row)]
        if len(values) < len(columns) or any(isinstance(value, str) for value in values):
            raise ValueError(f"line {i} is {shown(','.join(row))}")
        yield values[0], values[1]
