"""Uploaded logs: written to a folder that is gone once they are read, since the readers take files. No Streamlit."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Protocol

from .. import logs
from ..logs import Curve, Logs, Run
from ..rules import FieldError

MEGABYTE = 2**20
LARGEST_FILE, LARGEST_UPLOAD = 200, 500  # megabytes: of one file, of all that are read at a time
COUNTED = ("step", "samples", "tokens")  # what a comparison may be over; nothing else is kept
TOGETHER = "together"
LONGEST_PART = 200  # characters of a folder or file


class Upload(Protocol):
    """A file as a browser sends it; name: with the folders above it, where a folder was sent."""

    @property
    def name(self) -> str: ...

    @property
    def size(self) -> int: ...

    def getbuffer(self) -> memoryview: ...


@dataclass(frozen=True)
class Uploaded:
    """What was read of uploads, and the names of their files."""

    logs: Logs
    files: tuple[str, ...]


def read(uploads: Sequence[Upload], reader: str | None = None, names: Mapping[str, str] | None = None) -> Uploaded:
    """The runs in uploaded files; reader, names: as ``logs.read`` takes them. Raises FieldError."""
    if not uploads:
        raise FieldError("logs", "", "names no file: choose the logs of your base and of your scaled runs, and press Read")
    if sum(upload.size for upload in uploads) > LARGEST_UPLOAD * MEGABYTE:
        raise FieldError(
            "logs",
            f"{len(uploads)} files",
            f"are larger than {LARGEST_UPLOAD} MB together: read a part of them "
            "first and add the others, or use sqrtscale judge on the command line",
        )
    with tempfile.TemporaryDirectory(prefix="sqrtscale-") as folder:
        found = logs.read(_written(uploads, Path(folder)), reader=reader, names=names)
    return Uploaded(replace(found, runs=tuple(map(_counted, found.runs))), tuple(upload.name for upload in uploads))


def added(before: Uploaded, more: Uploaded) -> Uploaded:
    """Both together. What was read before is no second run; another run of the same name gets a number."""
    runs = list(before.logs.runs)
    known = {_content(run) for run in runs}
    for run in more.logs.runs:
        if _content(run) in known:
            continue
        names = {other.name for other in runs}
        name = next(name for name in (run.name, *(f"{run.name} ({i})" for i in range(2, len(names) + 3))) if name not in names)
        runs.append(replace(run, name=name))
    notes = tuple(dict.fromkeys((*before.logs.notes, *more.logs.notes)))
    return Uploaded(Logs(tuple(runs), notes), tuple(dict.fromkeys((*before.files, *more.files))))


def _content(run: Run) -> tuple[str, tuple[str, ...]]:
    return run.name, tuple(origin.sha256 for origin in run.origins)


def _written(uploads: Sequence[Upload], folder: Path) -> list[Path]:
    """What the readers are given: the files, or the folder that was sent, in which other files may lie.

    Files of one run lie together. A file that is called alike in every run lies alone, as its run takes the folder's name.
    """
    given: dict[Path, None] = {}
    times = Counter(upload.name for upload in uploads)
    for place, upload in enumerate(uploads, 1):
        *folders, name = _parts(upload.name)
        path = folder.joinpath(*folders, name) if folders else folder / TOGETHER / name
        if not folders and (times[upload.name] > 1 or logs.place_of(path) == path.parent.resolve()):
            path = folder / f"upload-{place}" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(upload.getbuffer())
        given[folder / folders[0] if folders else path] = None
    return list(given)


def _parts(name: str) -> list[str]:
    """Folders and file of a name; raises FieldError for one that leads out of its folder."""
    parts = PurePosixPath(name.replace("\\", "/")).parts
    if not parts or any(part in ("/", "..") or "\0" in part or len(part.encode()) > LONGEST_PART for part in parts):
        raise FieldError("logs", name, "is no name of a file that can be kept: rename it")
    return list(parts)


def _counted(run: Run) -> Run:
    """The run without what no comparison is over: clock, epochs."""
    return replace(run, curves={name: _slim(curve) for name, curve in run.curves.items()})


def _slim(curve: Curve) -> Curve:
    axes = tuple(axis for axis in curve.axes if axis in COUNTED)
    return replace(curve, axes=axes, points=curve.points[[*axes, "value"]]) if axes else curve


def column_names(text: str) -> dict[str, str]:
    """What is typed as ``step=iteration, samples=seen``: our word -> the column that it is. Raises FieldError."""
    pairs = [part.partition("=") for part in text.replace(";", ",").replace("\n", ",").split(",") if part.strip()]
    if not all(theirs.strip() for _, _, theirs in pairs):
        raise FieldError("columns", text, "names no column: give for example step=iteration")
    return {ours.strip(): theirs.strip() for ours, _, theirs in pairs}
