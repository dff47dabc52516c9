"""Make the store agree with the processes: nothing is shown as running that is not."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from ..store import CalibrationRecord, Store, Unreadable
from . import disk_reserve, locks, process
from .ending import end
from .launch import start_supervisor
from .log import last_lines, supervisor_log, tail

START_GRACE = timedelta(seconds=20)  # from a supervisor's start to its first word
STALE = timedelta(minutes=3)  # without a heartbeat from another host, or a word from another version
MOST_RESTARTS = 2
RESTARTED = "supervisor started again"


def reconcile(store: Store) -> list[str]:
    """Correct every calibration whose processes are gone; returns the ids that changed.

    Cheap enough for a page that looks every two seconds: it reads the queue and a few files of /proc.
    """
    return correct(store, store.active())


def correct(store: Store, queue: Iterable[CalibrationRecord | Unreadable]) -> list[str]:
    """:func:`reconcile` for a queue that was just read."""
    return [record.id for record in queue if _correct(store, record)]


def _correct(store: Store, record: CalibrationRecord | Unreadable) -> bool:
    if record.host not in ("", process.host()):
        heartbeat = _last_heartbeat(record)
        if store.now() - heartbeat <= STALE:
            return False
        return end(store, record.id, "LOST", f"no word from its host {record.host} since {heartbeat:%Y-%m-%d %H:%M:%S} UTC")
    identity = _supervisor(record)
    if identity.alive:
        return False
    if record.state == "QUEUED":
        return _cannot_start(store, record) if isinstance(record, Unreadable) else _start_again(store, record.id)
    if record.pid is None and locks.held(locks.alive_lock(record.id)):  # it lives, whoever it is
        return False
    rebooted = record.boot_id != process.boot_id()
    if not rebooted and not identity.pid_taken and locks.held(locks.alive_lock(record.id)):
        process.kill_session(identity.pid)  # the training child outlived its supervisor
    reason = "the machine was restarted" if rebooted else _last_words(record.id, "its supervisor process ended unexpectedly")
    if record.state == "CANCELLING":
        changed = end(store, record.id, "CANCELLED", f"cancelled by the user; {reason}")
    else:
        log = last_lines(record.id, 5)
        changed = end(store, record.id, "LOST", reason + (f"; end of its log: {log}" if log else ""))
    disk_reserve.free(record.id)
    return changed


def _cannot_start(store: Store, record: Unreadable) -> bool:
    """End one that nobody has said a word of for a while: a newer version beside this one may read it, and start it again."""
    last_sign = max([_last_heartbeat(record), *(at for at, _, _ in store.events(record.id))])
    if locks.held(locks.alive_lock(record.id)) or store.now() - last_sign <= STALE:
        return False
    return end(store, record.id, "LOST", f"it cannot be read any more: {record.reason}")


def _start_again(store: Store, id: str) -> bool:
    """A calibration that still waits gets a new supervisor, a few times at most."""
    with locks.alone("reconcile"):  # several pages and supervisors see the same death; one acts on it
        record = store.get(id)
        if record.state != "QUEUED" or _supervisor(record).alive or locks.held(locks.alive_lock(id)):
            return False
        restarts = [at for at, kind, _ in store.events(id) if kind == RESTARTED]
        if record.pid is None and store.now() - max([record.created_at, *restarts]) <= START_GRACE:
            return False  # it is still being started
        reason = "its supervisor ended while it waited" if record.pid else "its supervisor never started"
        if len(restarts) >= MOST_RESTARTS:
            return end(store, id, "LOST", _last_words(id, f"{reason}, {len(restarts) + 1} times"))
        store.add_event(id, RESTARTED, {"reason": reason})
        store.set_process(id, host=process.host(), boot_id=process.boot_id(), pid=None, pid_started="")
        start_supervisor(id)
        return True


def _last_heartbeat(record: CalibrationRecord | Unreadable) -> datetime:
    return record.heartbeat_at or record.created_at


def _supervisor(record: CalibrationRecord | Unreadable) -> process.Identity:
    return process.Identity(record.host, record.boot_id, record.pid or 0, record.pid_started)


def _last_words(id: str, reason: str) -> str:
    """The reason with the last line that the supervisor wrote, if it wrote any."""
    words = tail(supervisor_log(id), 8_192).splitlines()[-1:]
    return f"{reason}: {words[0].strip()}" if words else reason
