"""States of a calibration and of a run, and which of them are the end."""

from __future__ import annotations

STATES = ("QUEUED", "STARTING", "RUNNING", "CANCELLING", "DONE", "FAILED", "CANCELLED", "TIMED_OUT", "LOST")
FINAL_STATES = ("DONE", "FAILED", "CANCELLED", "TIMED_OUT", "LOST")
ACTIVE_STATES = tuple(state for state in STATES if state not in FINAL_STATES)

RUN_STATES = ("QUEUED", "RUNNING", "DONE", "DIVERGED", "SKIPPED", *FINAL_STATES[1:])  # skipped: not needed for the verdict
RUN_ACTIVE_STATES = ("QUEUED", "RUNNING")
