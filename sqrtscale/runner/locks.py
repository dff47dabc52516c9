"""Locks that the kernel frees when their last holder is gone, however it went."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from ..home import calibration_folder, home


def alive_lock(id: str) -> Path:
    """Held by the supervisor of a calibration and by its child."""
    return calibration_folder(id) / "alive.lock"


def device_lock(device: str) -> Path:
    """Held by whoever trains on a device."""
    return home() / "locks" / f"{device.replace(':', '-')}.lock"


def take(path: Path) -> int | None:
    """The lock's descriptor (to be passed on to a child), or None when somebody holds it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def held(path: Path) -> bool:
    """True while somebody holds the lock."""
    if not path.exists():
        return False
    descriptor = take(path)
    if descriptor is None:
        return True
    os.close(descriptor)
    return False
