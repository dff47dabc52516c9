"""What stays: calibrations, runs and curves in SQLite or another database. No torch, no streamlit."""

from .chunks import DamagedChunk
from .connect import StoreError, failure
from .records import CalibrationRecord, CalibrationSummary, RunRecord, Unreadable
from .states import ACTIVE_STATES, FINAL_STATES, RUN_STATES, STATES
from .store import NotFound, Store

__all__ = [
    "ACTIVE_STATES", "FINAL_STATES", "RUN_STATES", "STATES", "CalibrationRecord", "CalibrationSummary", "DamagedChunk",
    "NotFound", "RunRecord", "Store", "StoreError", "Unreadable", "failure",
]
