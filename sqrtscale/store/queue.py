"""What has not ended: how it gets there, whole records, or only what shows whose process it is."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from ..plan import CalibrationPlan
from ..rules import FieldError
from .models import Calibration, Run
from .records import CalibrationRecord, Unreadable, record_of
from .states import ACTIVE_STATES


@dataclass(frozen=True)
class Underway:
    """A calibration that has not ended, without its plan and runs: state, signs of life, and the identity of its supervisor."""

    id: str
    state: str
    created_at: datetime
    heartbeat_at: datetime | None
    host: str
    boot_id: str
    pid: int | None
    pid_started: str


@dataclass(frozen=True)
class Interrupted(Underway):
    """A calibration that was interrupted, in the same few words; ended_at: since when it is."""

    ended_at: datetime | None


Row = TypeVar("Row", bound=Underway)


def new_id() -> str:
    """An id that no other calibration has."""
    return uuid.uuid4().hex[:12]


def add(session: Session, plan: CalibrationPlan, **columns: Any) -> None:
    """A new calibration with all its runs, QUEUED. columns: what its plan does not say, among them id and created_at."""
    session.add(Calibration(
        state="QUEUED", plan=plan.as_dict(), task=plan.task, optimizer=plan.base.optimizer, base_batch=plan.base.batch_size,
        target_batch=plan.target_batch, seeds=len(plan.seeds), start=plan.start, lr=plan.base["lr"],
        scaled_lr=plan.config_of("scaled")["lr"], **columns))
    session.flush()  # runs refer to it
    session.add_all(Run(calibration_id=columns["id"], arm=arm, seed=seed, state="QUEUED", config=plan.config_of(arm).as_dict())
                    for arm, seed in plan.runs)


def underway(session: Session) -> list[Underway]:
    """All of them, oldest first: this order is the queue's. It decodes nothing, so that it can be asked for often."""
    return _without_plans(session, Underway, Calibration.state.in_(ACTIVE_STATES))


def interrupted(session: Session) -> list[Interrupted]:
    """What was interrupted and shall go on by itself, oldest first; not what its user has cancelled or deleted."""
    return _without_plans(session, Interrupted, Calibration.state == "INTERRUPTED", Calibration.resume_after_restart,
                          Calibration.cancel_requested_at.is_(None), Calibration.deleted_at.is_(None))


def _without_plans(session: Session, kind: type[Row],
                   *where: ColumnElement[bool] | InstrumentedAttribute[bool]) -> list[Row]:
    columns = [getattr(Calibration, name) for name in kind.__dataclass_fields__]
    return [kind(*row) for row in session.execute(select(*columns).where(*where).order_by(Calibration.number))]


def active(session: Session) -> list[CalibrationRecord | Unreadable]:
    """All of them, also those that cannot be read, oldest first."""
    rows = list(session.scalars(select(Calibration).where(Calibration.state.in_(ACTIVE_STATES)).order_by(Calibration.number)))
    runs: dict[str, list[Run]] = {}
    for run in runs_of(session, [row.id for row in rows]):
        runs.setdefault(run.calibration_id, []).append(run)
    records: list[CalibrationRecord | Unreadable] = []
    for row in rows:
        try:
            record = record_of(row, runs.get(row.id, []))
        except FieldError as error:  # one that today's rules refuse must not stop the others
            records.append(Unreadable.of(row, str(error)))
        else:
            assert isinstance(record, CalibrationRecord)  # what was imported is never active
            records.append(record)
    return records


def runs_of(session: Session, ids: Sequence[str]) -> Iterable[Run]:
    """The runs of those calibrations, in their order."""
    return session.scalars(select(Run).where(Run.calibration_id.in_(ids)).order_by(Run.id))
