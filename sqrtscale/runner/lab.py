"""Experiments of the lab that run on their own: submit, cancel, and see that a process is gone. The child alone computes."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from ..home import home, owner_only, private_folder
from ..store import Store
from ..store.lab import LabRecord, LabRuns
from . import launch, process
from .log import tail
from .patience import Patience, patient
from .pulse import Silence

START_GRACE = timedelta(seconds=60)  # from the row to its process
STALE = 180.0  # seconds without a heartbeat from another host, by this process's own looks
LOOK_EVERY = 0.5

_silence = Silence()  # of other hosts


def log_file(id: str) -> Path:
    """Where the process writes, should it have anything to say."""
    return home() / "lab" / f"{id}.log"


def submit(store: Store, settings: Mapping[str, Any]) -> str:
    """Store an experiment whose settings are checked and start its process, which outlives this one; returns the id at once."""
    runs = LabRuns(store)
    id = runs.create(settings)
    try:
        private_folder(log_file(id).parent)
        with open(log_file(id), "ab", opener=owner_only) as log:
            child = subprocess.Popen(launch.command("runner.lab_child", id), start_new_session=True, stdin=subprocess.DEVNULL,
                                     stdout=log, stderr=subprocess.STDOUT, env=launch.environment())
    except OSError as error:
        runs.end(id, "FAILED", f"its process could not be started: {error}")
        return id
    identity = process.Identity(process.host(), process.boot_id(), child.pid, process.started(child.pid))
    Patience().attempt(lambda: runs.set_process(id, **vars(identity)), None)  # where that is refused, its process will say it
    # Somebody must take its exit code, or it stays as a zombie while this process lives.
    threading.Thread(target=child.wait, daemon=True, name=f"lab run {id}").start()
    return id


def purge(store: Store, before: datetime | None = None) -> list[str]:
    """Remove for good what was deleted (before that time), with its log; returns the ids."""
    ids = LabRuns(store).purge(before)
    for id in ids:
        log_file(id).unlink(missing_ok=True)
    return ids


def reconcile(store: Store) -> None:
    """See to it that nothing is shown as running whose process is gone."""
    if not store.read_only:
        correct(store, LabRuns(store).active())


def correct(store: Store, records: Iterable[LabRecord]) -> None:
    """:func:`reconcile` for records that were just read."""
    runs = LabRuns(store)
    for record in records:
        if reason := _gone(store, record):
            asked = record.cancel_requested_at is not None
            runs.end(record.id, "CANCELLED" if asked else "INTERRUPTED", "cancelled by the user" if asked else reason)


def wait(store: Store, id: str, on_progress: Callable[[LabRecord], None]) -> LabRecord:
    """Look until it has ended, and wait for a database that is away; returns its record.

    Raises NoLabRun where somebody deletes it meanwhile.
    """
    patience = Patience()
    runs = patient(LabRuns(store), patience)
    while True:
        patience.insist(lambda: reconcile(store))
        record = runs.get(id)
        on_progress(record)
        if record.final:
            return record
        time.sleep(LOOK_EVERY)


def _gone(store: Store, record: LabRecord) -> str:
    """Why its process cannot be there any more; "" where it may be."""
    if record.host not in ("", process.host()):
        return f"no word from its host {record.host} for minutes" if _silence.of(record.id, record.heartbeat_at) > STALE else ""
    if record.pid is None:
        return "its process was never started" if store.now() - record.created_at > START_GRACE else ""
    if process.Identity(record.host, record.boot_id, record.pid, record.pid_started).alive:
        return ""
    if not process.of_this_boot(record.boot_id):
        return "the machine was restarted"
    words = tail(log_file(record.id), 8_192).splitlines()[-1:]
    return ": ".join(["its process ended before it was done", *(line.strip() for line in words)])
