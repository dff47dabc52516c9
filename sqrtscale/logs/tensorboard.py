"""TensorBoard's event files: every scalar that was written, none of them sampled. Needs neither TensorBoard nor TensorFlow.

Looked up: tensorboard/compat/proto/event.proto, summary.proto and tensor.proto: Event{1 wall_time, 2 step, 5 summary},
Summary{1 value}, Value{1 tag, 2 simple_value, 8 tensor}, TensorProto{1 dtype, 4 tensor_content, 5 float_val, 6 double_val}.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from . import _protobuf as wire
from ._records import groups, masked_crc
from ._series import Names, Reading, Series
from ._source import MOST_POINTS, opened, reading, refuse

TITLE = "TensorBoard event file"
FLOAT32, FLOAT64 = 1, 2
ALIKE = 8  # records of one layout below which they are read one by one


@dataclass(frozen=True)
class Scalar:
    """A scalar in a record, and where its numbers stand: (first byte, byte behind it)."""

    tag: str
    wall_time: float
    step: int
    value: float
    at: tuple[int, int]
    kind: str


@dataclass(frozen=True)
class Event:
    """The scalars of a record, and where its time and step stand."""

    scalars: tuple[Scalar, ...]
    time_at: tuple[int, int] | None
    step_at: tuple[int, int] | None


def recognises(path: Path, head: bytes) -> str:
    if len(head) < 12:
        return ""
    row = np.frombuffer(head[:8], np.uint8)[None]
    is_record = int(masked_crc(row)[0]) == int.from_bytes(head[8:12], "little")
    return "its first record" if is_record else ""


def read(path: Path, names: Names) -> Reading:
    parts: dict[str, list[np.ndarray]] = {}
    notes, points = [], 0
    with reading(path), opened(path) as file:
        for group in groups(path, file):
            if group is None:
                notes.append("ends within a record: what was whole was read")
                continue
            try:
                for tag, rows in _scalars(*group):
                    parts.setdefault(tag, []).append(rows)
                    points += len(rows)
            except (wire.Broken, struct.error) as error:
                raise refuse(path, "holds a record that is no event: give an event file of TensorBoard") from error
            if points > MOST_POINTS:
                raise refuse(path, f"has more than {MOST_POINTS:,} points: give one event file at a time")
    series = []
    for tag, tables in parts.items():
        table = np.concatenate(tables)
        table = table[np.argsort(table[:, 0], kind="stable")]
        series.append(Series(tag, pd.DataFrame({"step": table[:, 1], "wall_time": table[:, 2], "value": table[:, 3]})))
    return Reading(series, tuple(notes))


def _scalars(numbers: np.ndarray, rows: np.ndarray) -> list[tuple[str, np.ndarray]]:
    """(tag, [number in the file, step, wall time, value]) of records of one length: those of one layout at once."""
    answer = []
    while len(rows):
        event = _event(rows[0].tobytes())
        alike = _alike(rows, event)
        chosen, those = rows[alike], numbers[alike]
        if len(event.scalars) == 1 and event.time_at is not None and event.step_at is not None and len(chosen) >= ALIKE:
            scalar = event.scalars[0]
            columns = [
                those,
                _steps(chosen, event.step_at),
                _values(chosen, event.time_at, "<f8"),
                _values(chosen, scalar.at, scalar.kind),
            ]
            answer.append((scalar.tag, np.column_stack(columns)))
        elif event.scalars or len(chosen) < ALIKE:
            for number, row in zip(those, chosen, strict=True):
                for scalar in _event(row.tobytes()).scalars:
                    answer.append((scalar.tag, np.array([[number, scalar.step, scalar.wall_time, scalar.value]], float)))
        rows, numbers = rows[~alike], numbers[~alike]
    return answer


def _alike(rows: np.ndarray, event: Event) -> np.ndarray:
    """Which rows differ from the first one in the numbers of its time, step and scalar alone."""
    fixed = np.ones(rows.shape[1], bool)
    same = np.ones(len(rows), bool)
    for place in (event.time_at, *(scalar.at for scalar in event.scalars)):
        if place is not None:
            fixed[slice(*place)] = False
    if event.step_at is not None:  # as long a number: its bytes go on where those of the first one do
        part = rows[:, slice(*event.step_at)]
        same = ((part & 0x80) == (part[0] & 0x80)).all(1)
        fixed[slice(*event.step_at)] = False
    alike: np.ndarray = same & (rows[:, fixed] == rows[0, fixed]).all(1)
    return alike


def _steps(rows: np.ndarray, at: tuple[int, int]) -> np.ndarray:
    """Varints of one length; those of ten bytes are negative."""
    steps = np.zeros(len(rows), np.uint64)
    for place, column in enumerate(rows[:, slice(*at)].T[:10]):
        steps |= (column & np.uint64(0x7F)).astype(np.uint64) << np.uint64(7 * place)
    return steps.astype(np.int64)


def _values(rows: np.ndarray, at: tuple[int, int], kind: str) -> np.ndarray:
    values: np.ndarray = np.ascontiguousarray(rows[:, slice(*at)]).view(kind)[:, 0].astype(float)
    return values


def _event(data: bytes) -> Event:
    wall_time, step, time_at, step_at = 0.0, 0, None, None
    values: list[tuple[int, int]] = []
    for number, kind, start, after in wire.fields(data):
        if number == 1 and kind == wire.DOUBLE:
            wall_time, time_at = struct.unpack_from("<d", data, start)[0], (start, after)
        elif number == 2 and kind == wire.VARINT:
            step, step_at = wire.signed(wire.varint(data, start, after)[0]), (start, after)
        elif number == 5 and kind == wire.BYTES:
            values += [
                (begin, end) for inner, form, begin, end in wire.fields(data, start, after) if inner == 1 and form == wire.BYTES
            ]
    scalars = []
    for begin, end in values:
        place = _value(data, begin, end)
        if place is not None:
            tag, at, form = place
            value = struct.unpack_from(form, data, at[0])[0]
            scalars.append(Scalar(tag, wall_time, step, value, at, form))
    return Event(tuple(scalars), time_at, step_at)


def _value(data: bytes, begin: int, end: int) -> tuple[str, tuple[int, int], str] | None:
    """(tag, where its number stands, how it is written) of a scalar; None for a histogram, an image or text."""
    tag, place = "", None
    for number, kind, start, after in wire.fields(data, begin, end):
        if number == 1 and kind == wire.BYTES:
            tag = data[start:after].decode("utf-8", "replace")
        elif number == 2 and kind == wire.FLOAT:
            place = ((start, after), "<f")
        elif number == 8 and kind == wire.BYTES:
            place = _tensor(data, start, after)
    return None if place is None else (tag, *place)


def _tensor(data: bytes, begin: int, end: int) -> tuple[tuple[int, int], str] | None:
    """Where the one number of a tensor stands, whose shape is that of a scalar."""
    dtype, place, shaped = 0, None, False
    for number, kind, start, after in wire.fields(data, begin, end):
        if number == 1 and kind == wire.VARINT:
            dtype = wire.varint(data, start, after)[0]
        elif number == 2 and kind == wire.BYTES:
            shaped = after > start
        elif number in (4, 5, 6):
            place = (start, after)
    size = {FLOAT32: 4, FLOAT64: 8}.get(dtype)
    if shaped or place is None or size is None or place[1] - place[0] != size:
        return None
    return place, "<f" if size == 4 else "<d"
