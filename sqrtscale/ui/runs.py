"""Stored calibrations as a list, and the words and colours of their states."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd
import streamlit as st

from ..rules import family
from ..store import CalibrationSummary

STATE_COLOURS = {"DONE": "green", "RUNNING": "blue", "STARTING": "blue", "QUEUED": "gray", "CANCELLING": "orange",
                 "CANCELLED": "gray", "FAILED": "red", "LOST": "red", "TIMED_OUT": "red"}


def badge(state: str) -> str:
    """A state as a coloured badge in Markdown."""
    return f":{STATE_COLOURS.get(state, 'gray')}-badge[{state}]"


def title(name: str, task: str, base_batch: int, target_batch: int) -> str:
    """What a calibration is called: its own name, or what it does."""
    return name or f"{task}: batch {base_batch} → {target_batch}"


def table(found: Sequence[CalibrationSummary], key: str) -> str | None:
    """The list; returns the id of a row that the user has just chosen."""
    frame = pd.DataFrame([
        {"State": one.state, "Name": title(one.name, one.task, one.base_batch, one.target_batch), "Task": one.task,
         "Optimizer": family(one.optimizer).label, "κ": f"{one.target_batch / one.base_batch:.4g}",
         "Base": end_value(one, "base"), "Scaled": end_value(one, "scaled"), "Unscaled": end_value(one, "unscaled"),
         "Linear lr": end_value(one, "linear lr"), "Seeds": one.seeds, "Created": one.created_at, "Id": one.id}
        for one in found])
    chosen = st.dataframe(
        frame, hide_index=True, width="stretch", key=key, on_select="rerun", selection_mode="single-row",
        column_config={"Created": st.column_config.DatetimeColumn(format="YYYY-MM-DD HH:mm", timezone="UTC",
                                                                  help="In UTC"),
                       "Name": st.column_config.TextColumn(width="medium"),
                       **{arm: st.column_config.TextColumn(help="Last validation loss: mean ± standard deviation over seeds")
                          for arm in ("Base", "Scaled", "Unscaled", "Linear lr")}},
        alt="Stored calibrations; choose a row to open it")
    rows = chosen.selection.rows
    return found[rows[0]].id if rows and rows[0] < len(found) else None


def end_value(one: CalibrationSummary, arm: str) -> str:
    """Last validation loss of an arm over its seeds, or nothing where there is none."""
    mean, std, count = one.final.get(arm, {}).get("val_loss", (math.nan, math.nan, 0))
    if not count:
        return ""
    return f"{mean:.4f}" + (f" ± {std:.4f}" if count > 1 else "")


