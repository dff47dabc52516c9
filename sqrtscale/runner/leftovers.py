"""What calibrations leave in the home: who still trains there, and removing one for good with its logs and locks."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from ..home import calibration_folder, home
from ..rules import FieldError
from ..store import Store
from . import election, locks
from .ending import end

SCHEDULER_PATIENCE = 10.0  # seconds: one that has nothing to do is about to end


def training() -> list[str]:
    """Ids of the calibrations whose processes live in this home, whatever a database says of them."""
    return sorted(lock.parent.name for lock in (home() / "calibrations").glob("*/alive.lock") if locks.held(lock))


def purge(store: Store, before: datetime | None = None) -> list[str]:
    """Remove for good what was deleted (before that time) and has ended, with its folder; returns the ids."""
    ids = store.purge(before)
    for id in ids:
        if (folder := calibration_folder(id)).exists():
            shutil.rmtree(folder)
    return ids


@contextmanager
def nothing_starts() -> Iterator[None]:
    """No scheduler of this home and database meanwhile; raises FieldError where one goes on."""
    lock = locks.take(election.scheduler_lock(), SCHEDULER_PATIENCE)
    if lock is None:
        raise FieldError("scheduler", str(home()),
                         "still has something to start: wait for the end of what is queued, or cancel it")
    try:
        yield
    finally:
        os.close(lock)


def interrupt_restored(store: Store) -> list[str]:
    """End what a backup has as not ended, so that nothing of it starts by itself, also not later; returns the ids."""
    reason = "it had not ended when the backup was made that has been restored"
    ended = [row.id for row in store.underway() if end(store, row.id, "INTERRUPTED", reason)]
    for row in store.interrupted():
        store.set_resume_after_restart(row.id, False)
    return ended
