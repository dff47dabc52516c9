"""Going on with a calibration that has ended before it was done: the one way out of a final state."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from ..tasks import task
from . import points
from .chunks import decode, encode
from .models import Calibration, Chunk, Event, Run
from .records import Result, ends
from .reuse import ENDED_BY_ITSELF, taken_over
from .reuse import KIND as REUSED
from .states import RESUMABLE_STATES

KIND = "resumed"  # of the event that says from which end it went on
MOST = 3  # times that it goes on by itself without getting any further

ByItself = Literal["queued", "given up", "left"]


def resume(session: Session, id: str, now: datetime, **process: str) -> bool:
    """Queue it again under its id, with what is stored of it, for a process there (host, boot_id).

    False where its state is no end, or DONE, or it was deleted.
    """
    row = _locked(session, id)
    if row is None or row.state not in RESUMABLE_STATES or row.deleted_at:
        return False
    _queue_again(session, row, now, {}, process)
    return True


def resume_by_itself(session: Session, id: str, now: datetime, **process: str) -> ByItself:
    """:func:`resume` where nobody asks for it now: "left" where it is not interrupted, or its user has not chosen so, or has
    cancelled or deleted it; "given up", and the choice is taken back, where it has done so MOST times without getting further.
    """
    row = _locked(session, id)
    if row is None or row.state != "INTERRUPTED" or not row.resume_after_restart or row.cancel_requested_at or row.deleted_at:
        return "left"
    resumed = session.scalars(select(Event).where(Event.calibration_id == id, Event.kind == KIND).order_by(Event.id))
    if _fruitless((event.data for event in resumed), row.done) >= MOST:
        row.resume_after_restart = False
        return "given up"
    _queue_again(session, row, now, {"by_itself": True, "done": row.done}, process)
    return "queued"


def _locked(session: Session, id: str) -> Calibration | None:
    """The row, which nobody else changes until the end of the transaction."""
    return session.scalar(select(Calibration).where(Calibration.id == id).with_for_update())


def _fruitless(resumed: Iterable[Mapping[str, Any]], done: int) -> int:
    """How often it has gone on by itself from where it stands now, or from further on, since a person had it go on."""
    count = 0
    for data in resumed:
        count = count + (data["done"] >= done) if "by_itself" in data else 0
    return count


def _queue_again(session: Session, row: Calibration, now: datetime, how: Mapping[str, Any], process: Mapping[str, str]) -> None:
    session.add(Event(calibration_id=row.id, at=now, kind=KIND, data={"state": row.state, "reason": row.reason, **how}))
    for name, value in (vars(Result()) | {"judging": 0, "state": "QUEUED", "reason": "", "ended_at": None, "heartbeat_at": now,
                                          "cancel_requested_at": None, "pid": None, "pid_started": "", **process}).items():
        setattr(row, name, value)
    for run in session.scalars(select(Run).where(Run.calibration_id == row.id, Run.state.in_(RESUMABLE_STATES))):
        run.state, run.reason = "QUEUED", ""


def rewind(session: Session, id: str, reached: Mapping[tuple[str, int], int] | None,
           ended: Collection[tuple[str, int]] = (), taken: Collection[tuple[str, int]] = ()) -> bool:
    """Forget what was stored after a snapshot, because it is going to be measured again; False, and all stays as it is, where
    less is stored than the snapshot counts on: an older backup was restored, for example.

    reached: (arm, seed) -> samples of its last point; ended: the runs that were over; taken: those that were taken over from
    another calibration, which stay. None for reached: no snapshot, so everything goes, also those.
    """
    row = session.scalars(select(Calibration).where(Calibration.id == id).with_for_update()).one()
    metrics = task(row.task).metrics
    runs = list(session.scalars(select(Run).where(Run.calibration_id == id).order_by(Run.id)))
    if reached is not None and (set(taken) != set(taken_over(session, id)) or any(
            _last(session, run.id) < reached.get((run.arm, run.seed), -1)
            or ((run.arm, run.seed) in ended and run.state not in ENDED_BY_ITSELF) for run in runs)):
        return False
    for run in runs:
        if (run.arm, run.seed) in taken:
            continue
        last = (reached or {}).get((run.arm, run.seed), -1)
        _cut(session, run.id, last)
        if (run.arm, run.seed) not in ended:
            run.state, run.reason = "QUEUED" if last < 0 else "RUNNING", ""
        run.final, run.best = points.summary(session, run.id, metrics)
    if reached is None:
        session.execute(delete(Event).where(Event.calibration_id == id, Event.kind == REUSED))
    row.ends = ends((run.arm, run.final) for run in runs)
    return True


def _last(session: Session, run_id: int) -> int:
    """Samples of a run's last point; -1 without one."""
    chunks = session.scalars(select(Chunk).where(Chunk.run_id == run_id))
    return max((int(decode(chunk.data)[0][-1]) for chunk in chunks), default=-1)


def _cut(session: Session, run_id: int, last: int) -> None:
    """Keep the points of a run up to so many samples."""
    if last < 0:
        session.execute(delete(Chunk).where(Chunk.run_id == run_id))
        return
    for chunk in session.scalars(select(Chunk).where(Chunk.run_id == run_id)):
        samples, values = decode(chunk.data)
        kept = samples <= last
        if not kept.any():
            session.delete(chunk)
        elif not kept.all():
            chunk.count, chunk.data = int(kept.sum()), encode(samples[kept], values[kept])
    session.flush()
