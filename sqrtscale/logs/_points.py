"""Points of many runs that come as one table: run, metric, value and axes, a row each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import pandas as pd

from ._series import Series
from ._source import MOST_CURVES, MOST_POINTS, refuse


def series_of(path: Path, frames: Iterable[pd.DataFrame]) -> list[Series]:
    """A series of every run and metric; frames: columns run, metric, value and axes."""
    parts: dict[tuple[str, str], list[pd.DataFrame]] = {}
    points = 0
    for frame in frames:
        points += len(frame)
        for (run, metric), part in frame.groupby(["run", "metric"], sort=False):
            parts.setdefault((str(run), str(metric)), []).append(part.drop(columns=["run", "metric"]))
        if points > MOST_POINTS or len(parts) > MOST_CURVES:
            raise refuse(path, f"has more than {MOST_POINTS:,} points or {MOST_CURVES:,} curves: export the runs that you compare")
    if not parts:
        raise refuse(path, "has no points: give a log in which a run has logged numbers")
    return [Series(metric, pd.concat(tables, ignore_index=True), run) for (run, metric), tables in parts.items()]


def distinct(names: Mapping[str, str | None]) -> dict[str, str]:
    """A name for every id: the run's own, with the start of the id where several runs have it."""
    given = list(names.values())
    return {id: name if name and given.count(name) == 1 else f"{name} ({id[:8]})" if name else id for id, name in names.items()}
