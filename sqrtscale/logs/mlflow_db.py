"""MLflow's database (mlflow.db, SQLite): runs, metrics and params.

Looked up: mlflow, store/tracking/dbmodels/models.py (SqlMetric: NaN is value 0 with is_nan, infinity the largest number) and
store/tracking/sqlalchemy_store.py.
"""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from ._points import distinct, series_of
from ._series import Names, Reading
from ._sqlite import MAGIC, database, tables

TITLE = "MLflow database (SQLite)"
COLUMNS = {"run_uuid", "key", "value", "timestamp", "step"}
PART = 200_000


def recognises(path: Path, head: bytes) -> str:
    known = tables(path) if head.startswith(MAGIC) else {}
    is_mlflow = known.get("metrics", set()) >= COLUMNS and "runs" in known
    return "its tables runs and metrics" if is_mlflow else ""


def read(path: Path, names: Names) -> Reading:
    with database(path) as connection:
        rows = connection.execute("SELECT run_uuid, name, lifecycle_stage FROM runs").fetchall()
        labels = distinct({str(id): name for id, name, stage in rows if stage != "deleted"})
        series = series_of(path, _frames(connection, labels))
        parameters: dict[str | None, dict[str, str]] = {}
        if "params" in tables(path):
            for id, key, value in connection.execute("SELECT run_uuid, key, value FROM params"):
                if id in labels:
                    parameters.setdefault(labels[id], {})[str(key)] = str(value)
    deleted = sum(stage == "deleted" for _, _, stage in rows)
    return Reading(series, (f"{deleted} deleted runs were left out",) if deleted else (), parameters)


def _frames(connection: sqlite3.Connection, labels: dict[str, str]) -> Iterator[pd.DataFrame]:
    has_nan = "is_nan" in {row[1] for row in connection.execute("PRAGMA table_info(metrics)")}
    rows = connection.execute(
        f"SELECT run_uuid, key, step, timestamp, value, {'is_nan' if has_nan else '0'} FROM metrics ORDER BY timestamp, step"
    )
    while part := rows.fetchmany(PART):
        frame = pd.DataFrame(part, columns=["run", "metric", "step", "wall_time", "value", "is_nan"])
        for column in ("step", "wall_time", "value"):
            frame[column] = pd.to_numeric(frame[column], errors="coerce").astype(float)
        frame.loc[frame["value"].abs() >= sys.float_info.max, "value"] *= np.inf
        frame.loc[frame["is_nan"].astype(bool), "value"] = np.nan
        frame["wall_time"] /= 1000
        frame["run"] = frame["run"].map(labels)
        yield frame[frame["run"].notna()].drop(columns="is_nan")
