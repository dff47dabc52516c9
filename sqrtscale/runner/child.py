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
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from dataclasses import asdict, replace
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..plan import WARM_START, CalibrationPlan
from ..processes import leave
from ..rules import FieldError
from ..store import RESUMED, REUSED, Store
from ..tasks import OwnTaskError
from ..tasks.own import beside_users_code
from ..tasks.own.errors import DEVICE_ASSERT, OF_AN_INDEX
from ..training import (
    Branched,
    Event,
    Measured,
    Progress,
    Resumable,
    RunEnded,
    SeedsEnded,
    StepsMade,
    calibrate,
    environment,
    is_gpu_fault,
    is_out_of_memory,
)
from . import disk_reserve, exit_codes, faults
from .log import go_on_where_the_disk_is_full
from .patience import LOOK_EVERY, GivenUp, Patience, impatient, never, patience_of, patient
from .pulse import Pulse, pulse_file
from .rescued import Rescue, current

if TYPE_CHECKING:
    from .keeper import Keeper, WarmStart

FLUSH_EVERY = 2.0  # seconds that a measurement may wait in memory
PROGRESS_EVERY = 1.0
LAST_WORDS = 5.0  # seconds to store what waits, once this process is told to end
LAST_PIECE = 2.0  # seconds to come to where a snapshot can be taken, once told to end


class Sink:
    """Writes events to the store: measurements and ends in batches, progress now and then.

    What the database refuses (it is locked, it is being restarted) stays here, in order, for the next try, and the training
    goes on; on a full disk it waits for room, until told_to_end. Where the database's file is lost it goes on in a rescue file.
    """

    def __init__(self, store: Store, id: str, told_to_end: Callable[[], bool] = never, rescue: Rescue | None = None):
        self.store = store
        self.id = id
        self.told_to_end = told_to_end
        self.patience = patience_of(store)
        self.once = impatient(store)
        self.rescue = rescue
        self.waiting: list[Measured | RunEnded] = []
        self.flushed_at, self.progress_at = time.monotonic(), -math.inf

    def take(self, event: Event) -> None:
        """Store one event within FLUSH_EVERY seconds."""
        if isinstance(event, Branched | Resumable | SeedsEnded | StepsMade):
            return
        if not isinstance(event, Progress):
            self.waiting.append(event)
            if self.rescue:
                self.rescue.events.append(event)
        elif time.monotonic() - self.progress_at > PROGRESS_EVERY or event.done == event.total:
            self.progress_at = time.monotonic()
            self._try(lambda: self.once.heartbeat(self.id, phase=event.phase, done=event.done, total=event.total,
                                                  samples_per_second=event.samples_per_second))
        if isinstance(event, RunEnded):
            print(f"{event.arm}, seed {event.seed}: {event.state} {event.reason}".rstrip())
        if isinstance(event, RunEnded) or time.monotonic() - self.flushed_at > FLUSH_EVERY:  # others may reuse it at once
            self.flush()

    def note(self, conditions: dict[str, Any]) -> None:
        """Store what the results depend on, now that more of it is known; where that is refused, the next one brings it."""
        self._try(lambda: self.once.set_environment(self.id, conditions))

    def flush(self) -> None:
        """Store what waits, unless the database refuses it."""
        self.flushed_at = time.monotonic()
        if self.waiting:
            self._try(self._write)

    def close(self) -> None:
        """Store what waits, however often it takes; but for a few seconds only, where this process is told to end."""
        self.flush()
        deadline = time.monotonic() + LAST_WORDS
        while self.waiting and not (self.told_to_end() and time.monotonic() > deadline):
            if self.patience.disk_is_full:
                disk_reserve.free(self.id)
            time.sleep(LOOK_EVERY)
            self.flush()

    def _try(self, work: Callable[[], object]) -> None:
        self._look_at_the_file()
        while not self.patience.attempt(lambda: work() is None, False):
            self._look_at_the_file()
            if not self.patience.disk_is_full or self.told_to_end():
                return
            time.sleep(LOOK_EVERY)

    def _look_at_the_file(self) -> None:
        if self.rescue and (problem := self.rescue.problem(self.patience.error)):
            self.once = self.rescue.begin(problem)
            self.store, self.waiting, self.rescue = patient(self.once, self.patience), list(self.rescue.events), None

    def _write(self) -> None:
        for _, events in groupby(list(self.waiting), type):
            batch = list(events)
            if measured := [event for event in batch if isinstance(event, Measured)]:
                self.once.write_points(self.id, measured)
                del self.waiting[: len(measured)]
            for event in batch:
                if isinstance(event, RunEnded):
                    self.once.end_run(self.id, event.arm, event.seed, event.state, event.reason)
                    del self.waiting[0]


class EndRequest:
    """Whether somebody wants this process to end."""

    def __init__(self) -> None:
        self.stop = False
        self.supervisor = os.getppid()
        for end_signal in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(end_signal, self._on_signal)

    def _on_signal(self, signal_number: int, frame: object) -> None:
        self.stop = True

    def __bool__(self) -> bool:
        return self.stop or os.getppid() != self.supervisor


