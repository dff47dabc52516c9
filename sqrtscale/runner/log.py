"""The training child's output: a file that is read by pages and kept small."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import TextIO, cast

from ..home import calibration_folder, owner_only

LARGEST = 2_000_000  # bytes; beyond it the older half is cut
CUT = "... earlier lines were cut to keep this log small ...\n"


def train_log(id: str) -> Path:
    """Where the training child writes."""
    return calibration_folder(id) / "train.log"


def read_log(id: str, last_bytes: int = 65_536) -> str:
    """The end of a calibration's log; empty when there is none."""
    return tail(train_log(id), last_bytes)


def tail(path: Path, last_bytes: int) -> str:
    """The end of a text file, in whole lines; empty when there is none."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - last_bytes))
            text = file.read().decode("utf-8", "replace").replace("\0", "")  # which PostgreSQL cannot store
    except FileNotFoundError:
        return ""
    return text if size <= last_bytes else text.partition("\n")[2]


def supervisor_log(id: str) -> Path:
    """Where the supervisor writes, should it have anything to say."""
    return calibration_folder(id) / "supervisor.log"


def note(id: str, line: str) -> None:
    """Add a line to a calibration's log, unless the disk is full."""
    with suppress(OSError), open(train_log(id), "a", encoding="utf-8", opener=owner_only) as file:
        file.write(line + "\n")


def last_lines(id: str, count: int = 20) -> str:
    """The last lines of a calibration's log."""
    return "\n".join(read_log(id, 8_192).splitlines()[-count:])


def trim(path: Path) -> None:
    """Cut the older half of a log that has grown too large; its writer appends and need not know."""
    if not path.exists() or path.stat().st_size <= LARGEST:
        return
    with path.open("r+b") as file:
        file.seek(-LARGEST // 2, 2)
        tail = file.read(LARGEST // 2)  # no more than that, however much has been written
        file.truncate(0)
    with path.open("ab") as file:
        file.write(CUT.encode() + tail.partition(b"\n")[2])


class _Lenient:
    """A text stream that loses what the disk has no room for, and says nothing about it."""

    def __init__(self, stream: TextIO):
        self._stream = stream

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        with suppress(OSError):
            self._stream.write(text)
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        with suppress(OSError):
            self._stream.flush()


def go_on_where_the_disk_is_full() -> None:
    """What this process prints ends it no more where the log has no room."""
    sys.stdout, sys.stderr = cast(TextIO, _Lenient(sys.stdout)), cast(TextIO, _Lenient(sys.stderr))
