"""A SQLite database as one file beside it, and back: each copy is whole and checked, or not there at all."""

from __future__ import annotations

import fcntl
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

from ..home import owner_only, private_folder
from .connect import StoreError, open_for_reading

PARTIAL = ".partial"
PATIENCE_S = 10.0  # with a process that writes to the database which is to be replaced
BESIDE = ("", "-wal", "-shm")  # the files of a database


def copy(source: Path, target: Path) -> None:
    """Copy a database, also one in use, to a file that does not exist yet; raises StoreError, OSError and sqlite3.Error.

    SQLite's online backup takes one state of it, with what stands in its log. The copy is checked before it has its name.
    """
    if target.exists():
        raise FileExistsError(f"{target} exists already: give a new file")
    partial = target.with_name(f".{target.name}.{os.getpid()}{PARTIAL}")
    try:
        os.close(os.open(partial, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        with closing(open_for_reading(source)) as reading, closing(sqlite3.connect(partial)) as writing:
            reading.backup(writing)
            writing.execute("PRAGMA journal_mode=DELETE")  # one file, that also a read-only medium can hold
        if problem := damage(partial):
            raise StoreError(f"the copy of {source} {problem}: check it with sqrtscale store check")
        _to_disk(partial)
        partial.rename(target)
        _to_disk(target.parent)
    finally:
        for ending in (*BESIDE, "-journal"):
            Path(f"{partial}{ending}").unlink(missing_ok=True)


def over(source: Path, target: Path) -> None:
    """Replace the content of a database, also one that other processes have open, in one transaction of SQLite's own.

    Its log is part of that transaction. Raises StoreError where another process writes all the time.
    """
    deadline = time.monotonic() + PATIENCE_S

    def progress(status: int, remaining: int, total: int) -> None:
        if time.monotonic() > deadline:
            raise StoreError(f"another process keeps writing to the database {target}: close what uses it and try again")

    with closing(open_for_reading(source)) as reading, closing(sqlite3.connect(target)) as writing:
        reading.backup(writing, progress=progress)
        writing.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def aside(path: Path) -> Path:
    """Take a database that cannot be read out of the way, with its log; returns its new name."""
    new = path.with_name(f"{path.name}.damaged-{stamp()}")
    for ending in BESIDE:
        if (old := Path(f"{path}{ending}")).exists():
            old.rename(f"{new}{ending}")
    return new


def damage(path: Path) -> str:
    """What is wrong with the file of a database, as the end of a sentence; "" where SQLite finds nothing."""
    try:
        with closing(open_for_reading(path)) as reading:
            said = [row[0] for row in reading.execute("PRAGMA integrity_check(5)")]
            lost = reading.execute("PRAGMA foreign_key_check").fetchone()
    except sqlite3.Error as error:
        return f"cannot be read: {error}"
    if said != ["ok"]:
        return f"is damaged: {'; '.join(said)}"
    return f"is damaged: a row of table {lost[0]} refers to a missing row of {lost[2]}" if lost else ""


def revision(path: Path) -> str | None:
    """The schema's revision; None where that file is no database of ours."""
    with closing(open_for_reading(path)) as reading:
        if not reading.execute("SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'").fetchone():
            return None
        row = reading.execute("SELECT version_num FROM alembic_version").fetchone()
        return str(row[0]) if row else None


def beside(path: Path, why: str) -> Path:
    """A new name in the folder of backups beside a database; what a killed process left half made there is taken away."""
    folder = private_folder(path.parent / "backups")
    folder.mkdir(mode=0o700, exist_ok=True)  # beside a database outside the home
    for partial in folder.glob(f".*{PARTIAL}*"):
        partial.unlink()
    return folder / f"{path.stem}-{why}-{stamp()}{path.suffix}"


def stamp() -> str:
    """The time, for names of files."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%S%f}"


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Only one process at a time is in here, for this database."""
    with open(f"{path}.lock", "w", opener=owner_only) as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _to_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
