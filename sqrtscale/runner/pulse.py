"""The pulse of a process: that it runs at all, and what it waits for, in a file of the home, for when the database cannot tell.

A thread of its own gives it, so that a long step or a database that does not answer is not taken for a process that hangs. It is
the file's time of change that beats, and nobody reads what time that is: a clock may jump, and a full disk still takes it.
"""

from __future__ import annotations

import os
import threading
import time
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

from ..home import calibration_folder, database_file, home, private_folder
from ..store.connect import database_url
from . import locks, process
from .patience import Patience

EVERY = 2.0  # seconds between two beats
SIZE = 600  # bytes of every such file, so that it can be written on a full disk
PROCESSES = ("supervisor", "child")
STOPPED_AFTER = 10.0  # seconds of silence of a process that somebody has stopped
HUNG_AFTER = 120.0  # of any other: the machine may be busy
LONGEST_LOOK = 5.0  # seconds between two looks that count as silence


def pulse_file(id: str, name: str) -> Path:
    """The pulse of a calibration's supervisor or child."""
    return calibration_folder(id) / f"{name}.pulse"


def scheduler_pulse() -> Path:
    """The pulse of the scheduler."""
    return scheduler_file("pulse")


def scheduler_file(ending: str) -> Path:
    """A file of the scheduler of this home and this database; others in the home have their own schedulers."""
    url = database_url()
    database = os.path.realpath(url.database or "") if url.get_backend_name() == "sqlite" else str(url.set(password=None))
    mark = "" if database == os.path.realpath(database_file()) else f"-{sha256(database.encode()).hexdigest()[:12]}"
    return home() / "locks" / f"scheduler{mark}.{ending}"


def say(path: Path, words: str) -> None:
    """Write what a process waits for, in place: on a full disk a file keeps its room, and gets no other."""
    with open(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600), "wb") as file:
        file.write(words.encode()[:SIZE].ljust(SIZE))


class Pulse:
    """Beats from now on until this process ends, or :meth:`stop`."""

    def __init__(self, path: Path, patience: Patience):
        private_folder(path.parent)
        self._path = path
        self._patience = patience
        self._said = ""
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._go_on, daemon=True, name=f"pulse of {path.stem}")
        self._thread.start()

    def stop(self) -> None:
        """Beat no more."""
        self._stopped.set()
        self._thread.join()
        self._path.unlink(missing_ok=True)

    def _go_on(self) -> None:
        while True:
            with suppress(OSError):  # no room on the disk, or the folder is gone
                words = self._patience.waiting
                if words != self._said or not self._path.exists():
                    say(self._path, words)
                    self._said = words
            with suppress(OSError):
                os.utime(self._path)
            if self._stopped.wait(EVERY):
                return


class Silence:
    """For how long others have given no sign of life, by this process's own looks at them.

    The time that it slept between two looks, with the whole machine maybe, does not count, and no two clocks are compared: one
    that was a day ahead changes nothing.
    """

    def __init__(self) -> None:
        self._heard: dict[str, tuple[object, float, float]] = {}  # what was heard, seconds of silence since, and when it looked

    def of(self, key: str, sign: object) -> float:
        """Seconds for which the sign has stayed the same."""
        now = time.monotonic()
        last, silent, looked_at = self._heard.get(key, (None, 0.0, now))
        silent = silent + min(now - looked_at, LONGEST_LOOK) if last == sign else 0.0
        self._heard[key] = sign, silent, now
        return silent

    def is_hung(self, path: Path, pid: int, patience: float = HUNG_AFTER) -> bool:
        """Whether the process that beats there does so no more; sooner where it is known to be stopped."""
        try:
            beat = path.stat().st_mtime_ns
        except OSError:  # it has not begun, and may be stopped before it does
            beat = 0
        silent = self.of(str(path), (beat, pid))
        return (silent > patience and beat > 0) or (silent > STOPPED_AFTER and process.stopped(pid))


def waiting(id: str) -> str:
    """What the processes of a calibration wait for, in a sentence; "" where they wait for nothing, or are gone."""
    files = [pulse_file(id, name) for name in PROCESSES] if locks.held(locks.alive_lock(id)) else [scheduler_pulse()]
    for file in files:
        with suppress(OSError):
            if words := file.read_bytes().decode(errors="replace").strip():
                return words
    return ""
