"""The supervisor: one small detached process for each calibration that trains. It takes the devices, starts the training
child, watches it, and writes how it ended. It loads neither torch nor streamlit. The scheduler starts it in its turn.
"""

from __future__ import annotations

import math
import os
import signal
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress

from ..home import owner_only
from ..rules import FieldError
from ..store import NotFound, Store
from ..store.rescue import DatabaseFile
from . import disk_reserve, election, exit_codes, faults, launch, locks, process
from .device import occupied, refused, settings
from .ending import end
from .faults import Ended
from .launch import identity_of
from .log import last_lines, train_log, trim
from .patience import GivenUp, Patience, impatient, patience_of, to_standard_error
from .pulse import Pulse, Silence, pulse_file
from .rescued import current, hint, rescue_file

LOOK_EVERY = 0.5  # seconds between two looks at the store and the child
HEARTBEAT_EVERY = 5.0  # seconds between two heartbeats
GRACE = 10.0  # seconds from SIGTERM to SIGKILL
# A child that is told to end before it can hear that ends all the same.
TOLD_TO_END = (exit_codes.TOLD_TO_END, -signal.SIGTERM, -signal.SIGINT, -signal.SIGHUP)
CHILD_HUNG_AFTER = 1800.0  # seconds: compiled code lets no other thread run, and the longest piece of it takes minutes


Turn = tuple[tuple[str, ...], list[int]]  # devices and their locks


class AskedToEnd(GivenUp):
    """Somebody wants the calibration to end while it has no child: final state and reason."""

    def __init__(self, state: str, reason: str):
        super().__init__(reason)
        self.state, self.reason = state, reason


