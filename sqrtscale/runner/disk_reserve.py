"""Disk space that is kept back, so that the end of a calibration can be written on a full one."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path

from ..home import calibration_folder, home, owner_only

BYTES = 4_000_000
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def path(id: str) -> Path:
    """The file whose space is given back at the end."""
    return calibration_folder(id) / "reserve"


def keep(id: str) -> bool:
    """Take the space; True, and raises OSError where there is not as much, of which none is taken then."""
    try:
        with open(path(id), "wb", opener=owner_only) as file:
            file.write(b"\0" * BYTES)
    except OSError:
        free(id)
        raise
    return True


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
