"""The training child's output: a file that is read by pages and kept small."""

from __future__ import annotations

from pathlib import Path

from ..home import calibration_folder

LARGEST = 2_000_000  # bytes; beyond it the older half is cut
CUT = "... earlier lines were cut to keep this log small ...\n"


def train_log(id: str) -> Path:
    """Where the training child writes."""
    return calibration_folder(id) / "train.log"


def read_log(id: str, last_bytes: int = 65_536) -> str:
    """The end of a calibration's log; empty when there is none."""
    try:
        with train_log(id).open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - last_bytes))
            text = file.read().decode("utf-8", "replace")
    except FileNotFoundError:
        return ""
    return text if size <= last_bytes else text.partition("\n")[2]


def last_lines(id: str, count: int = 20) -> str:
    """The last lines of a calibration's log."""
    return "\n".join(read_log(id, 8_192).splitlines()[-count:])


def trim(path: Path) -> None:
    """Cut the older half of a log that has grown too large; its writer appends and need not know."""
    if not path.exists() or path.stat().st_size <= LARGEST:
        return
    tail = path.read_bytes()[-LARGEST // 2 :]
    with path.open("r+b") as file:
        file.truncate(0)
    with path.open("ab") as file:
        file.write(CUT.encode() + tail.partition(b"\n")[2])
