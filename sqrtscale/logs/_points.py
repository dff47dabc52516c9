"""Points of many runs and metrics that come as one table, a row each: told apart all at once, in the order of the rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from ._series import Series
from ._source import MOST_CURVES, MOST_POINTS, refuse


class Curves:
    """Which curve, a run and a metric, each row belongs to, as a number."""

    def __init__(self, path: Path):
        self.path = path
        self._runs: dict[str, int] = {}
        self._metrics: dict[str, int] = {}
        self._codes: list[np.ndarray] = []
        self.rows = 0

    def add(self, runs: pd.Series, metrics: pd.Series) -> None:
        """Append rows. Refuses more than memory holds."""
        codes = _codes(runs, self._runs) * 2**32 + _codes(metrics, self._metrics)
        self._codes.append(codes)
        self.rows += len(codes)
        if self.rows > MOST_POINTS or max(len(self._runs), len(self._metrics)) > MOST_CURVES:
            raise refuse(
                self.path, f"has more than {MOST_POINTS:,} points or {MOST_CURVES:,} curves: export fewer runs or metrics"
            )

    def apart(self, rows: np.ndarray | None = None) -> Iterator[tuple[str, str, np.ndarray]]:
        """(run, metric, numbers of its rows) of every curve; rows: those that count, ascending."""
        codes = np.concatenate(self._codes) if self._codes else np.array([], np.int64)
        codes = codes if rows is None else codes[rows]
        order = np.argsort(codes, kind="stable")
        parts = np.split(order, np.flatnonzero(np.diff(codes[order])) + 1) if len(order) else []
        if len(parts) > MOST_CURVES:
            raise refuse(self.path, f"has more than {MOST_CURVES:,} curves: export the metrics that you compare")
        runs, metrics = list(self._runs), list(self._metrics)
        for part in sorted(parts, key=lambda part: int(part[0])):
            code = int(codes[part[0]])
            yield runs[code >> 32], metrics[code & (2**32 - 1)], part


def _codes(labels: pd.Series, known: dict[str, int]) -> np.ndarray:
    codes, names = pd.factorize(labels.astype(str))
    numbers = np.array([known.setdefault(str(name), len(known)) for name in names], np.int64)
    answer: np.ndarray = numbers[codes] if len(numbers) else np.array([], np.int64)
    return answer


def series_of(path: Path, frames: Iterable[pd.DataFrame]) -> list[Series]:
    """A series of every run and metric; frames: columns run, metric, value and axes."""
    curves = Curves(path)
    tables = []
    for frame in frames:
        curves.add(frame["run"], frame["metric"])
        tables.append(frame.drop(columns=["run", "metric"]))
    if not curves.rows:
        raise refuse(path, "has no points: give a log in which a run has logged numbers")
    points = pd.concat(tables, ignore_index=True)
    return [Series(metric, points.take(rows), run) for run, metric, rows in curves.apart()]


def distinct(names: Mapping[str, str | None]) -> dict[str, str]:
    """A name for every id: the run's own, with the start of the id where several runs have it."""
    given = list(names.values())
    return {id: name if name and given.count(name) == 1 else f"{name} ({id[:8]})" if name else id for id, name in names.items()}
