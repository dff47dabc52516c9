"""Short and long plans, and a home that no process outlives."""

import os
import signal
from pathlib import Path

import pytest

from sqrtscale.plan import make_plan
from sqrtscale.rules import TrainingConfig
from sqrtscale.store import Store

BASE = TrainingConfig("adam", 8, {"lr": 1e-3})


def plan(samples=640, base=BASE, start="scratch", **more):
    """One seed of base and scaled on the digits; about a second of training."""
    return make_plan("digits", base, 64, seeds=1, samples=samples, start=start, arms=["base", "scaled"], device="cpu", **more)


def long_plan():
    """Longer than any test waits."""
    return plan(samples=64_000_000)


def processes_of(home: Path) -> dict[int, str]:
    """pid -> command line of every process that works on this home."""
    mark = f"SQRTSCALE_HOME={home}".encode()
    found = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (entry / "environ").read_bytes().split(b"\0") and int(entry.name) != os.getpid():
                found[int(entry.name)] = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:  # it ended meanwhile
            continue
    return found


def pid_of(home: Path, module: str, id: str) -> int | None:
    """The process that runs ``python -m module id``, if there is one."""
    return next((pid for pid, command in processes_of(home).items() if f"-m {module} {id}" in command), None)


@pytest.fixture
def store(home):
    opened = Store.open()
    yield opened
    opened.close()
    for pid in processes_of(home):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
