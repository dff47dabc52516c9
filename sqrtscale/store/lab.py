"""Experiments of the lab that somebody ran: their settings, their state and what came out, apart from the calibrations."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, CursorResult, Update, delete, func, select, update
from sqlalchemy.orm import Session, defer

from ..rules import FieldError
from .models import LabRun
from .store import Store
from .text import clean

ACTIVE = ("QUEUED", "RUNNING")
FINAL = ("DONE", "FAILED", "CANCELLED", "INTERRUPTED")  # INTERRUPTED: its process went away before it was done
LONGEST_REASON = 2000


class NoLabRun(LookupError):
    """There is no experiment with that id."""

    def __init__(self, id: str):
        super().__init__(f"there is no lab run {id}: sqrtscale lab list shows them")


@dataclass(frozen=True)
class LabRecord:
    """One experiment without its result. done, total: chains; host to pid_started: the process that computes it."""

    number: int
    id: str
    state: str
    reason: str
    settings: str
    answer: str
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    deleted_at: datetime | None
    cancel_requested_at: datetime | None
    heartbeat_at: datetime | None
    done: int
    total: int
    host: str
    boot_id: str
    pid: int | None
    pid_started: str

    @property
    def final(self) -> bool:
        """Whether it has ended."""
        return self.state not in ACTIVE

    @property
    def progress(self) -> float:
        """From 0 to 1."""
        return 1.0 if self.state == "DONE" else self.done / self.total if self.total else 0.0

    @property
    def given(self) -> dict[str, Any]:
        """The settings by name; raises FieldError where they are damaged."""
        try:
            settings = json.loads(self.settings)
        except ValueError:
            settings = None
        if not isinstance(settings, dict):
            raise FieldError("lab run", self.id, "has settings that cannot be read: delete it, or restore a backup")
        return settings


class LabRuns:
    """The experiments in a store."""

    def __init__(self, store: Store):
        self._store = store

    def create(self, settings: Mapping[str, Any]) -> str:
        """Store an experiment as QUEUED; returns its id."""
        id = uuid.uuid4().hex[:12]
        text = json.dumps(dict(settings), allow_nan=False)
        self._store._written(lambda session: session.add(
            LabRun(id=id, state="QUEUED", settings=text, created_at=self._store._now(session))))
        return id

    def set_process(self, id: str, *, host: str, boot_id: str, pid: int | None, pid_started: str) -> None:
        """Store who computes it."""
        self._changed(update(LabRun).where(LabRun.id == id).values(
            host=host, boot_id=boot_id, pid=pid, pid_started=pid_started))

    def begin(self, id: str) -> bool:
        """QUEUED becomes RUNNING; False when it was not QUEUED any more."""
        now = self._store.now()
        return self._changed(update(LabRun).where(LabRun.id == id, LabRun.state == "QUEUED").values(
            state="RUNNING", started_at=now, heartbeat_at=now))

    def beat(self, id: str, done: int = 0, total: int = 0) -> bool:
        """Say that it lives and how far it is; False when it shall end: somebody asked for that, or it is gone."""
        return self._changed(update(LabRun).where(
            LabRun.id == id, LabRun.state.in_(ACTIVE), LabRun.cancel_requested_at.is_(None)).values(
                heartbeat_at=self._store.now(), done=done, total=total))

    def request_cancel(self, id: str) -> None:
        """Ask for an end: what waits is CANCELLED at once, what runs ends within seconds. Raises NoLabRun."""
        self.get(id)
        if not self.end(id, "CANCELLED", "cancelled before it started", among=("QUEUED",)):
            self._changed(update(LabRun).where(LabRun.id == id, LabRun.state == "RUNNING").values(
                cancel_requested_at=self._store.now()))

    def end(self, id: str, state: str, reason: str = "", among: tuple[str, ...] = ACTIVE, **columns: str) -> bool:
        """Move to a final state; False when it has ended before. columns: answer and result of what is DONE."""
        assert state in FINAL
        return self._changed(update(LabRun).where(LabRun.id == id, LabRun.state.in_(among)).values(
            state=state, reason=clean(reason, LONGEST_REASON), ended_at=self._store.now(), **columns))

    def delete(self, id: str) -> None:
        """Put it away; nothing is lost until :meth:`purge`. Raises FieldError while it runs, and NoLabRun."""
        if not self._changed(update(LabRun).where(LabRun.id == id, LabRun.state.not_in(ACTIVE)).values(
                deleted_at=self._store.now())):
            raise FieldError("lab run", self.get(id).id, "has not ended: cancel it first")

    def restore(self, id: str) -> None:
        """Take a deleted one back; raises NoLabRun."""
        if not self._changed(update(LabRun).where(LabRun.id == id).values(deleted_at=None)):
            raise NoLabRun(id)

    def purge(self, before: datetime | None = None) -> list[str]:
        """Really remove those that were deleted (before that time); returns their ids."""
        gone = delete(LabRun).where(_deleted(True))
        if before is not None:
            gone = gone.where(LabRun.deleted_at < before)
        return self._store._written(lambda session: list(session.scalars(gone.returning(LabRun.id))))

    def get(self, id: str) -> LabRecord:
        """One experiment; raises NoLabRun."""
        if not (id.isascii() and id.isalnum()):  # no database need see what no id can be
            raise NoLabRun(id)
        with self._store._read.begin() as session:
            row = session.scalar(select(LabRun).where(LabRun.id == id).options(defer(LabRun.result)))
            if row is None:
                raise NoLabRun(id)
            return _record(row)

    def result(self, id: str) -> str:
        """What came out, as the lab's files hold it; "" before the end. Raises NoLabRun."""
        with self._store._read.begin() as session:
            text = session.scalar(select(LabRun.result).where(LabRun.id == id))
        if text is None:
            raise NoLabRun(id)
        return text

    def newest(self, most: int | None = None, deleted: bool = False) -> list[LabRecord]:
        """So many at most, the newest first."""
        with self._store._read.begin() as session:
            rows = session.scalars(select(LabRun).options(defer(LabRun.result)).where(_deleted(deleted))
                                   .order_by(LabRun.number.desc()).limit(most))
            return [_record(row) for row in rows]

    def count(self, deleted: bool = False) -> int:
        """How many there are."""
        with self._store._read.begin() as session:
            return session.scalar(select(func.count()).select_from(LabRun).where(_deleted(deleted))) or 0

    def active(self) -> list[LabRecord]:
        """Those that have not ended, the oldest first: this order is the queue's."""
        with self._store._read.begin() as session:
            rows = session.scalars(select(LabRun).options(defer(LabRun.result)).where(LabRun.state.in_(ACTIVE))
                                   .order_by(LabRun.number))
            return [_record(row) for row in rows]

    def _changed(self, statement: Update) -> bool:
        def work(session: Session) -> bool:
            result = session.execute(statement)
            assert isinstance(result, CursorResult)
            return bool(result.rowcount)

        return self._store._written(work)


def _deleted(deleted: bool) -> ColumnElement[bool]:
    return LabRun.deleted_at.is_not(None) if deleted else LabRun.deleted_at.is_(None)


def _record(row: LabRun) -> LabRecord:
    return LabRecord(**{name: getattr(row, name) for name in LabRecord.__dataclass_fields__})