class Supervisor:
    """Takes one calibration from QUEUED to a final state."""

    def __init__(self, store: Store, id: str):
        """store: waited for with the patience of this process, where it is :func:`patient`."""
        self.store = store
        self.once = impatient(store)
        self.patience = patience_of(store)
        self.id = id
        self.told_to_stop = ""
        self.taken_away = ""
        self.next_heartbeat = 0.0
        self.silence = Silence()
        self.identity = process.me()
        self.file = DatabaseFile.of(store.url)

    def run(self) -> int:
        """Exit code 0 when the calibration ended or waits again, DEVICES_TAKEN when it is too early, 1 when another has it."""
        alive = locks.take(locks.alive_lock(self.id), locks.SOON)
        if alive is None:
            return 1
        with suppress(OSError):  # the disk is full
            locks.sign(alive, self.identity.pid)
        if self.store.get(self.id).state != "QUEUED":
            return 1
        if rescue_file(self.id).exists():  # of an earlier try, whose end it has: nothing more may be written there
            end(self.store, self.id, "FAILED", hint(rescue_file(self.id)))
            return 1
        for end_signal in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(end_signal, self._on_signal)
        pulse = Pulse(pulse_file(self.id, "supervisor"), self.patience)
        try:
            if not self._move("QUEUED"):  # somebody was faster
                return 1
            return self._run(alive)
        finally:
            pulse.stop()

    def _run(self, alive: int) -> int:
        try:
            turn = self._take_devices()
            if turn is None:
                return exit_codes.DEVICES_TAKEN
            late_at = time.monotonic() + time_limit()
            looks = Patience(lambda line: None)  # that of this process waits for the disk
            self.patience.insist(lambda: disk_reserve.keep(self.id), lambda: self.told_to_stop or looks.attempt(
                lambda: self.once.cancel_requested(self.id), False))
            if self.told_to_stop or not (self._move("STARTING") or self._is_starting()):
                raise GivenUp
            child = self._start_child(alive, *turn)
        except GivenUp:  # a shutdown, which leaves it in the queue, or somebody has cancelled it
            disk_reserve.free(self.id)
        except FieldError as error:
            self._end("FAILED", str(error))
        except (OSError, ValueError) as error:
            self._end("FAILED", f"the training could not be started: {error}")
        else:
            self._end(*self._trained(child, alive, turn, late_at))
        return 0

    def _trained(self, child: subprocess.Popen[bytes], alive: int, turn: Turn, late_at: float) -> tuple[str, str, int]:
        """Wait for the training's end, in further processes where a GPU fails in the middle: final state, reason, exit code."""
        ended = self._watch(child, late_at)
        while faults.is_fault(ended, turn[0]) and not rescue_file(self.id).exists():
            try:
                self._heed(time.monotonic() > late_at)
                turn = self._turn_after(ended.reason, turn)
                self._heed(time.monotonic() > late_at)
                child = self._start_child(alive, *turn)
            except AskedToEnd as asked:
                return asked.state, asked.reason, ended.code
            except OSError as error:
                return "FAILED", f"{ended.reason}; no other process could be started: {error}", ended.code
            ended = self._watch(child, late_at)
        return ended.state, ended.reason, ended.code

    def _turn_after(self, reason: str, turn: Turn) -> Turn:
        """The devices and locks of the next process after a fault; the CPU's beside whoever trains there already."""
        devices, taken = turn
        chosen = faults.go_on(self.store, self.id, devices, reason, self._heed)
        if chosen == devices:
            return turn
        for lock in taken:
            os.close(lock)
        return chosen, locks.take_all([locks.device_lock(device) for device in chosen]) or []

    def _move(self, state: str) -> bool:
        """From QUEUED to that state, as this process's own; False where it is not in the queue any more."""
        return self.store.transition(self.id, state, among=["QUEUED"], **vars(self.identity))

    def _is_starting(self) -> bool:
        """Whether this process has moved it to STARTING: the answer to its first try may have been lost."""
        return any(row.id == self.id and row.state == "STARTING" and identity_of(row) == self.identity
                   for row in self.store.underway())

    def _take_devices(self) -> Turn | None:
        """Its devices and their locks; None where somebody else trains there. Raises FieldError where they cannot be used."""
        name = faults.place(self.store, self.store.get(self.id))
        while True:
            devices = occupied(name)
            taken = locks.take_all([locks.device_lock(device) for device in devices])
            if taken is None:
                return None
            reason = refused(devices, self._heed)
            if not reason:
                return devices, taken
            for lock in taken:
                os.close(lock)
            if occupied(name) == devices:  # named, or there is nothing else
                raise FieldError("device", name, f"cannot be used here: {reason}")

    def _on_signal(self, signal_number: int, frame: object) -> None:
        self.told_to_stop = signal.Signals(signal_number).name

    def _start_child(self, alive: int, devices: Sequence[str], taken: Sequence[int]) -> subprocess.Popen[bytes]:
        """The training child on its devices, in a process group of its own; it holds the locks as long as it lives."""
        pulse_file(self.id, "child").unlink(missing_ok=True)
        with open(train_log(self.id), "ab", opener=owner_only) as log:
            return subprocess.Popen(
                launch.command("runner.child", self.id, ",".join(devices)), stdin=subprocess.DEVNULL, stdout=log,
                stderr=subprocess.STDOUT, pass_fds=(alive, *taken), process_group=0,
                env=launch.environment() | settings(devices))

    def _watch(self, child: subprocess.Popen[bytes], late_at: float) -> Ended:
        """Wait for the child's end, or bring it about when asked: how it ended."""
        killed_before = process.out_of_memory_kills()
        kill_at = math.inf
        asked: tuple[str, str] | None = None
        hung = False
        while child.poll() is None:
            now = time.monotonic()
            if asked is None:
                asked = self._asked_to_end(now > late_at)
                if self.taken_away:  # not a word of it into what is not its own any more
                    self._signal(child, signal.SIGKILL)
                elif asked:
                    kill_at = now + GRACE
                    self._signal(child, signal.SIGTERM)
                elif self.silence.is_hung(pulse_file(self.id, "child"), child.pid, CHILD_HUNG_AFTER):
                    asked = "FAILED", "the training process hung, or was stopped, and was ended by force"
                    hung = not process.stopped(child.pid)
                    self._signal(child, signal.SIGKILL)
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
        self._trim()
        code = child.returncode
        pulse_file(self.id, "child").unlink(missing_ok=True)
        if code in TOLD_TO_END and not asked:
            asked = self._asked_to_end(late=False) or ("INTERRUPTED", "the training process was told to end from outside")
        if code == exit_codes.DONE or not asked:  # it may have been done before it was told
            asked = self._verdict(code, process.out_of_memory_kills() > killed_before)
        return Ended(*asked, code, hung)

    def _asked_to_end(self, late: bool) -> tuple[str, str] | None:
        """Final state and reason when the child shall end before it is done."""
        if self.taken_away:
            return "LOST", self.taken_away
        if self.patience.attempt(lambda: self.once.cancel_requested(self.id), False):
            return "CANCELLED", "cancelled by the user"
        if self.told_to_stop:
            return "INTERRUPTED", f"the supervisor was stopped by {self.told_to_stop}"
        if late:
            return "TIMED_OUT", f"it ran longer than SQRTSCALE_TIMEOUT_S = {os.environ['SQRTSCALE_TIMEOUT_S']} seconds"
        return None

    def _heed(self, late: bool = False) -> None:
        """Live on between two looks at a child; raises AskedToEnd where there shall be no other one."""
        self._heartbeat()
        if asked := self._asked_to_end(late):
            raise AskedToEnd(*asked)

    def _verdict(self, code: int, memory_kills: bool) -> tuple[str, str]:
        """Final state and reason from the child's exit code."""
        if code == exit_codes.DONE:
            if self._unfinished():
                return "FAILED", ("the training process ended with exit code 0 before its runs did: the code of a task must not "
                                  "end its process, so remove os._exit")
            return "DONE", ""
        if code < 0:
            name = signal.Signals(-code).name
            if memory_kills:
                return "FAILED", (f"the training process was killed by {name}: the kernel killed a process for lack of memory, "
                                  "so take a smaller batch or fewer seeds")
            return "FAILED", "the training process " + (f"died of {name}" if code in faults.CRASHES
                                                        else f"was killed by {name}, from outside")
        if code in exit_codes.REASONS:
            return "FAILED", exit_codes.REASONS[code]
        last = last_lines(self.id, 1).strip()
        return "FAILED", last.removeprefix("FAILED: ") or f"the training process ended with exit code {code}"

    def _unfinished(self) -> bool:
        """Whether the store knows of a run that has not ended."""
        return any(run.state in ("QUEUED", "RUNNING") for run in current(self.store, self.id).get(self.id).runs)

    def _heartbeat(self) -> None:
        if time.monotonic() < self.next_heartbeat:
            return
        self.next_heartbeat = time.monotonic() + HEARTBEAT_EVERY
        if rescue_file(self.id).exists():  # its own database is lost
            return
        if not self.told_to_stop:  # a shutdown, in which none is to be started
            with suppress(OSError):  # no room on the disk for its log
                election.ensure()  # it looks after the scheduler, as that does after it
        self.patience.attempt(lambda: self.once.heartbeat(self.id), None)
        self.taken_away = self.patience.attempt(self._taken_away, "")

    def _taken_away(self) -> str:
        """What others have made of it, to whom this machine was silent for long; "" where it is this process's still."""
        row = next((row for row in self.once.underway() if row.id == self.id), None)
        said = ""
        if row is None:
            with suppress(NotFound, FieldError):
                record = self.once.get(self.id)
                said = f"somebody has made it {record.state} meanwhile" if record.final else ""
        elif row.pid is not None and identity_of(row) != self.identity:
            said = f"process {row.pid} of {row.host} has it now"
        return "" if self.file.problem() else said  # of another file in the place of the database nothing is believed

    def _trim(self) -> None:
        try:
            trim(train_log(self.id))
        except OSError as error:  # a long log is no reason to end a training
            to_standard_error(f"cannot trim the log: {error}")

    def _end(self, state: str, reason: str, exit_code: int | None = None) -> None:
        """Write the final state, however long it takes."""
        disk_reserve.free(self.id)
        if self.taken_away:
            to_standard_error(f"the training was ended: {self.taken_away}")
            return
        end(current(self.store, self.id), self.id, state, reason, exit_code)
        if rescue_file(self.id).exists():
            to_standard_error(hint(rescue_file(self.id)))

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
