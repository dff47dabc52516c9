"""The scheduler: one process a home and database, which starts the calibrations of the queue when their devices are free.

It is whoever holds the lock, it keeps nothing that a next one would miss, and it ends when nothing is left to do. Beside the
queue it looks after the supervisors: it writes the end of those that are gone, and ends by force those that hang. They look
after it, as every page and command does.
"""

from __future__ import annotations

import errno
import math
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace

from sqlalchemy.exc import SQLAlchemyError

from ..rules import FieldError
from ..store import RESUMED, NotFound, Store, StoreError, Underway
from ..store.rescue import DatabaseFile
from . import disk_reserve, exit_codes, faults, locks, process, reconciliation, restarts
from .device import occupied
from .election import scheduler_lock
from .ending import end
from .launch import identity_of, is_of_this_home
from .patience import GivenUp, Patience, patient, to_standard_error
from .pulse import HUNG_AFTER, Pulse, Silence, pulse_file, scheduler_pulse

LOOK_EVERY = 0.5  # seconds between two looks at the queue
MOST_STARTS = 3  # of the supervisor of one calibration
STARTED = "supervisor started again"
CANCEL_PATIENCE = 60.0  # seconds that a supervisor may take to end what was cancelled
MACHINE_IS_BUSY = (errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE)  # too many processes or files: it may end
STALE = 180.0  # seconds for which what cannot be started stays so


