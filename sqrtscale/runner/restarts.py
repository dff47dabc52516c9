"""What a restart of the machine, or an orderly end of its processes, has interrupted goes on by itself where its user chose so.

No process waits for that: the first look of each process at a home does it, of the app, a command or a scheduler. Only the first,
and not at what has just ended: a shutdown ends one process after the other, and neither those that are still there nor new ones
must start again what it has ended.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from ..rules import FieldError
from ..store import MOST_BY_ITSELF, Interrupted, NotFound, Record, Store
from . import disk_reserve, election, locks, log, process
from .launch import is_of_this_home
from .pulse import pulse_file, say
from .rescued import rescue_file

SHUTDOWN = timedelta(minutes=1)  # that one takes at most

_looked: set[Path] = set()  # the schedulers' locks of the homes and databases at which this process has looked


def go_on(store: Store, again: bool = False) -> list[str]:
    """Queue again what of this home was interrupted and goes on by itself; returns the ids.

    again: somebody asks for it: at once, also where this process has looked before, and what fails is raised, OSError among it.
    """
    if not again and (store.read_only or election.scheduler_lock() in _looked):
        return []
    resumed: list[str] = []
    errors: list[OSError] = []
    own = [row for row in store.interrupted() if is_of_this_home(row) and not rescue_file(row.id).exists()]
    early = [] if again else [row for row in own if _has_just_ended(store, row)]
    for row in own:
        try:
            if row not in early and _queued(store, row.id):
                resumed.append(row.id)
        except OSError as error:  # its files cannot be written: the others go on
            errors.append(error)
    try:
        if resumed:
            election.ensure(locks.SOON)
    except OSError as error:
        errors.append(error)
    if errors and again:
        raise errors[0]
    if not early and not any(map(disk_reserve.is_full, errors)):  # else the next look tries again
        _looked.add(election.scheduler_lock())
    return resumed


def can_go_on(record: Record) -> bool:
    """Whether its user's choice counts for it now: it has not ended, or was interrupted, and nobody has cancelled it."""
    return record.cancel_requested_at is None and (not record.final or record.state == "INTERRUPTED")


def _has_just_ended(store: Store, row: Interrupted) -> bool:
    """Whether the shutdown that has ended it may still be going on."""
    return row.boot_id == process.boot_id() and row.ended_at is not None and \
        timedelta(0) <= store.now() - row.ended_at < SHUTDOWN  # below zero: the clock was set


def _queued(store: Store, id: str) -> bool:
    """Whether this process has put it back into the queue: of several that try, one does."""
    try:
        reason = store.get(id).reason
    except (NotFound, FieldError):  # it is gone, or this version cannot train it
        return False
    say(pulse_file(id, "supervisor"), "")
    # It trains with what its submitter had, not with what this process has.
    resumed = store.resume_by_itself(id, host=process.host(), boot_id=process.boot_id())
    if resumed == "given up":
        log.note(id, f"it was interrupted {MOST_BY_ITSELF} times without getting any further, and goes on by itself no more: "
                     f"sqrtscale runs resume {id}")
    elif resumed == "queued":
        log.note(id, f"it goes on by itself, as its user chose: {reason.partition(';')[0]}")
    return resumed == "queued"
