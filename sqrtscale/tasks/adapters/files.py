"""Files as data: which there are, whether they have changed, and which of them validate."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...rules import FieldError

if TYPE_CHECKING:
    import numpy as np

SHARE = 10  # every so manieth sample validates
SPLITS = ("train", "validation")


def files_below(folder: Path, suffixes: Sequence[str] = ()) -> list[Path]:
    """Every file of a folder at any depth, by name: those with one of these suffixes, hidden files and folders left out."""
    files = []
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        files += [Path(parent, name) for name in names if not name.startswith(".")]
    return sorted(file for file in files if file.is_file() and (not suffixes or file.suffix.lower() in suffixes))


def fingerprint(root: Path, files: Sequence[Path]) -> str:
    """Of a single file its contents, of several their names and sizes: what it means that data are the same."""
    if len(files) == 1:
        with files[0].open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()[:16]
    listing = "\n".join(f"{file.relative_to(root)}\0{file.stat().st_size}" for file in files)
    return hashlib.sha256(listing.encode("utf-8", "surrogateescape")).hexdigest()[:16]


def check_unchanged(place: Path, before: str | None, now: str) -> None:
    """Raises FieldError for data that are not those of which the task was made; before: None where that does not matter."""
    if before not in (None, now):
        raise FieldError("data", str(place), "has changed since the task was made of it: add it again with sqrtscale tasks add, "
                                             "or remove contents=... from the task's file")


def check_split(split: object) -> None:
    """Raises FieldError for what is no split."""
    if split not in SPLITS:
        raise FieldError("split", split, f"is not known: give one of {', '.join(SPLITS)}")


def name_hash(name: str) -> int:
    """A number in [0, 2^64) that the name alone decides, on every machine."""
    return int.from_bytes(hashlib.sha256(name.encode("utf-8", "surrogateescape")).digest()[:8], "big")


def validating(hashes: Sequence[int] | np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Which samples validate [n]: the tenth with the smallest hashes, at least one. Equal samples stay on one side."""
    import numpy as np

    values = np.asarray(hashes, dtype=np.uint64)
    last = max(1, len(values) // SHARE) - 1
    mask: np.ndarray[Any, Any] = values <= np.partition(values, last)[last]
    return mask
