"""Locks that the kernel frees when their last holder is gone, however it went.

By flock, of Linux and macOS alike, and not by filelock: a process passes its locks on to the next one, and looks at others'.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from ..home import calibration_folder, home, private_folder
from . import process

LOOK_EVERY = 0.02  # seconds
SOON = 1.0  # seconds: others only look at a lock, for an instant


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
        descriptor = take(path, SOON)
        if descriptor is None:
            for lock in taken:
                os.close(lock)
            return None
        taken.append(descriptor)
    return taken


def held(path: Path) -> bool:
    """True while somebody holds the lock.

    The look itself shares the lock for an instant: who wants it must have some patience. It is for reading, as a network file
    system refuses the lock of a writer to who can only read.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)  # also in a home that can only be read
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return False
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)


def sign(lock: int, pid: int) -> None:
    """Write whose the lock is. Who starts a process with it does that, and so does that: either may be stopped any time."""
    os.truncate(lock, 0)
    os.pwrite(lock, f"{pid} {process.started(pid)} {process.boot_id()}".encode(), 0)


def signer(path: Path) -> int | None:
    """The process that has signed the lock, where that lives."""
    with suppress(OSError):
        pid, started, boot_id, *_ = [*path.read_text().split(" "), "", "", ""]
        if pid.isdecimal() and process.Identity(process.host(), boot_id, int(pid), started).alive:
            return int(pid)
    return None


def _open(path: Path) -> int:
    private_folder(path.parent)
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
