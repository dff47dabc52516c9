"""The store: calibrations, their runs and their curves, behind short transactions."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import ColumnElement, CursorResult, Engine, UpdateBase, delete, func, or_, select, update
from sqlalchemy.orm import Session, sessionmaker

from ..plan import CalibrationPlan
from ..rules import FieldError
from ..training.events import Measured
from . import points, reuse
from .connect import connect, database_url, retried
from .migrate import migrate
from .models import Calibration, Event, Run
from .records import CalibrationRecord, CalibrationSummary, Unreadable
from .states import ACTIVE_STATES, FINAL_STATES, RUN_ACTIVE_STATES, RUN_STATES, STATES

if TYPE_CHECKING:
    import pandas as pd


class NotFound(LookupError):
    """There is no calibration with that id."""

    def __init__(self, id: str):
        super().__init__(f"there is no calibration {id}: list the stored ones to find its id")


SUMMARY = [name for name in CalibrationSummary.__dataclass_fields__ if name not in ("progress", "final")]


def _clean(text: str, longest: int | None = None) -> str:
    """``text`` as every database takes it: without zero characters and halves of characters, cut to ``longest``."""
    return text.replace("\0", "").encode("utf-8", "replace").decode()[:longest]


def _known(state: str, states: tuple[str, ...]) -> str:
    if state not in states:
        raise ValueError(f"state {state} is not known: give one of {', '.join(states)}")
    return state


def _changed(session: Session, statement: UpdateBase) -> int:
    """How many rows the statement has changed."""
    result = session.execute(statement)
    assert isinstance(result, CursorResult)
    return result.rowcount


class Store:
    """One database. Safe to share between threads; a new process opens its own."""

    def __init__(self, engine: Engine):
        self._engine = engine
        self._write = sessionmaker(engine)
        self._read = sessionmaker(engine.execution_options(write=False))

    @classmethod
    def open(cls, url: str | None = None) -> Store:
        """Open (and create or upgrade) the database; raises StoreError when it cannot be used."""
        engine = connect(database_url(url))
        try:
            migrate(engine)
        except BaseException:
            engine.dispose()
            raise
        return cls(engine)

    def close(self) -> None:
        """Give back every connection."""
        self._engine.dispose()

    # --- writing ---------------------------------------------------------------------------------

    def create(self, plan: CalibrationPlan, name: str = "") -> str:
        """Store a calibration and all its runs as QUEUED in one transaction; returns its id."""
        id = uuid.uuid4().hex[:12]

        def work() -> None:
            with self._write.begin() as session:
                session.add(Calibration(
                    id=id, name=_clean(name.strip(), 200), state="QUEUED", plan=plan.as_dict(),
                    task=plan.task, optimizer=plan.base.optimizer, base_batch=plan.base.batch_size,
                    target_batch=plan.target_batch, seeds=len(plan.seeds), start=plan.start,
                    created_at=self._now(session)))
                session.flush()  # runs refer to it
                session.add_all(
                    Run(calibration_id=id, arm=arm, seed=seed, state="QUEUED", config=plan.config_of(arm).as_dict())
                    for arm, seed in plan.runs)

        retried(work)
        return id

    def transition(self, id: str, to: str, *, among: Iterable[str], reason: str = "", **columns: Any) -> bool:
        """Compare-and-set: move to ``to`` if the state is one of ``among`` now; False when it was not.

        A final state never changes. Runs that have not ended follow their calibration into a final state.
        """
        among = [state for state in among if state not in FINAL_STATES]
        to, reason = _known(to, STATES), _clean(reason)

        def work() -> bool:
            with self._write.begin() as session:
                now = self._now(session)
                if to == "STARTING":
                    columns["started_at"] = now
                if to in FINAL_STATES:
                    columns["ended_at"] = now
                if reason:
                    columns["reason"] = reason
                changed = _changed(session, update(Calibration).where(
                    Calibration.id == id, Calibration.state.in_(among)).values(state=to, **columns))
                if changed and to in FINAL_STATES:
                    session.execute(
                        update(Run).where(Run.calibration_id == id, Run.state.in_(RUN_ACTIVE_STATES))
                        .values(state=to, reason=reason))
                return bool(changed)

        return retried(work)

    def set_process(self, id: str, *, host: str, boot_id: str, pid: int | None, pid_started: str) -> None:
        """Store who supervises the calibration."""
        self._set(id, host=host, boot_id=boot_id, pid=pid, pid_started=pid_started)

    def set_environment(self, id: str, environment: dict[str, Any]) -> None:
        """Store everything beside the plan that the result may depend on; its executor is that of the runs still to end."""
        def work() -> None:
            with self._write.begin() as session:
                if not _changed(session, update(Calibration).where(Calibration.id == id).values(environment=environment)):
                    raise NotFound(id)
                session.execute(
                    update(Run).where(Run.calibration_id == id, Run.state.in_(RUN_ACTIVE_STATES))
                    .values(executor=environment.get("executor", "")))

        retried(work)

    def set_verdict(self, id: str, outcome: str, answer: str) -> None:
        """Store what lists show of the verdict: its outcome ("" where there was nothing to compare) and its headline."""
        self._set(id, outcome=outcome, answer=answer)

    def heartbeat(self, id: str, **progress: Any) -> None:
        """Say that the calibration lives; progress: phase, done, total, samples_per_second, device."""
        def work() -> None:
            with self._write.begin() as session:
                session.execute(update(Calibration).where(Calibration.id == id)
                                .values(heartbeat_at=self._now(session), **progress))

        retried(work)

    def request_cancel(self, id: str) -> str:
        """Ask for an end: a queued calibration is CANCELLED at once, a running one CANCELLING; returns its state."""
        def work() -> str:
            with self._write.begin() as session:
                state = session.scalar(select(Calibration.state).where(Calibration.id == id).with_for_update())
                if state is None:
                    raise NotFound(id)
                if state not in FINAL_STATES:
                    session.execute(update(Calibration).where(Calibration.id == id, Calibration.cancel_requested_at.is_(None))
                                    .values(cancel_requested_at=self._now(session)))
                return state

        retried(work)
        if not self.transition(id, "CANCELLED", among=["QUEUED"], reason="cancelled before it started"):
            self.transition(id, "CANCELLING", among=["STARTING", "RUNNING"])
        return self.get(id).state

    def cancel_requested(self, id: str) -> bool:
        """True once somebody asked for an end."""
        with self._read.begin() as session:
            return session.scalar(select(Calibration.cancel_requested_at).where(Calibration.id == id)) is not None

    def write_points(self, id: str, measured: Sequence[Measured]) -> None:
        """Store a batch of measurements in one transaction: curves, last and best values, running runs."""
        def work() -> None:
            with self._write.begin() as session:
                points.write(session, id, measured)

        retried(work)

    def end_run(self, id: str, arm: str, seed: int, state: str, reason: str = "") -> None:
        """Store the end of one run, unless it has ended before."""
        state, reason = _known(state, RUN_STATES), _clean(reason)

        def work() -> None:
            with self._write.begin() as session:
                session.execute(
                    update(Run).where(Run.calibration_id == id, Run.arm == arm, Run.seed == seed,
                                      Run.state.in_(RUN_ACTIVE_STATES)).values(state=state, reason=reason))

        retried(work)

    def reuse(self, id: str) -> dict[tuple[str, int], str]:
        """Take over what is stored of its runs; returns (arm, seed) -> the calibration that trained it.

        Its environment must be set before: runs of another torch, Python or device are not taken.
        """
        def work() -> dict[tuple[str, int], str]:
            with self._write.begin() as session:
                return reuse.take_over(session, id, self._now(session))

        return retried(work)

    def rename(self, id: str, name: str) -> None:
        """Give the calibration a name of at most 200 characters."""
        self._set(id, name=_clean(name.strip(), 200))

    def set_note(self, id: str, note: str, version: int) -> bool:
        """Replace the note if nobody changed it since ``version``; False when somebody did."""
        def work() -> bool:
            with self._write.begin() as session:
                return bool(_changed(session, update(Calibration).where(
                    Calibration.id == id, Calibration.note_version == version).values(
                        note=_clean(note), note_version=version + 1)))

        return retried(work)

    def delete(self, id: str) -> None:
        """Put the calibration away; nothing is lost until :meth:`purge`."""
        self._set(id, deleted_at=self.now())

    def restore(self, id: str) -> None:
        """Take a deleted calibration back."""
        self._set(id, deleted_at=None)

    def purge(self) -> list[str]:
        """Really remove the ended calibrations among the deleted ones; returns their ids."""
        def work() -> list[str]:
            with self._write.begin() as session:
                gone = delete(Calibration).where(Calibration.deleted_at.is_not(None), Calibration.state.in_(FINAL_STATES))
                return list(session.scalars(gone.returning(Calibration.id)))

        return retried(work)

    def add_event(self, id: str, kind: str, data: dict[str, Any]) -> None:
        """Note that something happened."""
        def work() -> None:
            with self._write.begin() as session:
                session.add(Event(calibration_id=id, at=self._now(session), kind=kind, data=data))

        retried(work)

    # --- reading ---------------------------------------------------------------------------------

    def now(self) -> datetime:
        """The database's time: one clock for all hosts that share it."""
        with self._read.begin() as session:
            return self._now(session)

    def get(self, id: str) -> CalibrationRecord:
        """One calibration, deleted or not; raises NotFound."""
        with self._read.begin() as session:
            row = session.scalar(select(Calibration).where(Calibration.id == id))
            if row is None:
                raise NotFound(id)
            return CalibrationRecord.of(row, self._runs(session, [id]))

    def summaries(
        self, *, deleted: bool = False, text: str = "", states: Iterable[str] | None = None,
        outcomes: Iterable[str] | None = None, limit: int = 1000,
    ) -> list[CalibrationSummary]:
        """Calibrations, newest first. text is looked for in name, id, note, task, optimizer and outcome."""
        conditions: list[ColumnElement[bool]] = [
            Calibration.deleted_at.is_not(None) if deleted else Calibration.deleted_at.is_(None)]
        if text.strip():
            searched = (Calibration.name, Calibration.id, Calibration.note, Calibration.task, Calibration.optimizer,
                        Calibration.outcome)
            conditions.append(or_(*(column.icontains(_clean(text.strip()), autoescape=True) for column in searched)))
        if states is not None:
            conditions.append(Calibration.state.in_(list(states)))
        if outcomes is not None:
            conditions.append(Calibration.outcome.in_(list(outcomes)))
        # Neither plans and environments nor runs: a thousand of them take longer to decode than everything else.
        columns = [getattr(Calibration, name) for name in (*SUMMARY, "done", "total", "ends")]
        page = select(*columns).where(*conditions).order_by(Calibration.number.desc()).limit(limit)
        with self._read.begin() as session:
            rows = session.execute(page).all()
        return [
            CalibrationSummary(**{name: row._mapping[name] for name in SUMMARY}, final=row.ends,
                               progress=row.done / row.total if row.total else float(row.state == "DONE"))
            for row in rows]

    def queue(self) -> list[CalibrationRecord]:
        """Calibrations that have not ended and can be read, oldest first: this order is the queue's."""
        return [record for record in self.active() if isinstance(record, CalibrationRecord)]

    def active(self) -> list[CalibrationRecord | Unreadable]:
        """Calibrations that have not ended, also those that cannot be read, oldest first."""
        with self._read.begin() as session:
            rows = list(session.scalars(
                select(Calibration).where(Calibration.state.in_(ACTIVE_STATES)).order_by(Calibration.number)))
            runs: dict[str, list[Run]] = {}
            for run in self._runs(session, [row.id for row in rows]):
                runs.setdefault(run.calibration_id, []).append(run)
            records: list[CalibrationRecord | Unreadable] = []
            for row in rows:
                try:
                    records.append(CalibrationRecord.of(row, runs.get(row.id, [])))
                except FieldError as error:  # one that today's rules refuse must not stop the others
                    records.append(Unreadable.of(row, str(error)))
            return records

    def curves(self, id: str) -> pd.DataFrame:
        """Every point: columns arm, seed, metric, samples (int64), value (float64), in order."""
        with self._read.begin() as session:
            return points.read(session, id)

    def curves_version(self, id: str) -> str:
        """A token that changes when points were added."""
        with self._read.begin() as session:
            return str(session.scalar(select(Calibration.points).where(Calibration.id == id)))

    def events(self, id: str) -> list[tuple[datetime, str, dict[str, Any]]]:
        """(time, kind, data) of everything noted, oldest first."""
        with self._read.begin() as session:
            events = session.scalars(select(Event).where(Event.calibration_id == id).order_by(Event.id))
            return [(event.at, event.kind, event.data) for event in events]

    def reused(self, id: str) -> dict[tuple[str, int], str]:
        """(arm, seed) -> the calibration that trained it, of the runs that were taken over instead of trained."""
        with self._read.begin() as session:
            return reuse.taken_over(session, id)

    # --- shared ----------------------------------------------------------------------------------

    def _set(self, id: str, **columns: Any) -> None:
        def work() -> None:
            with self._write.begin() as session:
                if not _changed(session, update(Calibration).where(Calibration.id == id).values(**columns)):
                    raise NotFound(id)

        retried(work)

    def _now(self, session: Session) -> datetime:
        if self._engine.dialect.name == "sqlite":  # one host, and its own function has whole seconds only
            return datetime.now(UTC)
        return session.scalars(select(func.now())).one()

    @staticmethod
    def _runs(session: Session, ids: Sequence[str]) -> Iterator[Run]:
        return iter(session.scalars(select(Run).where(Run.calibration_id.in_(ids)).order_by(Run.id)))
