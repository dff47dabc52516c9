"""``python -m sqrtscale.runner.child ID``: the training process of one calibration.

Reads the plan from the store, trains it, and writes what is measured in batches. It ends by itself when it
is told to (SIGTERM), when somebody cancels, and when its supervisor is gone.
"""

from __future__ import annotations

import os
import signal
import sys
import time
import traceback

from ..plan import CalibrationPlan
from ..store import Store
from ..training import Measured, Progress, RunEnded, calibrate, environment
from . import exit_codes

FLUSH_EVERY = 2.0  # seconds that a measurement may wait in memory
PROGRESS_EVERY = 1.0


class Sink:
    """Writes events to the store: measurements in batches, progress now and then, ends at once."""

    def __init__(self, store: Store, id: str):
        self.store = store
        self.id = id
        self.waiting: list[Measured] = []
        self.flushed = self.said = time.monotonic()

    def take(self, event: Measured | RunEnded | Progress) -> None:
        """Store one event, now or within FLUSH_EVERY seconds."""
        if isinstance(event, Measured):
            self.waiting.append(event)
        elif isinstance(event, RunEnded):
            self.flush()
            self.store.end_run(self.id, event.arm, event.seed, event.state, event.reason)
            print(f"{event.arm}, seed {event.seed}: {event.state} {event.reason}".rstrip())
        elif time.monotonic() - self.said > PROGRESS_EVERY or event.done == event.total:
            self.said = time.monotonic()
            self.store.heartbeat(self.id, phase=event.phase, done=event.done, total=event.total,
                                 samples_per_second=event.samples_per_second)
        if time.monotonic() - self.flushed > FLUSH_EVERY:
            self.flush()

    def flush(self) -> None:
        """Store everything that waits."""
        self.flushed = time.monotonic()
        if self.waiting:
            self.store.write_points(self.id, self.waiting)
            self.waiting = []


class Told:
    """Whether somebody wants this process to end."""

    def __init__(self) -> None:
        self.stop = False
        self.supervisor = os.getppid()
        signal.signal(signal.SIGTERM, self._on_signal)
        signal.signal(signal.SIGINT, self._on_signal)

    def _on_signal(self, number: int, frame: object) -> None:
        self.stop = True

    def __bool__(self) -> bool:
        return self.stop or os.getppid() != self.supervisor


def train(store: Store, id: str, plan: CalibrationPlan, told: Told) -> bool:
    """Train the plan into the store; False when it was told to end before it was done."""
    found = environment(plan.device)
    store.set_environment(id, found)
    store.heartbeat(id, device=found["device_name"][:100])
    print(f"training on {found['device_name']} ({found['device']}), torch {found['packages'].get('torch')}")
    sink = Sink(store, id)
    events = calibrate(plan)
    try:
        for event in events:
            sink.take(event)
            if told:
                print("told to end")
                return False
        return True
    finally:
        events.close()
        sink.flush()


def main(arguments: list[str]) -> int:
    """Train the calibration of that id; returns one of ``exit_codes``."""
    told = Told()
    try:
        store = Store.open()
        (id,) = arguments
        if not store.transition(id, "RUNNING", among=["STARTING"]):
            print(f"FAILED: calibration {id} is not starting")
            return exit_codes.FAILED
        return exit_codes.DONE if train(store, id, store.get(id).plan, told) else exit_codes.TOLD_TO_END
    except Exception as error:
        return _failed(error)


def _failed(error: Exception) -> int:
    """The traceback and, in its last line, the reason to the log; the exit code for the supervisor."""
    reason = " ".join(str(error).split())[:500]
    code = exit_codes.FAILED
    if isinstance(error, MemoryError) or "out of memory" in reason.lower():
        code = exit_codes.OUT_OF_MEMORY
    elif "disk is full" in reason or "No space left" in reason:
        code = exit_codes.DISK_FULL
    try:
        traceback.print_exception(error, file=sys.stdout)
        print(f"FAILED: {reason or type(error).__name__}", flush=True)
    except OSError:  # the log is on the full disk, too
        code = exit_codes.DISK_FULL
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
