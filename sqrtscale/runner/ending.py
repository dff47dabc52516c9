"""The end of a calibration: a final state with its reason, and, where it was not done, the end of its log."""

from __future__ import annotations

from ..store import ACTIVE_STATES, Store
from ..store.connect import synchronize
from . import snapshots
from .log import last_lines

LINES = 50


def end(store: Store, id: str, state: str, reason: str = "", exit_code: int | None = None) -> bool:
    """Move an unfinished calibration to a final state; False when it has ended before."""
    if not store.transition(id, state, among=ACTIVE_STATES, reason=reason[:2000]):
        return False
    if state == "DONE":
        try:
            synchronize(store.url)  # a loss of power must not leave it RUNNING without a snapshot
        except OSError:  # they stay until it is purged
            return True
        snapshots.remove(id)
    else:
        store.add_event(id, "ended", {"state": state, "exit_code": exit_code, "end_of_log": last_lines(id, LINES)})
    return True
