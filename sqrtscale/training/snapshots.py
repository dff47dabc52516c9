"""Snapshots on the disk: what a Resumable gave, whole or not there, at most two of a calibration.

A file is torch's own, then MARK and the SHA-256 of all before it. It has its name only once it is on the disk.
"""

from __future__ import annotations

import hashlib
import os
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import torch

MARK = b"sqrtscale snapshot 1"
DIGEST = hashlib.sha256().digest_size
PIECE = 2**20
KEPT = 2  # and one more while it is written


class Damaged(ValueError):
    """A file that is no snapshot, or not as it was written."""


def write(path: Path, content: Mapping[str, Any]) -> None:
    """Write tensors and plain data, for the owner alone; a disk that is full leaves no part of it."""
    partial = path.with_suffix(f".{os.getpid()}.partial")
    try:
        with open(partial, "w+b", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
            _save(content, file)
            file.seek(0)
            file.write(MARK + hashlib.file_digest(file, "sha256").digest())
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _save(content: Mapping[str, Any], file: BinaryIO) -> None:
    try:
        torch.save(dict(content), file)
    except RuntimeError as error:  # torch's writer closes its file after the disk has refused a piece, and tells only that
        if isinstance(error.__context__, OSError):
            raise error.__context__ from error
        raise


def read(path: Path) -> dict[str, Any]:
    """What was written, tensors on the CPU; raises Damaged."""
    with path.open("rb") as file:
        left, found = os.fstat(file.fileno()).st_size - len(MARK) - DIGEST, hashlib.sha256()
        while left > 0 and (piece := file.read(min(PIECE, left))):
            found.update(piece)
            left -= len(piece)
        if left or file.read() != MARK + found.digest():
            raise Damaged(f"{path.name} is cut or damaged")
    try:
        content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, pickle.UnpicklingError, EOFError) as error:
        raise Damaged(f"{path.name} cannot be read: {error}") from error
    return content


def size(content: Any) -> int:
    """Bytes of all tensors in it."""
    if isinstance(content, torch.Tensor):
        return content.nbytes
    values = content.values() if isinstance(content, Mapping) else content if isinstance(content, list) else ()
    return sum(map(size, values))


class Snapshots:
    """Those of one calibration, in a folder that is there."""

    def __init__(self, folder: Path):
        self.folder = folder

    @property
    def paths(self) -> list[Path]:
        """Oldest first."""
        return sorted(self.folder.glob("*.snapshot"))

    def add(self, content: Mapping[str, Any]) -> None:
        """Write one more, then let go of all but the last KEPT, and of what a process left half written."""
        paths = self.paths
        number = int(paths[-1].stem) + 1 if paths else 1
        write(self.folder / f"{number:09}.snapshot", content)
        for path in (*self.paths[:-KEPT], *self.folder.glob("*.partial")):
            path.unlink()

    def last(self) -> tuple[dict[str, Any] | None, list[str]]:
        """The newest that is whole, or None; and what is wrong with those that are newer, which are removed."""
        wrong: list[str] = []
        for path in reversed(self.paths):
            try:
                return read(path), wrong
            except Damaged as error:
                wrong.append(str(error))
                path.unlink()
        return None, wrong

    def forget_last(self) -> None:
        """Remove the newest."""
        for path in self.paths[-1:]:
            path.unlink()
