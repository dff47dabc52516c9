"""Make the store agree with the processes: nothing is shown as running that is not."""

from __future__ import annotations

import subprocess
import sys
import threading
from datetime import datetime, timedelta

from ..home import calibration_folder
from ..store import ACTIVE_STATES, CalibrationRecord, Store
from . import locks, process
from .log import last_lines

START_GRACE = timedelta(seconds=20)  # from the submission to the supervisor's first word
STALE = timedelta(minutes=3)  # without a heartbeat from another host
MOST_RESTARTS = 2
RESTARTED = "supervisor started again"  # the kind of event


def start_supervisor(id: str) -> None:
    """Start the supervisor of a calibration, detached: it survives this process and its terminal."""
    from .supervisor import child_environment

    folder = calibration_folder(id)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "supervisor.log").open("ab") as log:
        supervisor = subprocess.Popen(
            [sys.executable, "-m", "sqrtscale.runner", id], start_new_session=True, stdin=subprocess.DEVNULL,
            stdout=log, stderr=subprocess.STDOUT, cwd=folder, env=child_environment())
    # Somebody must take its exit code, or it stays as a zombie while this process lives.
    threading.Thread(target=supervisor.wait, daemon=True, name=f"supervisor of {id}").start()


def reconcile(store: Store) -> list[str]:
    """Correct every calibration whose processes are gone; returns the ids that changed.

    Cheap enough for a page that looks every two seconds: it reads the queue and a few files of /proc.
    """
    return [record.id for record in store.queue() if _correct(store, record)]


def _correct(store: Store, record: CalibrationRecord) -> bool:
    if record.host not in ("", process.host()):
        beat = record.heartbeat_at or record.created_at
        if store.now() - beat <= STALE:
            return False
        return store.transition(record.id, "LOST", among=ACTIVE_STATES,
                                reason=f"no word from its host {record.host} since {beat:%Y-%m-%d %H:%M:%S} UTC")
    if record.pid is None:
        since = max([record.created_at, *_restarts(store, record.id)])
        if store.now() - since <= START_GRACE or locks.held(locks.alive_lock(record.id)):
            return False
        return _start_again(store, record, "its supervisor never started")
    identity = process.Identity(record.host, record.boot_id, record.pid, record.pid_started)
    if identity.alive:
        return False
    rebooted = record.boot_id != process.boot_id()
    reason = "the machine was restarted" if rebooted else "its supervisor process ended unexpectedly"
    if not rebooted and locks.held(locks.alive_lock(record.id)):
        process.kill_session(record.pid)  # the training child outlived its supervisor
    if record.state == "QUEUED":
        return _start_again(store, record, reason)
    if record.state == "CANCELLING":
        return store.transition(record.id, "CANCELLED", among=ACTIVE_STATES, reason=f"cancelled by the user; {reason}")
    (calibration_folder(record.id) / "reserve").unlink(missing_ok=True)
    end = last_lines(record.id, 5)
    return store.transition(record.id, "LOST", among=ACTIVE_STATES,
                            reason=reason + (f"; end of its log: {end}" if end else ""))


def _restarts(store: Store, id: str) -> list[datetime]:
    """When the calibration got another supervisor."""
    return [at for at, kind, _ in store.events(id) if kind == RESTARTED]


def _start_again(store: Store, record: CalibrationRecord, reason: str) -> bool:
    """A calibration that still waits gets a new supervisor, a few times at most."""
    restarts = len(_restarts(store, record.id))
    if restarts >= MOST_RESTARTS:
        return store.transition(record.id, "LOST", among=["QUEUED"], reason=f"{reason}, {restarts + 1} times")
    if locks.held(locks.alive_lock(record.id)):
        return False
    store.add_event(record.id, RESTARTED, {"reason": reason})
    # The next look must wait for the new one instead of judging the old one again.
    store.set_process(record.id, host=process.host(), boot_id=process.boot_id(), pid=None, pid_started="")
    start_supervisor(record.id)
    return True
