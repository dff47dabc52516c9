"""``python -m sqrtscale.runner.child ID DEVICES``: the training process of one calibration.

Reads the plan from the store, trains it, and writes what is measured in batches. It ends by itself when it
is told to (SIGTERM, which its supervisor sends when somebody cancels) and when its supervisor is gone.
"""

from __future__ import annotations

import math
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Collection
from dataclasses import replace
from itertools import groupby

from sqlalchemy.exc import OperationalError

from ..plan import CalibrationPlan
from ..rules import FieldError
from ..store import Store
from ..training import Branched, Event, Measured, Progress, RunEnded, SeedsEnded, calibrate, environment, is_out_of_memory
from . import disk_reserve, exit_codes

FLUSH_EVERY = 2.0  # seconds that a measurement may wait in memory
PROGRESS_EVERY = 1.0
PATIENCE = 600.0  # seconds that a database may refuse to be written


class Sink:
    """Writes events to the store: measurements and ends in batches, progress now and then.

    What the database refuses (it is locked, it is being restarted) stays here, in order, for the next try.
    """

    def __init__(self, store: Store, id: str):
        self.store = store
        self.id = id
        self.waiting: list[Measured | RunEnded] = []
        self.flushed_at, self.progress_at = time.monotonic(), -math.inf
        self.refused_since: float | None = None

    def take(self, event: Event) -> None:
        """Store one event within FLUSH_EVERY seconds."""
        if isinstance(event, Branched | SeedsEnded):
            return
        if not isinstance(event, Progress):
            self.waiting.append(event)
        elif time.monotonic() - self.progress_at > PROGRESS_EVERY or event.done == event.total:
            self.progress_at = time.monotonic()
            self._try(lambda: self.store.heartbeat(self.id, phase=event.phase, done=event.done, total=event.total,
                                                   samples_per_second=event.samples_per_second))
        if isinstance(event, RunEnded):
            print(f"{event.arm}, seed {event.seed}: {event.state} {event.reason}".rstrip())
        if time.monotonic() - self.flushed_at > FLUSH_EVERY:
            self.flush()

    def flush(self) -> None:
        """Store what waits. Raises OperationalError when the disk is full or the database refused for too long."""
        self.flushed_at = time.monotonic()
        if self.waiting and self._try(self._write):
            self.refused_since = None

    def close(self) -> None:
        """Store what waits, however often it takes."""
        self.flush()
        while self.waiting:
            time.sleep(1)
            self.flush()

    def _try(self, work: Callable[[], None]) -> bool:
        try:
            work()
            return True
        except OperationalError as error:
            if disk_reserve.is_full(error):
                disk_reserve.free(self.id)
                self._write()
                raise
            self.refused_since = self.refused_since or time.monotonic()
            if time.monotonic() - self.refused_since > PATIENCE:
                raise
            print(f"the database refused to be written, trying again: {error.orig}")
            return False

    def _write(self) -> None:
        for _, events in groupby(list(self.waiting), type):
            batch = list(events)
            if measured := [event for event in batch if isinstance(event, Measured)]:
                self.store.write_points(self.id, measured)
                del self.waiting[: len(measured)]
            for event in batch:
                if isinstance(event, RunEnded):
                    self.store.end_run(self.id, event.arm, event.seed, event.state, event.reason)
                    del self.waiting[0]


class EndRequest:
    """Whether somebody wants this process to end."""

    def __init__(self) -> None:
        self.stop = False
        self.supervisor = os.getppid()
        signal.signal(signal.SIGTERM, self._on_signal)
        signal.signal(signal.SIGINT, self._on_signal)

    def _on_signal(self, signal_number: int, frame: object) -> None:
        self.stop = True

    def __bool__(self) -> bool:
        return self.stop or os.getppid() != self.supervisor


