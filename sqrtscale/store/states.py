"""States of a calibration and of a run, and which of them are the end."""

from __future__ import annotations

# CANCELLED is what a person asked for, INTERRUPTED what a shutdown did.
FINAL_STATES = ("DONE", "FAILED", "CANCELLED", "INTERRUPTED", "TIMED_OUT", "LOST")
STATES = ("QUEUED", "STARTING", "RUNNING", "CANCELLING", *FINAL_STATES)
RESUMABLE_STATES = tuple(state for state in FINAL_STATES if state != "DONE")
ACTIVE_STATES = tuple(state for state in STATES if state not in FINAL_STATES)

RUN_STATES = ("QUEUED", "RUNNING", "DONE", "DIVERGED", "SKIPPED", *FINAL_STATES[1:])  # skipped: not needed for the verdict
RUN_ACTIVE_STATES = ("QUEUED", "RUNNING")
