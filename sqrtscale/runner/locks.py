"""Locks that the kernel frees when their last holder is gone, however it went."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from ..home import calibration_folder, home

LOOK_EVERY = 0.02  # seconds


def alive_lock(id: str) -> Path:
    """Held by the supervisor of a calibration and by its child."""
    return calibration_folder(id) / "alive.lock"


def device_lock(device: str) -> Path:
    """Held by whoever trains on a device."""
    return home() / "locks" / f"{device.replace(':', '-')}.lock"


def take(path: Path, patience: float = 0) -> int | None:
    """The lock's descriptor (to be passed on to a child), or None when somebody holds it for ``patience`` seconds."""
    descriptor = _open(path)
    deadline = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return descriptor
        except BlockingIOError:
            if time.monotonic() >= deadline:
                os.close(descriptor)
                return None
            time.sleep(LOOK_EVERY)


def take_all(paths: Sequence[Path]) -> list[int] | None:
    """All of these locks, or None and none of them when somebody holds one."""
    taken: list[int] = []
    for path in paths:
        descriptor = take(path)
        if descriptor is None:
            for lock in taken:
                os.close(lock)
            return None
        taken.append(descriptor)
    return taken


def held(path: Path) -> bool:
    """True while somebody holds the lock.

    The look itself holds the lock for an instant: who wants it must have some patience.
    """
    if not path.exists():
        return False
    descriptor = take(path)
    if descriptor is None:
        return True
    os.close(descriptor)
    return False


@contextmanager
def alone(name: str) -> Iterator[None]:
    """One process (and thread) at a time is in here, for this home."""
    descriptor = _open(home() / "locks" / f"{name}.lock")
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _open(path: Path) -> int:
    path.parent.mkdir(parents=True, exist_ok=True)
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
