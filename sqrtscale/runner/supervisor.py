"""The supervisor: one small detached process per calibration. It waits for its turn and its devices, starts the
training child, watches it, and writes how it ended. It loads neither torch nor streamlit.
"""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence

from sqlalchemy.exc import OperationalError

from ..store import Store
from . import disk_reserve, exit_codes, launch, locks, process
from .device import occupied, rivals
from .ending import end
from .log import last_lines, train_log, trim
from .reconciliation import correct

LOOK_EVERY = 0.5  # seconds between two looks at the store and the child
LOOK_FROM_BEHIND_EVERY = 3.0  # where others wait before this one
HEARTBEAT_EVERY = 5.0  # seconds between two heartbeats
GRACE = 10.0  # seconds from SIGTERM to SIGKILL
WRITE_TRIES = 120
LOCK_PATIENCE = 1.0  # others only look at the lock, for an instant


class Supervisor:
    """Takes one calibration from QUEUED to a final state."""

    def __init__(self, store: Store, id: str):
        self.store = store
        self.id = id
        self.told_to_stop = ""
        self.next_heartbeat = 0.0

    def run(self) -> int:
        """Exit code 0 when the calibration ended, however it ended; 1 when it has, or had, another supervisor."""
        alive = locks.take(locks.alive_lock(self.id), LOCK_PATIENCE)
        if alive is None or self.store.get(self.id).state != "QUEUED":
            return 1
        for end_signal in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(end_signal, self._on_signal)
        identity = process.me()
        self.store.set_process(self.id, host=identity.host, boot_id=identity.boot_id, pid=identity.pid,
                               pid_started=identity.pid_started)
        turn = self._wait_for_turn()
        if turn is None or not self.store.transition(self.id, "STARTING", among=["QUEUED"]):
            return 0
        try:
            limit = time_limit()
            disk_reserve.keep(self.id)
            child = self._start_child(alive, *turn)
        except (OSError, ValueError) as error:
            self._end("FAILED", exit_codes.REASONS[exit_codes.DISK_FULL] if disk_reserve.is_full(error)
                      else f"the training could not be started: {error}")
        else:
            self._watch(child, limit)
        return 0

    def _on_signal(self, signal_number: int, frame: object) -> None:
        self.told_to_stop = signal.Signals(signal_number).name

    def _wait_for_turn(self) -> tuple[tuple[str, ...], list[int]] | None:
        """Its devices and their locks, once no older calibration waits for one of them; None when it was cancelled meanwhile."""
        record = self.store.get(self.id)
        while True:
            queue = self.store.queue()
            waiting = [rival.id for rival in rivals(queue, record)]
            if self.id not in waiting:
                return None
            if self.told_to_stop:
                self._end("CANCELLED", f"the supervisor was stopped by {self.told_to_stop} before the start")
                return None
            first = waiting[0] == self.id
            if first:
                devices = occupied(record.plan.device)
                taken = locks.take_all([locks.device_lock(device) for device in devices])
                if taken is not None:
                    return devices, taken
            elif correct(self.store, [ahead for ahead in queue if ahead.id == waiting[0]]):
                continue  # the one ahead had died, and must not block the queue
            self._heartbeat()
            time.sleep(LOOK_EVERY if first or waiting[1] == self.id else LOOK_FROM_BEHIND_EVERY)

    def _start_child(self, alive: int, devices: Sequence[str], taken: Sequence[int]) -> subprocess.Popen[bytes]:
        """The training child on its devices, in a process group of its own; it holds the locks as long as it lives."""
        with train_log(self.id).open("ab") as log:
            return subprocess.Popen(
                launch.command("runner.child", self.id, ",".join(devices)), stdin=subprocess.DEVNULL, stdout=log,
                stderr=subprocess.STDOUT, pass_fds=(alive, *taken), process_group=0, env=launch.environment())

    def _watch(self, child: subprocess.Popen[bytes], limit: float) -> None:
        """Wait for the child's end, bring it about when asked, then write how it ended."""
        killed_before = process.out_of_memory_kills()
        late_at = time.monotonic() + limit
        kill_at = math.inf
        asked: tuple[str, str] | None = None
        while child.poll() is None:
            now = time.monotonic()
            if asked is None:
                asked = self._asked_to_end(now > late_at)
                if asked:
                    kill_at = now + GRACE
                    self._signal(child, signal.SIGTERM)
            elif now > kill_at:
                self._signal(child, signal.SIGKILL)
                kill_at = math.inf
            self._heartbeat()
            self._trim()
            try:
                child.wait(LOOK_EVERY)
            except subprocess.TimeoutExpired:
                continue
        self._signal(child, signal.SIGKILL)  # whatever it may have left in its group
        code = child.returncode
        if code == exit_codes.TOLD_TO_END and not asked:
            asked = self._asked_to_end(late=False) or ("CANCELLED", "the training process was told to end from outside")
        if code == exit_codes.DONE or not asked:  # it may have been done before it was told
            asked = self._verdict(code, process.out_of_memory_kills() > killed_before)
        self._end(*asked, code)

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
            self._note(f"cannot read the store: {error.orig}")
        return None

    def _verdict(self, code: int, memory_kills: bool) -> tuple[str, str]:
        """Final state and reason from the child's exit code."""
        if code == exit_codes.DONE:
            return "DONE", ""
        if code < 0:
            name = signal.Signals(-code).name
            cause = ", from outside"
            if memory_kills:
                cause = ": the kernel killed a process for lack of memory, so take a smaller batch or fewer seeds"
            return "FAILED", f"the training process was killed by {name}{cause}"
        if code in exit_codes.REASONS:
            return "FAILED", exit_codes.REASONS[code]
        last = last_lines(self.id, 1).strip()
        return "FAILED", last.removeprefix("FAILED: ") or f"the training process ended with exit code {code}"

    def _heartbeat(self) -> None:
        if time.monotonic() < self.next_heartbeat:
            return
        self.next_heartbeat = time.monotonic() + HEARTBEAT_EVERY
        try:
            self.store.heartbeat(self.id)
        except OperationalError as error:  # a full disk, for example: the child's own end decides
            self._note(f"no heartbeat: {error.orig}")

    def _trim(self) -> None:
        try:
            trim(train_log(self.id))
        except OSError as error:  # a long log is no reason to end a training
            self._note(f"cannot trim the log: {error}")

    def _end(self, state: str, reason: str, exit_code: int | None = None) -> None:
        """Write the final state, trying for a while where the disk is full or the database is locked."""
        disk_reserve.free(self.id)
        for attempt in range(WRITE_TRIES):
            try:
                end(self.store, self.id, state, reason, exit_code)
                return
            except OperationalError as error:
                self._note(f"cannot write {state} ({reason}): {error.orig}")
                time.sleep(min(0.5 * 2**attempt, 30))

    @staticmethod
    def _note(text: str) -> None:
        """A line for supervisor.log, unless the disk is full."""
        try:
            print(text, file=sys.stderr)
        except OSError:
            return

    @staticmethod
    def _signal(child: subprocess.Popen[bytes], end_signal: signal.Signals) -> None:
        try:
            os.killpg(child.pid, end_signal)
        except ProcessLookupError:  # the whole group is gone
            return


def time_limit() -> float:
    """Seconds that a calibration may train: SQRTSCALE_TIMEOUT_S; without it, or with 0, no limit."""
    text = os.environ.get("SQRTSCALE_TIMEOUT_S", "").strip() or "0"
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not seconds >= 0:
        raise ValueError(f"SQRTSCALE_TIMEOUT_S = {text!r} is not a time: give a number of seconds, or 0 for no limit")
    return seconds or math.inf