class Scheduler:
    """Of one home and database, for as long as anything of it is under way."""

    def __init__(self, store: Store, told_to_stop: list[str]):
        self.store = store
        self.told_to_stop = told_to_stop
        self.file = DatabaseFile.of(store.url)
        self.silence = Silence()
        self.wanted: dict[str, str] = {}  # id -> the device that it trains on
        self.started: dict[str, subprocess.Popen[bytes]] = {}
        self.said: dict[str, str] = {}  # id -> what has failed with it

    def run(self) -> None:
        """Look at the queue until nothing of this home is under way."""
        self.look()  # first, so that what a restart has ended counts as interrupted
        if not self.told_to_stop:
            restarts.go_on(self.store)
        while not self.told_to_stop and self.look():
            time.sleep(LOOK_EVERY)

    def look(self) -> bool:
        """Start what can be started, end what hangs; False where nothing of this home is under way."""
        if problem := self.file.problem():  # what it has open is nobody else's any more
            raise StoreError(f"the database {problem}")
        rows = self.store.underway()
        for row in rows:
            if row.state != "QUEUED":
                with self._of_one(row):
                    self._look_after(row)
        own = [row for row in rows if is_of_this_home(row)]
        self._start_first([row for row in own if row.state == "QUEUED"])
        return bool(own)

    def _look_after(self, row: Underway) -> None:
        """End what hangs, then write the end of what is gone."""
        reason = ""
        if reconciliation.LAUNCHER.look(row) == "alive" and row.pid and is_of_this_home(row):
            if self.silence.is_hung(pulse_file(row.id, "supervisor"), row.pid):
                reason = "its supervisor process hung and was ended by force"
            elif row.state == "CANCELLING" and self.silence.of(row.id, row.pid) > CANCEL_PATIENCE:
                reason = "its supervisor process did not end it"
            if reason:
                reconciliation.end_by_force(self.store, row, reason)
                return
        reconciliation.end_if_gone(self.store, row)

    def _start_first(self, queue: list[Underway]) -> None:
        """Start the first of the queue, and of those behind it whoever waits for none of its devices."""
        claimed: set[str] = set()
        devices_of: dict[str, tuple[str, ...]] = {}
        for row in queue:
            with self._of_one(row):
                try:
                    name = self._device(row.id)
                except FieldError as error:
                    self._cannot_start(row, f"it cannot be read any more: {error}")
                    continue
                devices = devices_of[name] if name in devices_of else devices_of.setdefault(name, occupied(name))
                if claimed.isdisjoint(devices) and not any(locks.held(locks.device_lock(device)) for device in devices):
                    self._start(row)
                claimed.update(devices)
        waiting = {row.id for row in queue}
        self.started = {id: supervisor for id, supervisor in self.started.items() if id in waiting}
        self.wanted = {id: device for id, device in self.wanted.items() if id in waiting}  # it may be moved while it trains

    @contextmanager
    def _of_one(self, row: Underway) -> Iterator[None]:
        """What fails with one calibration is said, once, and holds up no other one."""
        try:
            yield
        except NotFound:  # somebody has removed it since the queue was read
            return
        except OSError as error:
            if (said := str(error)) != self.said.get(row.id):
                self.said[row.id] = said
                to_standard_error(f"calibration {row.id}: {said}")
            if row.state == "QUEUED" and not disk_reserve.is_full(error) and error.errno not in MACHINE_IS_BUSY:
                self._cannot_start(row, f"its supervisor cannot be started: {said}")

    def _device(self, id: str) -> str:
        """The name of its devices; raises FieldError for a plan that cannot be read. Each is read once while it waits."""
        if id not in self.wanted:
            self.wanted[id] = faults.place(self.store, self.store.get(id))
        return self.wanted[id]

    def _start(self, row: Underway) -> None:
        """Start its supervisor, unless that is on its way; a few times at most where it dies of it."""
        supervisor = self.started.get(row.id)
        code = supervisor.poll() if supervisor else 0
        if reconciliation.LAUNCHER.look(row) == "alive" or locks.held(locks.alive_lock(row.id)) or (supervisor and code is None):
            # Its row may not know it yet, or know one before it: then it gives no pulse yet, and waits for the database maybe.
            patience = HUNG_AFTER if identity_of(row).alive else math.inf
            pid = locks.signer(locks.alive_lock(row.id)) or (supervisor.pid if supervisor and code is None else None)
            row = replace(row, **vars(process.here(pid))) if pid else row
            if row.pid and self.silence.is_hung(pulse_file(row.id, "supervisor"), row.pid, patience):
                reconciliation.LAUNCHER.end(row)
            return
        if code not in (0, exit_codes.DEVICES_TAKEN) or (supervisor is None and row.pid):
            if self.store.get(row.id).state != "QUEUED":  # it has ended since the queue was read
                return
            kinds = [kind for _, kind, _ in reversed(self.store.events(row.id))]
            starts = 1 + kinds[: [*kinds, RESUMED].index(RESUMED)].count(STARTED)
            reason = "its supervisor ended before the start"
            if starts >= MOST_STARTS:
                end(self.store, row.id, "LOST", reconciliation.last_words(row.id, f"{reason}, {starts} times"))
                return
            self.store.add_event(row.id, STARTED, {"reason": reason})
        self.started[row.id] = reconciliation.LAUNCHER.start(row.id)

    def _cannot_start(self, row: Underway, reason: str) -> None:
        """End it where that stays so: a newer version beside this one may read it, and start it."""
        if not locks.held(locks.alive_lock(row.id)) and self.silence.of(row.id, row) > STALE:
            end(self.store, row.id, "LOST", reason)


def schedule(lock: int | None) -> int:
    """Be the scheduler. lock: the descriptor of its lock, which this process has inherited."""
    told_to_stop: list[str] = []
    for end_signal in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(end_signal, lambda number, frame: told_to_stop.append(signal.Signals(number).name))
    patience = Patience()
    while lock is not None:
        os.set_inheritable(lock, False)
        locks.sign(lock, os.getpid())
        pulse = Pulse(scheduler_pulse(), patience)
        try:
            store = patient(patience.insist(lambda: Store.open(tries=1), lambda: told_to_stop), patience, lambda: told_to_stop)
            Scheduler(store, told_to_stop).run()
        except GivenUp:
            return 0
        except (SQLAlchemyError, StoreError, OSError) as error:
            to_standard_error(f"the scheduler ends: {error}")
            return 1
        pulse.stop()
        os.close(lock)
        # What was submitted just now saw the lock held, and counts on this process.
        lock = locks.take(scheduler_lock()) if not told_to_stop and submitted(store) else None
        store.close()
    return 0


def submitted(store: Store) -> bool:
    """Whether something of this home is under way."""
    with suppress(GivenUp):
        return any(map(is_of_this_home, store.underway()))
    return False
