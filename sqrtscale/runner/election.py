"""Who is the scheduler of a home and its database: whoever holds the lock; and starting one where none lives, or one hangs."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path

from ..processes import command
from . import locks, process
from .launch import detached
from .pulse import Silence, scheduler_file, scheduler_pulse

SCHEDULE = "--schedule"  # in the place of an id

_silence = Silence()  # of the scheduler, as this process sees it


def scheduler_lock() -> Path:
    """Held by the scheduler; its text is the identity of that process."""
    return scheduler_file("lock")


def ensure(patience: float = 0.0) -> None:
    """See to it that there is a scheduler, and that it does not hang. Raises OSError where none can be started.

    patience: seconds to wait for one that is ending, which lets go of its lock last: for who does not look again.
    """
    lock = locks.take(scheduler_lock())
    if lock is None:
        pid = locks.signer(scheduler_lock())
        if pid is not None:
            if not (process.stopped(pid) or _silence.is_hung(scheduler_pulse(), pid)):
                return
            with suppress(ProcessLookupError):  # it has ended in this moment
                os.kill(pid, signal.SIGKILL)  # nothing is lost with it
            patience = locks.SOON
        lock = locks.take(scheduler_lock(), patience)
        if lock is None:  # somebody else was faster
            return
    try:
        # It inherits the lock, so that no two of them are ever started.
        elected = detached(command("runner", SCHEDULE, str(lock)), scheduler_file("log"), [lock])
        locks.sign(lock, elected.pid)
    finally:
        os.close(lock)
