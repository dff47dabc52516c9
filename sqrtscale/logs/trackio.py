"""trackio's database of a project (<project>.db, SQLite): a row each call of trackio.log, its metrics as JSON.

Looked up: trackio 0.43, sqlite_storage.py (tables metrics and configs), utils.py (NaN and infinity are written as text).
"""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

from ._points import distinct
from ._series import Names, Reading, Rows
from ._source import refuse
from ._sqlite import MAGIC, database, tables
from .wandb_history import history

COUNTS_CALLS = "trackio's step counts calls of trackio.log where none was given with them: confirm what it counts"
TITLE = "trackio database (SQLite)"
COLUMNS = {"timestamp", "run_name", "step", "metrics"}


def recognises(path: Path, head: bytes) -> str:
    known = tables(path) if head.startswith(MAGIC) else {}
    return "its table metrics" if known.get("metrics", set()) >= COLUMNS else ""


def read(path: Path, names: Names) -> Reading:
    known = tables(path)
    id_of = {table: "run_id" if "run_id" in known.get(table, ()) else "run_name" for table in ("metrics", "configs")}
    rows = Rows(path)
    with database(path) as connection:
        runs = connection.execute(f"SELECT DISTINCT {id_of['metrics']}, run_name FROM metrics").fetchall()
        labels = distinct({str(id): str(name) for id, name in runs})
        points = connection.execute(f"SELECT {id_of['metrics']}, step, timestamp, metrics FROM metrics ORDER BY rowid")
        for id, step, timestamp, metrics in points:
            rows.add({**_object(path, metrics), "_step": step, "_timestamp": _seconds(timestamp)}, labels[str(id)])
        parameters: dict[str | None, dict[str, str]] = {}
        if {"run_name", "config"} <= known.get("configs", set()):
            for id, config in connection.execute(f"SELECT {id_of['configs']}, config FROM configs"):
                if str(id) in labels:
                    parameters[labels[str(id)]] = {
                        key: str(value)
                        for key, value in _object(path, config).items()
                        if not key.startswith("_") and isinstance(value, (str, int, float))
                    }
    if not rows.runs:
        raise refuse(path, "has no points: give the database of a project whose runs have logged numbers")
    return history(rows, names, parameters, COUNTS_CALLS)


def _object(path: Path, text: str | bytes) -> dict[str, Any]:
    try:
        answer = json.loads(text)
    except (ValueError, TypeError, RecursionError) as error:
        raise refuse(path, "has a row that is no JSON: copy it again when no run writes it") from error
    return answer if isinstance(answer, dict) else {}


def _seconds(timestamp: object) -> float | None:
    try:
        return datetime.fromisoformat(str(timestamp)).timestamp()
    except (ValueError, OverflowError):
        return None
