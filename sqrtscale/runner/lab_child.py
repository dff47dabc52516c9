"""``python -m sqrtscale.runner.lab_child ID``: computes one experiment of the lab that is in the store.

One after another on a host, in the order of submission. A process that is killed leaves RUNNING behind, which whoever looks next
makes INTERRUPTED.
"""

from __future__ import annotations

import os
import sys
import time
import traceback
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from concurrent.futures.process import BrokenProcessPool
from datetime import UTC, datetime
from functools import partial

from .. import __version__
from ..lab import WeakError, experiment, measure
from ..lab.pools import processes
from ..lab.stored import Stored, as_text
from ..lab.wording import slope_sentence
from ..rules import FieldError
from ..store import Store, StoreError
from ..store.lab import LabRecord, LabRuns, NoLabRun
from . import lab, process
from .patience import Patience, patient

LOOK_EVERY = 1.0  # seconds between two looks at the store


def compute(store: Store, id: str) -> int:
    """From QUEUED to a final state; exit code 1 where it was not this process's to compute."""
    patience = Patience()
    once = LabRuns(store)
    runs = patient(once, patience)
    record = runs.get(id)
    runs.set_process(id, **vars(process.me()))  # who has submitted it may not have come to that
    if not _turn(store, patience, record) or not (runs.begin(id) or _has_begun(runs, id)):
        return 1
    done, total = 0, 0

    def progress(chains: int, of: int) -> None:
        nonlocal done, total
        done, total = chains, of

    def work() -> WeakError:
        return measure(experiment(**record.given), on_progress=progress, pool=processes)

    pool = ThreadPoolExecutor(1)
    outcome = pool.submit(work)
    while not wait_for([outcome], LOOK_EVERY).done:
        if not patience.attempt(lambda: once.beat(id, done, total), True):
            runs.end(id, "CANCELLED", "cancelled by the user")
            os._exit(0)  # what computes looks at nothing until its groups are done; processes end with this one
    _end(runs, id, outcome)
    return 0


def _has_begun(runs: LabRuns, id: str) -> bool:
    """Whether this process has begun it: the answer to its first try may have been lost."""
    record = runs.get(id)
    identity = process.Identity(record.host, record.boot_id, record.pid or 0, record.pid_started)
    return record.state == "RUNNING" and identity == process.me()


def _turn(store: Store, patience: Patience, own: LabRecord) -> bool:
    """Wait until no older one of this host is left; False where it was cancelled or removed meanwhile."""
    runs = patient(LabRuns(store), patience)
    while True:
        ahead = [record for record in runs.active() if record.number < own.number and record.host in ("", process.host())]
        if not ahead:
            return True
        patience.insist(partial(lab.correct, store, ahead))  # one that has died must not block the others
        if not runs.beat(own.id):
            return False
        time.sleep(LOOK_EVERY)


def _end(runs: LabRuns, id: str, computed: Future[WeakError]) -> None:
    try:
        outcome = computed.result()
    except FieldError as error:
        reason = str(error)
    except (MemoryError, BrokenProcessPool):  # where memory lacks, the system ends processes by force
        reason = "out of memory: give fewer chains"
    except Exception as error:
        traceback.print_exc()
        reason = f"{type(error).__name__}: {error}"
    else:
        text = as_text(Stored(outcome, __version__, f"{datetime.now(UTC):%Y-%m-%d}"), pictures=True)
        answer = slope_sentence(outcome, outcome.test_functions[0])
        runs.end(id, "DONE", answer=answer, result=text)
        return
    runs.end(id, "FAILED", reason)


def main(arguments: list[str]) -> int:
    """Exit code 0: it ended; 1: it was not to be computed any more; 2: bad input."""
    if len(arguments) != 1:
        print("usage: python -m sqrtscale.runner.lab_child ID", file=sys.stderr)
        return 2
    try:
        return compute(Patience().insist(lambda: Store.open(tries=1)), arguments[0])
    except (NoLabRun, StoreError) as error:
        print(error, file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
