"""Disks that are full: real ones, which root can mount, and one for this process alone."""

import os
import resource
import subprocess
from contextlib import contextmanager
from pathlib import Path

import pytest

LIMIT = 100_000  # bytes that a file may have


@contextmanager
def small_disk(limit=LIMIT):
    """No file grows beyond that: to torch as to us this is as a disk that is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def mount(folder: Path, megabytes: int) -> None:
    """A file system of that size there, which ``umount`` takes away."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", folder]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("a small file system takes the right to mount one")


@contextmanager
def filled(folder: Path):
    """Not a byte is left on its disk meanwhile."""
    filler = folder / "filler"
    try:
        # Without a buffer: its end would be refused once more when the file is closed.
        with filler.open("wb", buffering=0) as file, pytest.raises(OSError, match="No space left"):
            while True:
                file.write(b"\0" * 65536)
        yield
    finally:
        filler.unlink()
