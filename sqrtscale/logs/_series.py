"""What a reader gives: series as they were written, gathered from rows of a log that hold some of its columns each."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from ._axes import AXIS_NAMES, axes_among
from ._logs import AXES
from ._source import MOST_CURVES, MOST_POINTS, refuse

Names = Mapping[str, str]  # our word (run, metric, value, or an axis) -> the column that the user says it is
WORDS = {"NaN": math.nan, "nan": math.nan, "Infinity": math.inf, "inf": math.inf, "-Infinity": -math.inf, "-inf": -math.inf}


@dataclass(frozen=True)
class Series:
    """Points of a metric in the order in which they were written: columns axes and value. run: None where the file is the run."""

    metric: str
    points: pd.DataFrame
    run: str | None = None
    window: int | None = None


@dataclass(frozen=True)
class Reading:
    """All that a file holds. measured: its series are a noise meter's; parameters: by run."""

    series: Sequence[Series]
    notes: tuple[str, ...] = ()
    parameters: Mapping[str | None, Mapping[str, str]] = field(default_factory=dict)
    measured: bool = False


class Columns:
    """Sparse columns of one run: each holds the numbers of the rows that have it."""

    def __init__(self) -> None:
        self.length = 0
        self._rows: dict[str, array[int]] = {}
        self._values: dict[str, array[float]] = {}
        self._text: dict[str, int] = {}

    def add(self, row: Mapping[str, object]) -> None:
        """Append a row; tables within it are columns with dotted names, what is no number is left out."""
        for key, value in row.items():
            kind = type(value)
            if kind is not float and kind is not int:
                if kind is dict:
                    for inner, number in _leaves(key, value):
                        self._put(inner, number)
                elif kind is str and value in WORDS:
                    self._put(key, WORDS[value])
                elif kind is str:
                    self._text[key] = self._text.get(key, 0) + 1
                continue
            try:
                self._values[key].append(value)  # type: ignore[arg-type]
                self._rows[key].append(self.length)
            except KeyError:
                self._put(key, _as_float(value))  # type: ignore[arg-type]
            except OverflowError:  # an integer beyond floating point
                self._put(key, math.inf)
        self.length += 1

    def extend(self, length: int, columns: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> None:
        """Append ``length`` rows; columns: name -> (numbers of the rows from 0, values)."""
        for name, (rows, values) in columns.items():
            self._rows.setdefault(name, array("q")).frombytes((rows + self.length).astype(np.int64).tobytes())
            self._values.setdefault(name, array("d")).frombytes(values.astype(float).tobytes())
        self.length += length

    def texts(self, name: str, count: int) -> None:
        """Note ``count`` cells of a column that hold text."""
        self._text[name] = self._text.get(name, 0) + count

    def _put(self, key: str, value: float) -> None:
        self._rows.setdefault(key, array("q")).append(self.length)
        self._values.setdefault(key, array("d")).append(value)

    @property
    def names(self) -> list[str]:
        """The columns that hold numbers more often than text."""
        return [name for name in self._values if self._holds_numbers(name)]

    def _holds_numbers(self, name: str) -> bool:
        return name in self._values and len(self._values[name]) >= self._text.get(name, 0)

    @property
    def spoilt(self) -> dict[str, int]:
        """Cells with text in the columns of numbers."""
        return {name: self._text[name] for name in self.names if self._text.get(name)}

    @property
    def points(self) -> int:
        """How many numbers there are."""
        return sum(map(len, self._values.values()))

    @property
    def remarks(self) -> tuple[str, ...]:
        """A sentence for every column of numbers in which text stands."""
        return tuple(f"{count} cells of {name} hold no number" for name, count in self.spoilt.items())

    def of(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """The rows that have a column, and what stands there; none of a column that holds no numbers."""
        if not self._holds_numbers(name):
            return np.array([], np.int64), np.array([])
        return np.frombuffer(self._rows[name], np.int64), np.frombuffer(self._values[name])

    def dense(self, name: str) -> np.ndarray:
        """A column with NaN in the rows that do not have it [length]."""
        column = np.full(self.length, math.nan)
        column[np.frombuffer(self._rows[name], np.int64)] = np.frombuffer(self._values[name])
        return column

    def series(self, axes: Mapping[str, str], run: str | None = None, leave: Iterable[str] = ()) -> list[Series]:
        """A series of every column but those of ``axes`` (axis -> column) and ``leave``."""
        dense = {axis: self.dense(column) for axis, column in axes.items()}
        out = {*axes.values(), *leave}
        answer = []
        for name in self.names:
            if name in out:
                continue
            rows, values = self.of(name)
            points = {axis: column[rows] for axis, column in dense.items()}
            points = {axis: column for axis, column in points.items() if not np.isnan(column).all()}
            answer.append(Series(name, pd.DataFrame({**points, "value": values}), run))
        return answer


class Rows:
    """The rows of a log, by run."""

    def __init__(self, path: Path):
        self.path = path
        self.runs: dict[str | None, Columns] = {}
        self._added = 0

    def of(self, run: str | None) -> Columns:
        """The columns of a run."""
        if run not in self.runs:
            self.runs[run] = Columns()
        return self.runs[run]

    def add(self, row: Mapping[str, object], run: str | None = None) -> None:
        """Append a row of a run."""
        self.of(run).add(row)
        self._added += 1
        if self._added % 100_000 == 0:
            self.check()

    def check(self) -> None:
        """Refuse what would not fit into memory."""
        if sum(columns.points for columns in self.runs.values()) > MOST_POINTS:
            raise refuse(self.path, f"has more than {MOST_POINTS:,} points: export fewer metrics or runs, or one file a run")
        if sum(len(columns.names) for columns in self.runs.values()) > MOST_CURVES:
            raise refuse(self.path, f"has more than {MOST_CURVES:,} curves: export the metrics that you compare")

    def reading(self, names: Names, parameters: Mapping[str | None, Mapping[str, str]] | None = None) -> Reading:
        """Every column that is no axis as a series, over the axes that the columns' names or ``names`` say."""
        self.check()
        series: list[Series] = []
        notes: list[str] = []
        for run, columns in self.runs.items():
            axes = axes_of(self.path, columns, names)
            leave = {name for candidates in axes_among(columns.names).values() for name in candidates}
            series += columns.series(axes, run, leave)
            notes += columns.remarks
        if not series:
            raise refuse(self.path, "has no numbers but those that count steps: give a log with a column of a metric")
        return Reading(series, tuple(dict.fromkeys(notes)), parameters or {})


def axes_of(path: Path, columns: Columns, names: Names) -> dict[str, str]:
    """Axis -> column; refuses a log without any, and one whose columns may be meant both."""
    if not columns.length:
        raise refuse(path, "has column names and no rows: give a log of a run that has logged something")
    for ours, column in names.items():
        if ours in AXES and column not in columns.names:
            raise refuse(path, f"has no column {column!r} of numbers for {ours}: give one of {_listed(columns.names)}")
    axes = {}
    for axis, candidates in axes_among(columns.names).items():
        first = columns.dense(candidates[0])
        if axis in names:
            continue
        if any(not np.array_equal(first, columns.dense(other), equal_nan=True) for other in candidates[1:]):
            raise refuse(
                path,
                f"has several columns that may count {_counted(axis)}, {' and '.join(candidates)}: say which it "
                f"is, for example {axis}={candidates[0]}",
            )
        axes[axis] = candidates[0]
    axes.update({ours: column for ours, column in names.items() if ours in AXES})
    if not set(axes) - {"wall_time"}:
        raise refuse(
            path,
            "has no column that counts steps, samples, tokens or epochs: name one, for example "
            f"step={columns.names[0] if columns.names else 'COLUMN'} (columns: {_listed(columns.names)})",
        )
    return {axis: axes[axis] for axis in AXES if axis in axes}


def _counted(axis: str) -> str:
    return AXIS_NAMES[axis][0].replace("_", " ") + ("s" if axis in ("step", "epoch") else "")


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:8]) + (" ..." if len(names) > 8 else "") if names else "none"


def _leaves(prefix: str, table: object, depth: int = 8) -> Iterable[tuple[str, float]]:
    """The numbers of a table in a row under dotted names; nothing of media, which have a _type."""
    if not isinstance(table, dict) or "_type" in table or depth == 0:
        return
    for key, value in table.items():
        if type(value) in (float, int):
            yield f"{prefix}.{key}", _as_float(value)
        elif isinstance(value, str) and value in WORDS:
            yield f"{prefix}.{key}", WORDS[value]
        else:
            yield from _leaves(f"{prefix}.{key}", value, depth - 1)


def _as_float(value: int | float) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf
