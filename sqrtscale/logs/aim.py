"""Aim's metrics as CSV: ``run.metrics()`` or ``repo.query_metrics()`` as ``.dataframe()``, saved by ``to_csv``.

Looked up: aim, sdk/sequences/metric.py: columns idx, step, value, epoch, time, run.hash, run.<parameter>, metric.name and
metric.context.<key>. Aim's own database (.aim) is no format for others.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from ._points import series_of
from ._series import Names, Reading
from ._source import refuse
from ._table import chunks, header_of

TITLE = "Aim metrics (dataframe as CSV)"
NEEDS = ("step", "value", "metric.name", "run.hash")
CONTEXT = "metric.context."


def recognises(path: Path, head: bytes) -> str:
    columns = header_of(head)[0]
    return f"the columns {' and '.join(NEEDS[2:])}" if set(NEEDS) <= set(columns) else ""


def read(path: Path, names: Names) -> Reading:
    parameters: dict[str | None, dict[str, str]] = {}
    return Reading(series_of(path, _frames(path, parameters)), parameters=parameters)


def _frames(path: Path, parameters: dict[str | None, dict[str, str]]) -> Iterator[pd.DataFrame]:
    for frame in chunks(path):
        if not set(NEEDS) <= set(frame.columns):
            raise refuse(path, f"lacks one of the columns {', '.join(NEEDS)}: save the whole dataframe")
        metric = frame["metric.name"].astype(str)
        for column in frame.columns:
            if column.startswith(CONTEXT):
                text = f" ({column.removeprefix(CONTEXT)}=" + frame[column].astype(str) + ")"
                metric = metric + text.where(frame[column].notna(), "")
        run = frame["run.hash"].astype(str)
        facts = [column for column in frame.columns if column.startswith("run.") and column != "run.hash"]
        for name, part in frame[facts].groupby(run, sort=False):
            first = part.iloc[0].dropna()
            parameters.setdefault(str(name), {str(column).removeprefix("run."): str(value) for column, value in first.items()})
        table = pd.DataFrame({"run": run, "metric": metric})
        for column in ("step", "epoch", "value"):
            if column in frame.columns:
                table[column] = pd.to_numeric(frame[column], errors="coerce").astype(float)
        if "time" in frame.columns:
            times = pd.to_datetime(frame["time"], errors="coerce", format="ISO8601", utc=True)
            table["wall_time"] = (times - pd.Timestamp(0, tz="UTC")) / pd.Timedelta(seconds=1)
        yield table
