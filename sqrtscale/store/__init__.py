"""What stays: calibrations, runs and curves in SQLite or another database. No torch, no streamlit."""

from .chunks import DamagedChunk
from .connect import StoreError, failure
from .listing import ORDERS, Filter
from .queue import Interrupted, Underway, new_id
from .records import CalibrationRecord, CalibrationSummary, ImportedRecord, Record, Result, RunRecord, Unreadable, title
from .resuming import KIND as RESUMED
from .resuming import MOST as MOST_BY_ITSELF
from .reuse import KIND as REUSED
from .states import ACTIVE_STATES, FINAL_STATES, RESUMABLE_STATES, RUN_STATES, STATES
from .store import NotFound, Store

__all__ = [
    "ACTIVE_STATES", "FINAL_STATES", "MOST_BY_ITSELF", "ORDERS", "RESUMABLE_STATES", "RESUMED", "REUSED", "RUN_STATES",
    "STATES", "CalibrationRecord", "CalibrationSummary", "DamagedChunk", "Filter", "ImportedRecord", "Interrupted", "NotFound",
    "Record", "Result", "RunRecord", "Store", "StoreError", "Underway", "Unreadable", "failure", "new_id", "title",
]
