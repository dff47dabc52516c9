"""Where the snapshots of a calibration are, when the next one is due, and what must not change to go on from one. No torch."""

from __future__ import annotations

import math
import os
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..home import calibration_folder

EVERY = 60.0  # seconds of training that may be lost
SHARE = 0.01  # of the training time that snapshots at evaluation points may take
EXPECTED = 0.1  # seconds, of the first one
PACKAGES = ("torch", "numpy", "scipy", "numba", "scikit-learn")
DEVICES = "number of devices"
OF_A_DEVICE = ("executor", "device", "CPU threads")


def folder(id: str) -> Path:
    """Of the snapshots of a calibration."""
    return calibration_folder(id) / "snapshots"


def there(id: str) -> bool:
    """Whether there is one, whole or not."""
    return any(folder(id).glob("*.snapshot"))


def remove(id: str) -> None:
    """Remove them all."""
    shutil.rmtree(folder(id), ignore_errors=True)


def conditions(environment: Mapping[str, Any], task_version: int | str) -> dict[str, Any]:
    """What makes the same steps from a snapshot, by what people call it."""
    packages = environment.get("packages", {})
    return {"engine": environment.get("engine"), "Python": environment.get("python"), "executor": environment.get("executor"),
            "device": environment.get("device_name"), DEVICES: len(str(environment.get("device")).split(",")),
            "CPU threads": environment.get("threads"), "task version": task_version} | {
            name: packages.get(name) for name in PACKAGES}


def changed(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """What is no longer as it was, in words; empty where all is."""
    return ", ".join(f"{name} was {value} and is {now.get(name)}" for name, value in before.items() if now.get(name) != value)


class Due:
    """When to take the next snapshot: EVERY so many seconds, and at an evaluation point where the last one was cheap.

    SQRTSCALE_SNAPSHOT_S sets other seconds; 0 takes one wherever that can be done.
    """

    def __init__(self) -> None:
        self.every, self.cost, self.taken_at = every(), EXPECTED, time.monotonic()

    def now(self, measured: bool) -> bool:
        """Whether it is time; measured: at an evaluation point."""
        since = time.monotonic() - self.taken_at
        return since >= self.every or (measured and since * SHARE >= self.cost)

    def took(self, seconds: float) -> None:
        """One was taken just now."""
        self.cost, self.taken_at = seconds, time.monotonic()


def every() -> float:
    """Seconds between two snapshots at most; raises RuntimeError."""
    text = os.environ.get("SQRTSCALE_SNAPSHOT_S", "").strip()
    try:
        seconds = float(text or EVERY)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < math.inf:
        raise RuntimeError(f"SQRTSCALE_SNAPSHOT_S = {text!r} is not a time: give a number of seconds, for example {EVERY:g}")
    return seconds
