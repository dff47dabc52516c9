"""The supervisor: one small detached process per calibration. It waits for its turn and its device, starts the
training child, watches it, and writes how it ended. It loads neither torch nor streamlit.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from sqlalchemy.exc import OperationalError

from ..home import calibration_folder
from ..store import ACTIVE_STATES, Store
from . import exit_codes, locks, process
from .device import occupied
from .log import last_lines, train_log, trim
from .reconciliation import reconcile

LOOK_EVERY = 0.5  # seconds between two looks at the store and the child
BEAT_EVERY = 5.0  # seconds between two heartbeats
GRACE = 10.0  # seconds from SIGTERM to SIGKILL
RESERVE = 4_000_000  # bytes kept back, so that the end can be written on a full disk
WRITE_TRIES = 120


class Supervisor:
    """Takes one calibration from QUEUED to a final state."""

    def __init__(self, store: Store, id: str):
        self.store = store
        self.id = id
        self.told_to_stop = ""
        self.next_beat = 0.0
        self.reserve = calibration_folder(id) / "reserve"

    def run(self) -> int:
        """Exit code 0 when the calibration ended, however it ended; 1 when another supervisor has it."""
        alive = locks.take(locks.alive_lock(self.id))
        if alive is None:
            return 1
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._on_signal)
        identity = process.me()
        self.store.set_process(self.id, host=identity.host, boot_id=identity.boot_id, pid=identity.pid,
                               pid_started=identity.pid_started)
        device = self._wait_for_turn()
        if device is None:
            return 0
        if self.store.transition(self.id, "STARTING", among=["QUEUED"]):
            try:
                self.reserve.write_bytes(b"\0" * RESERVE)
                child = self._start_child(alive, device)
            except OSError as error:
                self._end("FAILED", f"the training process could not be started: {error}")
            else:
                self._watch(child)
        return 0

    def _on_signal(self, number: int, frame: object) -> None:
        self.told_to_stop = signal.Signals(number).name

    def _wait_for_turn(self) -> int | None:
        """The device's lock once this is the oldest calibration for it; None when it was cancelled meanwhile."""
        mine = occupied(self.store.get(self.id).plan.device)
        while True:
            reconcile(self.store)  # one that died ahead of this must not block the queue
            waiting = [one for one in self.store.queue()
                       if occupied(one.plan.device) == mine and one.host in ("", process.host())]
            if self.id not in {one.id for one in waiting}:
                return None
            if self.told_to_stop:
                self._end("CANCELLED", f"the supervisor was stopped by {self.told_to_stop} before the start")
                return None
            if waiting[0].id == self.id:
                device = locks.take(locks.device_lock(mine))
                if device is not None:
                    return device
            self._beat()
            time.sleep(LOOK_EVERY)

    def _start_child(self, *descriptors: int) -> subprocess.Popen:
        """The training child, in a process group of its own; it holds the locks as long as it lives."""
        log = train_log(self.id).open("ab")
        with log:
            return subprocess.Popen(
                [sys.executable, "-u", "-m", "sqrtscale.runner.child", self.id], stdin=subprocess.DEVNULL, stdout=log,
                stderr=subprocess.STDOUT, pass_fds=descriptors, process_group=0, env=child_environment())

    def _watch(self, child: subprocess.Popen) -> None:
        """Wait for the child's end, cancel it when asked, then write how it ended."""
        killed_before = process.out_of_memory_kills()
        limit = float(os.environ.get("SQRTSCALE_TIMEOUT_S") or 0)
        began, kill_at, ending = time.monotonic(), None, None
        while child.poll() is None:
            now = time.monotonic()
            if ending is None:
                ending = self._asked_to_end(limit and now - began > limit)
                if ending:
                    kill_at = now + GRACE
                    self._signal(child, signal.SIGTERM)
            elif kill_at is not None and now > kill_at:
                self._signal(child, signal.SIGKILL)
                kill_at = None
            self._beat()
            trim(train_log(self.id))
            try:
                child.wait(LOOK_EVERY)
            except subprocess.TimeoutExpired:
                continue
        self._signal(child, signal.SIGKILL)  # whatever it may have left in its group
        self._end(*(ending or self._verdict(child.returncode, process.out_of_memory_kills() > killed_before)))

    def _asked_to_end(self, late: bool) -> tuple[str, str] | None:
        """Final state and reason when the child shall end before it is done."""
        if late:
            return "TIMED_OUT", f"it ran longer than SQRTSCALE_TIMEOUT_S = {os.environ['SQRTSCALE_TIMEOUT_S']} seconds"
        if self.told_to_stop:
            return "CANCELLED", f"the supervisor was stopped by {self.told_to_stop}"
        try:
            if self.store.cancel_requested(self.id):
                return "CANCELLED", "cancelled by the user"
        except OperationalError as error:  # a store that cannot be read now must not end the training
            _say(f"cannot read the store: {error}")
        return None

    def _verdict(self, code: int, memory_kills: bool) -> tuple[str, str]:
        """Final state and reason from the child's exit code."""
        if code == exit_codes.DONE:
            return "DONE", ""
        if code < 0:
            name = signal.Signals(-code).name
            why = ": the kernel killed a process for lack of memory, so take a smaller batch or fewer seeds" \
                if memory_kills else ", from outside"
            return "FAILED", f"the training process was killed by {name}{why}"
        if code in exit_codes.REASONS:
            return "FAILED", exit_codes.REASONS[code]
        last = last_lines(self.id, 1).strip()
        return "FAILED", last.removeprefix("FAILED: ") or f"the training process ended with exit code {code}"

    def _beat(self) -> None:
        if time.monotonic() < self.next_beat:
            return
        self.next_beat = time.monotonic() + BEAT_EVERY
        try:
            self.store.heartbeat(self.id)
        except OperationalError as error:  # a full disk, for example: the child's own end decides
            _say(f"no heartbeat: {error}")

    def _end(self, state: str, reason: str) -> None:
        """Write the final state, trying for a while where the disk is full or the database is locked."""
        self.reserve.unlink(missing_ok=True)
        for attempt in range(WRITE_TRIES):
            try:
                self.store.transition(self.id, state, among=ACTIVE_STATES, reason=reason)
                return
            except OperationalError as error:
                _say(f"cannot write {state} ({reason}): {error}")
                time.sleep(min(0.5 * 2**attempt, 30))

    @staticmethod
    def _signal(child: subprocess.Popen, number: signal.Signals) -> None:
        try:
            os.killpg(child.pid, number)
        except ProcessLookupError:  # the whole group is gone
            return


def _say(text: str) -> None:
    """A line for the supervisor's log, where there is room for it."""
    try:
        print(text, file=sys.stderr, flush=True)
    except OSError:  # the full disk that is being reported
        return


def child_environment() -> dict[str, str]:
    """The environment of a process of ours: this package is importable wherever its working folder is."""
    package_parent = str(Path(__file__).resolve().parents[2])
    paths = [package_parent, *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    return os.environ | {"PYTHONPATH": os.pathsep.join(dict.fromkeys(paths))}
