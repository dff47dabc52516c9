"""Make the store agree with the processes: nothing is shown as running that is not, and what is queued has a scheduler."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from datetime import timedelta

from ..store import CalibrationRecord, Store, Underway, Unreadable
from . import disk_reserve, election, restarts
from .ending import end
from .launch import Launcher, LocalLauncher, is_of_this_home
from .log import last_lines, supervisor_log, tail
from .patience import impatient, patience_of
from .pulse import Silence

STALE = 180.0  # seconds without a heartbeat from another host, by this process's own looks
LAUNCHER: Launcher = LocalLauncher()

_silence = Silence()  # of other hosts: a database that was away is no silence of theirs

Row = Underway | CalibrationRecord | Unreadable


def reconcile(store: Store) -> list[str]:
    """Correct every calibration whose processes are gone; returns the ids that changed.

    Cheap enough for a page that looks every two seconds: it reads a few columns of the queue and looks at its processes.
    """
    return [] if store.read_only else correct(store, store.underway()) + restarts.go_on(store)


def correct(store: Store, rows: Iterable[Row]) -> list[str]:
    """:func:`reconcile` for a queue that was just read."""
    queue = [_shown(row) for row in rows]
    changed = end_gone(store, queue)
    if any(is_of_this_home(row) for row in queue):
        with suppress(OSError):  # a home that can only be read, or is full: who submits is told
            election.ensure()
    return changed


def end_gone(store: Store, queue: Iterable[Underway]) -> list[str]:
    """Write the end of what is gone, and start nothing; returns the ids."""
    return [row.id for row in queue if row.state != "QUEUED" and end_if_gone(store, row)]


def end_if_gone(store: Store, row: Underway) -> bool:
    """Write the end of one that is under way without a process."""
    life = LAUNCHER.look(row)
    if life == "alive":
        return False
    if life == "unknown":
        heartbeat = row.heartbeat_at or row.created_at
        said = f"no word from its host {row.host} since {heartbeat:%Y-%m-%d %H:%M:%S} UTC"
        silent = _silence.of(row.id, row.heartbeat_at) > STALE
        if row.state == "CANCELLING" and (silent or store.now() - heartbeat > timedelta(seconds=STALE)):
            return end(store, row.id, "CANCELLED", f"cancelled by the user; {said}")  # who cancels looks only once
        return silent and end(store, row.id, "INTERRUPTED", said)  # a restart, as a rule: that machine goes on with it
    LAUNCHER.end(row)  # the training child may have outlived its supervisor
    return _write_end(store, row)


def end_by_force(store: Store, row: Underway, reason: str) -> bool:
    """End the processes of one that hangs. The reason is written first: whoever sees them gone would write another.

    But where the database refuses it they may be what stands in its way, stopped in the middle of a transaction.
    """
    changed = patience_of(store).attempt(lambda: _write_end(impatient(store), row, reason), None)
    LAUNCHER.end(row)
    return _write_end(store, row, reason) if changed is None else changed


def _write_end(store: Store, row: Underway, reason: str = "") -> bool:
    state, said = LAUNCHER.reason(row)
    said = reason or (last_words(row.id, said) if state == "LOST" else said)
    if row.state == "CANCELLING":
        changed = end(store, row.id, "CANCELLED", f"cancelled by the user; {said}")
    else:
        log = last_lines(row.id, 5)
        changed = end(store, row.id, state, said + (f"; end of its log: {log}" if log else ""))
    disk_reserve.free(row.id)
    return changed


def last_words(id: str, reason: str) -> str:
    """The reason with the last line that the supervisor wrote, if it wrote any."""
    lines = tail(supervisor_log(id), 8_192).splitlines()
    words = [line for line in lines if not line.startswith(("waiting for ", "the database answers"))][-1:]
    return f"{reason}: {words[0].strip()}" if words else reason


def _shown(row: Row) -> Underway:
    return row if isinstance(row, Underway) else Underway(*(getattr(row, name) for name in Underway.__dataclass_fields__))
