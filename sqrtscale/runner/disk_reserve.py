"""Disk space that is kept back, so that the end of a calibration can be written on a full one."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path

from ..home import calibration_folder, home

BYTES = 4_000_000
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def path(id: str) -> Path:
    """The file whose space is given back at the end."""
    return calibration_folder(id) / "reserve"


def keep(id: str) -> None:
    """Take the space; raises OSError where there is not as much."""
    path(id).write_bytes(b"\0" * BYTES)


def free(id: str) -> None:
    """Give the space back, if it is still kept."""
    path(id).unlink(missing_ok=True)


def is_full(error: BaseException) -> bool:
    """True when a file system or a database raised ``error`` because the disk is full."""
    if isinstance(error, OSError):
        return error.errno in FULL
    text = str(error)
    if "disk I/O error" in text:  # SQLite says no more than this where its shared memory cannot grow
        return shutil.disk_usage(home()).free < BYTES // 4
    return "disk is full" in text or "No space left" in text
