"""Processes whose wall clock is a day ahead, or behind, beside others whose clock is right: a clock that is really moved."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest
from databases import missing
from waiting import until

from runner.conftest import plan, processes_of
from sqrtscale import runner
from sqrtscale.runner import election, locks
from sqrtscale.runner.scheduler import Scheduler

# Every question for the time of day is answered with another one; what counts seconds alone, and all sleep, is left alone.
# libfaketime does not serve: with the monotonic clock left alone Python cannot sleep, and with it threads wait for a day.
MOVED = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>
static long by(void) { const char *text = getenv("MOVED_BY"); return text ? atol(text) : 0; }
int clock_gettime(clockid_t id, struct timespec *now) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int done = real(id, now);
    if (!done && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE)) now->tv_sec += by();
    return done;
}
time_t time(time_t *place) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (place) *place = now.tv_sec;
    return now.tv_sec;
}
int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    struct timespec exact;
    clock_gettime(CLOCK_REALTIME, &exact);
    now->tv_sec = exact.tv_sec;
    now->tv_usec = exact.tv_nsec / 1000;
    return 0;
}
"""
SUBMIT = """import sys; sys.path.insert(0, 'tests')
from runner.conftest import long_plan
from sqrtscale import runner
from sqrtscale.store import Store
print(runner.submit(Store.open(), long_plan()))"""


@pytest.fixture(scope="module")
def moved(tmp_path_factory):
    """``moved(seconds)``: the environment of a process, and of all that it starts, whose clock is so far ahead."""
    compiler = shutil.which("cc")
    if compiler is None or sys.platform != "linux":
        missing("cc, a C compiler,")
    source, library = (tmp_path_factory.mktemp("moved") / name for name in ("moved.c", "moved.so"))
    source.write_text(MOVED)
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    return lambda seconds: os.environ | {"LD_PRELOAD": str(library), "MOVED_BY": str(seconds)}


@pytest.mark.fault(
    "the clock was, or is, a day ahead or a day behind",
    "nothing waits for it, and nobody is taken for dead: silence is counted by one's own looks")
@pytest.mark.parametrize("days", [1, -1])
def test_who_has_another_clock_is_not_taken_for_dead_and_blocks_nobody(store, home, moved, monkeypatch, days):
    """Scheduler, supervisor and child are moved; this process, and the scheduler and the supervisor after them, are not."""
    done = subprocess.run([sys.executable, "-c", SUBMIT], env=moved(days * 86_400), stdout=subprocess.PIPE, text=True, check=True)
    id = done.stdout.strip()
    until(lambda: store.curves_version(id) != "0", 120, "the first points")
    record = store.get(id)
    assert abs(record.heartbeat_at - datetime.now(UTC) - timedelta(days=days)) < timedelta(hours=1)
    assert runner.reconcile(store) == [] and Scheduler(store, []).look() and store.get(id).state == "RUNNING"
    monkeypatch.setenv("SQRTSCALE_TIMEOUT_S", "never")  # so that the next one ends before it trains
    second = runner.submit(store, plan())
    (scheduler,) = [pid for pid, command in processes_of(home).items() if "--schedule" in command]
    os.kill(scheduler, signal.SIGKILL)
    lock = election.scheduler_lock()
    until(lambda: election.ensure() or locks.signer(lock) not in (None, scheduler), 120, "the next scheduler")
    runner.cancel(store, id)
    until(lambda: store.get(id).final and store.get(second).final, 120, "the end of both")
    assert (store.get(id).state, store.get(id).reason) == ("CANCELLED", "cancelled by the user")
    assert store.get(second).state == "FAILED" and "SQRTSCALE_TIMEOUT_S" in store.get(second).reason
