"""Parquet: trackio's export of a project (metrics.parquet), the history that W&B keeps of a run, or any wide table.

Needs pyarrow, by way of pandas. Looked up: trackio 0.43, sqlite_storage.py (export_for_static_space).
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from ._series import Names, Reading, Rows
from ._source import refuse
from ._table import RUN_NAMES, column_for, extend
from .trackio import COUNTS_CALLS
from .wandb_history import COUNTS_CALLS as WANDB_CALLS
from .wandb_history import history

TITLE = "Parquet (trackio's export, W&B's history)"
MAGIC = b"PAR1"
OF_THE_TABLE = ("id", "log_id", "space_id")  # of trackio, which count rows


def recognises(path: Path, head: bytes) -> str:
    return "its first bytes" if head.startswith(MAGIC) else ""


def read(path: Path, names: Names) -> Reading:
    try:
        frame = pd.read_parquet(path)
    except ImportError as error:
        raise refuse(path, "needs pyarrow to be read: pip install pyarrow, or export CSV") from error
    except (ValueError, OSError, TypeError) as error:
        raise refuse(path, "is damaged Parquet: copy it again") from error
    frame.columns = [str(column) for column in frame.columns]
    run = column_for("run", ("run_name", *RUN_NAMES), list(frame.columns), names, path)
    if {"run_name", "timestamp", "step"} <= set(frame.columns):
        frame = frame.rename(columns={"step": "_step"})
    rows = Rows(path)
    leave = tuple(column for column in (*RUN_NAMES, *OF_THE_TABLE) if column in frame.columns and "run_name" in frame.columns)
    for name, part in frame.groupby(frame[run].astype(str), sort=False) if run else [(None, frame)]:
        extend(rows.of(None if name is None else str(name)), part, (*leave, *([run] if run else [])))
    if "_step" not in frame.columns:
        return rows.reading(names)
    return history(rows, names, calls=COUNTS_CALLS if "run_name" in frame.columns else WANDB_CALLS)