def train(store: Store, id: str, plan: CalibrationPlan, end_request: EndRequest) -> bool:
    """Train the plan into the store; False when it was told to end before it was done."""
    from .keeper import Keeper  # loads torch: before, this process has to hear signals

    conditions = environment(plan.device, plan)
    failed = faults.known(store, id)
    keeper = Keeper(id, plan, conditions, moved=bool(faults.moved(failed)))
    snapshot = None
    if failed or any(kind == RESUMED for _, kind, _ in store.events(id)):
        snapshot = keeper.go_on(store)
        conditions |= faults.noted(failed, conditions["executor"], anew=snapshot is None)
    if keeper.groups:
        conditions["groups"] = keeper.groups
    store.set_environment(id, conditions)
    count = len(conditions["device"].split(","))
    store.heartbeat(id, device=(f"{count} x " * (count > 1) + conditions["device_name"])[:100])
    print(f"training on {conditions['device_name']} ({conditions['device']}), torch {conditions['packages'].get('torch')}, "
          f"executor {conditions['executor']}")
    warm_start = None
    if plan.reuse and snapshot is None:
        store.reuse(id)
        if warm_start := kept_warm_start(store, plan, keeper):
            snapshot = warm_start.snapshot
    taken = store.reused(id)  # also by a first try whose answer was lost
    keeper.taken = set(taken)
    for (arm, seed), source in taken.items():
        print(f"{arm}, seed {seed}: taken from calibration {source}, not trained again")
    sink = Sink(store, id, end_request.__bool__, Rescue(store, id, conditions))
    for measured in warm_start.measured if warm_start else ():
        keeper.note(measured)
        sink.take(measured)
    events = calibrate(plan, taken, snapshot)
    may_stop = not plan.go_on and not keeper.branched  # once, at the branch point of the first seeds
    told_at = math.inf
    try:
        for event in _guarded(events, plan):
            keeper.note(event)
            if isinstance(event, StepsMade):
                keeper.groups.append(asdict(event))
                conditions["groups"] = keeper.groups
                sink.note(conditions)
            else:
                sink.take(event)
            if isinstance(event, Resumable) and event.branches:
                keeper.keep_warm_start(event)
            if isinstance(event, Resumable) and (end_request or keeper.due.now(event.measured)):
                sink.flush()
                if not sink.waiting:
                    keeper.keep(event, sink.store.url)
            if end_request:
                told_at = min(told_at, time.monotonic())
                if isinstance(event, Resumable) or time.monotonic() - told_at > LAST_PIECE:
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


def _guarded(events: Iterator[Event], plan: CalibrationPlan) -> Iterator[Event]:
    """The same events; an error of the user's own code, wherever torch called it, is told as theirs."""
    with beside_users_code(plan.own.path if plan.own else None):
        yield from events


def kept_warm_start(store: Store, plan: CalibrationPlan, keeper: Keeper) -> WarmStart | None:
    """The warm start that another calibration has trained, noted as taken from there; None where none is kept or needed."""
    run = (WARM_START, plan.seeds[0])
    if plan.start != "warm" or run in store.reused(keeper.id) or (warm_start := keeper.warm_start()) is None:
        return None
    if warm_start.calibration != keeper.id:  # as it is where this one begins anew
        store.add_event(keeper.id, REUSED, {"runs": [{"arm": run[0], "seed": run[1], "from": warm_start.calibration}]})
    return warm_start


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


def explained(error: Exception | SystemExit) -> tuple[int, str]:
    """The exit code for the supervisor, and why the training failed in one line."""
    text = " ".join(str(getattr(error, "orig", error)).split())[:500]  # without the SQL of a database's error
    if is_out_of_memory(error):
        return exit_codes.OUT_OF_MEMORY, text or "MemoryError"
    if disk_reserve.is_full(error):
        return exit_codes.DISK_FULL, text
    if is_gpu_fault(error):
        said = str(error).strip().splitlines()[0][:300]
        return exit_codes.GPU_FAULT, f"{said}: {OF_AN_INDEX}" if DEVICE_ASSERT in said else said
    is_sentence = isinstance(error, FieldError | RuntimeError) and text
    return exit_codes.FAILED, text if is_sentence else f"{type(error).__name__}: {text}"


def be_first_to_go() -> None:
    """Where memory runs out, the kernel ends this process, and what a user's task has started, before the server."""
    with suppress(OSError):  # not Linux
        Path("/proc/self/oom_score_adj").write_text("500")


def main(arguments: list[str]) -> int:
    """Returns one of ``exit_codes``; after FAILED the last line of the output says why."""
    end_request = EndRequest()
    be_first_to_go()
    go_on_where_the_disk_is_full()
    patience = Patience()
    try:
        id, devices = arguments
        Pulse(pulse_file(id, "child"), patience)
        opened = patience.insist(lambda: Store.open(tries=1), end_request.__bool__)
        store = patient(opened, patience, end_request.__bool__)
        # From RUNNING, too: the answer to the first try may have been lost.
        if not store.transition(id, "RUNNING", among=["STARTING", "RUNNING"]):
            if store.cancel_requested(id):
                return exit_codes.TOLD_TO_END
            raise RuntimeError(f"calibration {id} is {store.get(id).state} and cannot be started again")
        # On what the supervisor has locked for it, whatever torch would take by itself.
        if not train(store, id, replace(store.get(id).plan, device=devices), end_request):
            return exit_codes.TOLD_TO_END
        judge(current(store, id), id)
        return exit_codes.DONE
    except GivenUp:
        return exit_codes.TOLD_TO_END
    except (Exception, SystemExit) as error:  # the log gets the traceback, the last line says it in one
        code, text = explained(error)
        try:
            print(error.log.rstrip() if isinstance(error, OwnTaskError) else traceback.format_exc())
            print(f"FAILED: {text}")
        except OSError:  # the log is on the full disk, too
            return exit_codes.DISK_FULL
        return code


if __name__ == "__main__":
    leave(main(sys.argv[1:]))