def train(store: Store, id: str, plan: CalibrationPlan, end_request: EndRequest) -> bool:
    """Train the plan into the store; False when it was told to end before it was done."""
    conditions = environment(plan.device, plan)
    store.set_environment(id, conditions)
    count = len(conditions["device"].split(","))
    store.heartbeat(id, device=(f"{count} x " * (count > 1) + conditions["device_name"])[:100])
    print(f"training on {conditions['device_name']} ({conditions['device']}), torch {conditions['packages'].get('torch')}, "
          f"executor {conditions['executor']}")
    taken = store.reuse(id) if plan.reuse else {}
    for (arm, seed), source in taken.items():
        print(f"{arm}, seed {seed}: taken from calibration {source}, not trained again")
    sink = Sink(store, id)
    events = calibrate(plan, taken)
    may_stop = not plan.go_on  # once, at the branch point of the first seeds
    try:
        for event in events:
            sink.take(event)
            if end_request:
                print("told to end")
                return False
            if isinstance(event, Branched) and may_stop:
                may_stop = False
                if hopeless(sink):
                    skip(sink, plan.seeds)
                    break
            if isinstance(event, SeedsEnded) and clear(sink):
                skip(sink, plan.seeds[event.count :], event.count)
                break
        return True
    finally:
        events.close()
        sink.close()


def clear(sink: Sink) -> bool:
    """Whether the seeds that are stored decide about every arm."""
    from ..report import decided, verdicts  # scipy and pandas: only where something is judged

    sink.flush()
    record, curves = sink.store.get(sink.id), sink.store.curves(sink.id)
    return not sink.waiting and decided(verdicts(record, curves))


def hopeless(sink: Sink) -> bool:
    """Whether what is stored at the branch point shows that no arm will be a test of the rule."""
    from ..report import never_a_test

    sink.flush()
    return not sink.waiting and never_a_test(sink.store.get(sink.id), sink.store.curves(sink.id))


def skip(sink: Sink, seeds: Collection[int], enough: int = 0) -> None:
    """End the runs of these seeds as not needed; enough: seeds after which the verdict was clear, none at the branch point."""
    from ..report import NO_TEST

    record = sink.store.get(sink.id)
    reason = f"not needed: the verdict was clear after {enough} seeds" if enough else NO_TEST
    print(f"every verdict is clear after {enough} of {len(record.plan.seeds)} seeds: the others are not trained" if enough
          else f"the arms are {NO_TEST}")
    for run in record.runs:
        if run.seed in seeds:
            sink.store.end_run(sink.id, run.arm, run.seed, "SKIPPED", reason)
    sink.store.heartbeat(sink.id, total=record.done)


def judge(store: Store, id: str) -> None:
    """Store the verdict that lists show. Where that fails the training is done all the same, and whoever opens it judges it."""
    try:
        from ..report import judged  # loads pandas and scipy, which the training does without

        print(judged(store, store.get(id)).answer)
    except Exception:  # the log says why
        traceback.print_exc(file=sys.stdout)


def explained(error: Exception) -> tuple[int, str]:
    """The exit code for the supervisor, and why the training failed in one line."""
    text = " ".join(str(getattr(error, "orig", error)).split())[:500]  # without the SQL of a database's error
    if is_out_of_memory(error):
        return exit_codes.OUT_OF_MEMORY, text or "MemoryError"
    if disk_reserve.is_full(error):
        return exit_codes.DISK_FULL, text
    is_sentence = isinstance(error, FieldError | RuntimeError) and text
    return exit_codes.FAILED, text if is_sentence else f"{type(error).__name__}: {text}"


def main(arguments: list[str]) -> int:
    """Returns one of ``exit_codes``; after FAILED the last line of the output says why."""
    end_request = EndRequest()
    try:
        store = Store.open()
        id, devices = arguments
        if not store.transition(id, "RUNNING", among=["STARTING"]):
            if store.cancel_requested(id):
                return exit_codes.TOLD_TO_END
            raise RuntimeError(f"calibration {id} is {store.get(id).state} and cannot be started again")
        # On what the supervisor has locked for it, whatever torch would take by itself.
        if not train(store, id, replace(store.get(id).plan, device=devices), end_request):
            return exit_codes.TOLD_TO_END
        judge(store, id)
        return exit_codes.DONE
    except Exception as error:  # the log gets the traceback, the last line says it in one
        code, text = explained(error)
        try:
            traceback.print_exc(file=sys.stdout)
            print(f"FAILED: {text}")
        except OSError:  # the log is on the full disk, too
            return exit_codes.DISK_FULL
        return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
