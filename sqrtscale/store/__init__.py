"""What stays: calibrations, runs and curves in SQLite or another database. No torch, no streamlit."""

from .chunks import DamagedChunk
from .connect import StoreError, failure
from .listing import ORDERS, Filter
from .records import CalibrationRecord, CalibrationSummary, Result, RunRecord, Unreadable, title
from .states import ACTIVE_STATES, FINAL_STATES, RUN_STATES, STATES
from .store import NotFound, Store

__all__ = [
    "ACTIVE_STATES", "FINAL_STATES", "ORDERS", "RUN_STATES", "STATES", "CalibrationRecord", "CalibrationSummary", "DamagedChunk",
    "Filter", "NotFound", "Result", "RunRecord", "Store", "StoreError", "Unreadable", "failure", "title",
]
