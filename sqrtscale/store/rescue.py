"""A database file that is deleted, replaced or truncated under a calibration: how it is seen, and a file that takes its place.

The rescue file is a database of its own with that calibration alone; :func:`bring_in` takes it into another database.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.engine import URL
from sqlalchemy.orm import Session

from ..training.events import Measured, RunEnded
from .connect import StoreError, connect, database_url
from .models import Calibration, Chunk, Event, Run, Tag
from .points import COLUMNS
from .records import CalibrationRecord
from .states import FINAL_STATES, RUN_ACTIVE_STATES
from .store import Store

StoredEvent = Measured | RunEnded
SMALLEST = 512  # bytes: the smallest page of SQLite's, and no database has less than one
WORDS = ("name", "note", "note_version", "created_at", "resume_after_restart")  # that an import leaves as they are
DAMAGE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


@dataclass(frozen=True)
class DatabaseFile:
    """The file of a database as it was when it was opened; of a database that has none every question is answered with ""."""

    path: Path | None
    inode: tuple[int, int] = (0, 0)

    @classmethod
    def of(cls, url: URL) -> DatabaseFile:
        """As it is now."""
        if url.get_backend_name() != "sqlite" or not url.database:
            return cls(None)
        status = Path(url.database).stat()
        return cls(Path(url.database), (status.st_dev, status.st_ino))

    def problem(self) -> str:
        """What has become of it since; "" where it is there still. It is not opened: that would free SQLite's own locks."""
        if self.path is None:
            return ""
        try:
            status = self.path.stat()
        except FileNotFoundError:
            return "was deleted"
        except OSError:  # its folder cannot be looked into now
            return ""
        if (status.st_dev, status.st_ino) != self.inode:
            return "was replaced by another file"
        return "was truncated" if status.st_size < SMALLEST else ""


def is_damage(error: BaseException | None) -> bool:
    """Whether SQLite says that the file is no whole database any more."""
    cause = getattr(error, "orig", None)
    return isinstance(cause, sqlite3.Error) and getattr(cause, "sqlite_errorcode", 0) & 0xFF in DAMAGE


def events_of(store: Store, record: CalibrationRecord) -> list[StoredEvent]:
    """What is stored of its runs already, as it was measured."""
    if all(run.state == "QUEUED" for run in record.runs):
        return []
    values: dict[tuple[str, int, int], dict[str, float]] = {}
    curves = store.curves(record.id)
    for arm, seed, metric, samples, value in zip(*(curves[name].tolist() for name in COLUMNS), strict=True):
        values.setdefault((arm, seed, samples), {})[metric] = value
    events: list[StoredEvent] = [Measured(*key, values[key]) for key in sorted(values)]
    ended = [run for run in record.runs if run.state not in RUN_ACTIVE_STATES]
    return events + [RunEnded(run.arm, run.seed, run.state, run.reason) for run in ended]


@dataclass(frozen=True)
class Noted:
    """What is stored of a calibration beside its record and its curves."""

    events: list[tuple[datetime, str, dict[str, Any]]]
    tags: tuple[str, ...]

    @classmethod
    def of(cls, store: Store, id: str) -> Noted:
        """As it is now."""
        return cls(store.events(id), store.tags_of(id))


def begin(file: Path, record: CalibrationRecord, environment: dict[str, Any], noted: Noted) -> Store:
    """A database in that file with the calibration alone, as it is at its start; the file is there when it is whole."""
    if not file.exists():
        partial = file.with_suffix(".partial")
        partial.unlink(missing_ok=True)
        store = Store.open(f"sqlite:///{partial}")
        store.create(record.plan, record.name, id=record.id, host=record.host)
        store.set_process(record.id, host=record.host, boot_id=record.boot_id, pid=record.pid, pid_started=record.pid_started)
        for state, former in (("STARTING", "QUEUED"), ("RUNNING", "STARTING")):
            store.transition(record.id, state, among=[former])
        store.set_environment(record.id, environment)
        if noted.tags:
            store.tag([record.id], *noted.tags)
        store.close()
        engine = connect(store.url)
        with Session(engine) as session, session.begin():
            words = {name: getattr(record, name) for name in WORDS}
            session.execute(update(Calibration).where(Calibration.id == record.id).values(words))
            session.add_all(Event(calibration_id=record.id, at=at, kind=kind, data=data) for at, kind, data in noted.events)
        engine.dispose()
        partial.rename(file)
    return Store.open(f"sqlite:///{file}")


def bring_in(file: Path) -> tuple[list[str], list[str]]:
    """Copy the calibrations of a database file into the database; returns the ids that came, and those that were there already.

    One that is there and has ended before it was done is replaced where the file has more of it, or its end; it keeps its name,
    note and tags. Raises StoreError.
    """
    if not file.is_file():
        raise StoreError(f"{file} is no file: give a database of sqrtscale, the rescue file that a log names for example")
    source = Store.open(f"sqlite:///{file}")
    target = Store.open()
    try:
        if Path(database_url().database or "").resolve() == file.resolve():
            raise StoreError(f"{file} is the database itself: give another file")
        return _copied(source, target)
    finally:
        source.close()
        target.close()


def _copied(source: Store, target: Store) -> tuple[list[str], list[str]]:
    came: list[str] = []
    there: list[str] = []
    reading, writing = connect(source.url), connect(target.url)
    with Session(reading.execution_options(write=False)) as old, Session(writing) as new, new.begin():
        for row in _rows(old, Calibration):
            known = new.execute(select(Calibration.__table__).where(Calibration.id == row["id"])).mappings().first()
            if known and (known["state"] not in FINAL_STATES or known["state"] == "DONE" or (
                    row["state"] != "DONE" and _points(new, row["id"]) >= _points(old, row["id"]))):
                there.append(row["id"])
                continue
            words = {name: known[name] for name in WORDS} if known else {}
            tags = list(_rows(new if known else old, Tag, Tag.calibration_id == row["id"]))
            new.execute(delete(Calibration).where(Calibration.id == row["id"]))
            new.execute(insert(Calibration).values(_without(row, "number") | words))
            for run in _rows(old, Run, Run.calibration_id == row["id"]):
                statement = insert(Run).values(_without(run, "id")).returning(Run.id)
                run_id = new.scalars(statement).one()
                for chunk in _rows(old, Chunk, Chunk.run_id == run["id"]):
                    new.execute(insert(Chunk).values(chunk | {"run_id": run_id}))
            for event in _rows(old, Event, Event.calibration_id == row["id"]):
                new.execute(insert(Event).values(_without(event, "id")))
            for tag in tags:
                new.execute(insert(Tag).values(tag))
            came.append(row["id"])
    reading.dispose()
    writing.dispose()
    return came, there


def _points(session: Session, id: str) -> int:
    """How many there are: the column of that name counts what was written, also what has been forgotten since."""
    stored = select(func.sum(Chunk.count)).join(Run, Chunk.run_id == Run.id).where(Run.calibration_id == id)
    return session.scalar(stored) or 0


def _rows(session: Session, table: Any, *where: Any) -> Iterable[dict[str, Any]]:
    return [dict(row) for row in session.execute(select(table.__table__).where(*where)).mappings()]


def _without(row: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key != name}
