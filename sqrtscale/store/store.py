"""The store: calibrations, their runs and their curves, behind short transactions."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import CursorResult, Engine, UpdateBase, delete, func, select, update
from sqlalchemy.engine import URL
from sqlalchemy.orm import Session, sessionmaker

from ..compared import ImportedPlan
from ..plan import CalibrationPlan
from ..rules import FieldError
from ..training.events import Measured
from . import listing, points, queue, resuming, reuse, tags
from .connect import PROMPT_S, TRIES, T, connect, database_url, read_only, retried
from .listing import Filter
from .migrate import migrate
from .models import Calibration, Event, Run
from .queue import Interrupted, Underway, new_id
from .records import IMPORTED, JUDGING, CalibrationRecord, CalibrationSummary, ImportedRecord, Result, Unreadable, record_of
from .states import FINAL_STATES, RUN_ACTIVE_STATES, RUN_STATES, STATES
from .text import clean

if TYPE_CHECKING:
    import pandas as pd

EVERY = Filter()  # that is not deleted


class NotFound(LookupError):
    """There is no calibration with that id."""

    def __init__(self, id: str):
        super().__init__(f"there is no calibration {id}: list the stored ones to find its id")


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

    def __init__(self, engine: Engine, tries: int = TRIES):
        self._engine = engine
        self._tries = tries
        self._write = sessionmaker(engine)
        self._read = sessionmaker(engine.execution_options(write=False))

    @classmethod
    def open(cls, url: str | None = None, prompt: bool = False, tries: int = TRIES) -> Store:
        """Open (and create or upgrade) the database; raises StoreError when it cannot be used.

        prompt: for somebody who waits for a word; it fails after seconds where the database does not answer. tries: of a
        statement while another process is in the way; 1 for who has a patience of its own.
        """
        engine, tries = connect(database_url(url), prompt), 1 if prompt else tries
        try:
            migrate(engine, PROMPT_S if prompt else math.inf)
        except BaseException:
            engine.dispose()
            raise
        return cls(engine, tries)

    @property
    def read_only(self) -> bool:
        """Whether this user can only read the database."""
        return read_only(self._engine.url)

    @property
    def url(self) -> URL:
        """Of the database."""
        return self._engine.url

    def close(self) -> None:
        """Give back every connection."""
        self._engine.dispose()

    # --- writing ---------------------------------------------------------------------------------

    def create(self, plan: CalibrationPlan, name: str = "", *, id: str = "", host: str = "",
               resume_after_restart: bool = False) -> str:
        """Store a calibration and all its runs as QUEUED in one transaction; returns its id, a new one where none is given.

        host: the machine that is to train it; resume_after_restart: whether it goes on by itself where that interrupts it.
        """
        id = id or new_id()
        self._written(lambda session: queue.add(
            session, plan, id=id, name=clean(name.strip(), 200), host=host, created_at=self._now(session),
            resume_after_restart=resume_after_restart))
        return id

    def create_imported(self, plan: ImportedPlan, curves: pd.DataFrame, name: str = "", notes: Sequence[str] = ()) -> str:
        """Store curves that were trained elsewhere, with all their points, as DONE; returns the id.

        curves: columns arm, seed, metric, samples, value, ordered by run, metric and samples; notes: what was done to them.
        """
        id = new_id()

        def work(session: Session) -> None:
            now = self._now(session)
            points.write_imported(session, plan, curves, Calibration(
                id=id, kind=IMPORTED, name=clean(name.strip(), 200), state="DONE", plan=plan.as_dict(),
                environment={"notes": [clean(note) for note in notes]}, task=plan.subject, optimizer="",
                base_batch=plan.base_batch, target_batch=plan.target_batch, seeds=len(plan.seeds), start=IMPORTED,
                created_at=now, ended_at=now, points=len(curves)))

        self._written(work)
        return id

    def transition(self, id: str, to: str, *, among: Iterable[str], reason: str = "", **columns: Any) -> bool:
        """Compare-and-set: move to ``to`` if the state is one of ``among`` now; False when it was not.

        A final state changes only by :meth:`resume`. Runs that have not ended follow their calibration into a final state.
        """
        among = [state for state in among if state not in FINAL_STATES]
        to, reason = _known(to, STATES), clean(reason)

        def work(session: Session) -> bool:
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

        return self._written(work)

    def set_process(self, id: str, *, host: str, boot_id: str, pid: int | None, pid_started: str) -> None:
        """Store who supervises the calibration."""
        self._set(id, host=host, boot_id=boot_id, pid=pid, pid_started=pid_started)

    def set_environment(self, id: str, environment: dict[str, Any]) -> None:
        """Store everything beside the plan that the result may depend on; its executor is that of the runs still to end."""
        def work(session: Session) -> None:
            if not _changed(session, update(Calibration).where(Calibration.id == id).values(environment=environment)):
                raise NotFound(id)
            session.execute(
                update(Run).where(Run.calibration_id == id, Run.state.in_(RUN_ACTIVE_STATES))
                .values(executor=environment.get("executor", "")))

        self._written(work)

    def set_verdict(self, id: str, result: Result | None) -> None:
        """Store what lists show of the verdict; from then on the calibration counts as judged.

        None: it could not be judged, and what is stored stays.
        """
        self._set(id, judging=JUDGING, **(vars(result) if result else {}))

    def heartbeat(self, id: str, **progress: Any) -> None:
        """Say that the calibration lives; progress: phase, done, total, samples_per_second, device."""
        statement = update(Calibration).where(Calibration.id == id)
        self._written(lambda session: session.execute(statement.values(heartbeat_at=self._now(session), **progress)))

    def request_cancel(self, id: str) -> str:
        """Ask for an end: a queued calibration is CANCELLED at once, a running one CANCELLING; returns its state."""
        def work(session: Session) -> str:
            state = session.scalar(select(Calibration.state).where(Calibration.id == id).with_for_update())
            if state is None:
                raise NotFound(id)
            if state not in FINAL_STATES:
                session.execute(update(Calibration).where(Calibration.id == id, Calibration.cancel_requested_at.is_(None))
                                .values(cancel_requested_at=self._now(session)))
            return state

        self._written(work)
        if not self.transition(id, "CANCELLED", among=["QUEUED"], reason="cancelled before it started"):
            self.transition(id, "CANCELLING", among=["STARTING", "RUNNING"])
        return self.get(id).state

    def cancel_requested(self, id: str) -> bool:
        """True once somebody asked for an end."""
        with self._read.begin() as session:
            return session.scalar(select(Calibration.cancel_requested_at).where(Calibration.id == id)) is not None

    def write_points(self, id: str, measured: Sequence[Measured]) -> None:
        """Store a batch of measurements in one transaction: curves, last and best values, running runs."""
        self._written(lambda session: points.write(session, id, measured))

    def end_run(self, id: str, arm: str, seed: int, state: str, reason: str = "") -> None:
        """Store the end of one run, unless it has ended before."""
        state, reason = _known(state, RUN_STATES), clean(reason)
        statement = update(Run).where(Run.calibration_id == id, Run.arm == arm, Run.seed == seed,
                                      Run.state.in_(RUN_ACTIVE_STATES)).values(state=state, reason=reason)
        self._written(lambda session: session.execute(statement))

    def reuse(self, id: str) -> dict[tuple[str, int], str]:
        """Take over what is stored of its runs; returns (arm, seed) -> the calibration that trained it.

        Its environment must be set before: runs of another torch, Python or device are not taken.
        """
        return self._written(lambda session: reuse.take_over(session, id, self._now(session)))

    def resume(self, id: str, *, host: str = "", boot_id: str = "") -> bool:
        """Queue again, on that host, what has ended before it was done; see :func:`sqrtscale.store.resuming.resume`."""
        return self._written(lambda session: resuming.resume(session, id, self._now(session), host=host, boot_id=boot_id))

    def resume_by_itself(self, id: str, **process: str) -> resuming.ByItself:
        """The same without a person's word; see :func:`sqrtscale.store.resuming.resume_by_itself`."""
        return self._written(lambda session: resuming.resume_by_itself(session, id, self._now(session), **process))

    def set_resume_after_restart(self, id: str, chosen: bool) -> None:
        """Whether it goes on by itself where a restart of the machine interrupts it, or has done so."""
        self._set(id, resume_after_restart=chosen)

    def rewind(self, id: str, reached: Mapping[tuple[str, int], int] | None, ended: Collection[tuple[str, int]] = (),
               taken: Collection[tuple[str, int]] = ()) -> bool:
        """Forget what was stored after a snapshot; see :func:`sqrtscale.store.resuming.rewind`."""
        return self._written(lambda session: resuming.rewind(session, id, reached, ended, taken))

    def rename(self, id: str, name: str) -> None:
        """Give the calibration a name of at most 200 characters."""
        self._set(id, name=clean(name.strip(), 200))

    def set_note(self, id: str, note: str, version: int) -> bool:
        """Replace the note if nobody changed it since ``version``; False when somebody did."""
        statement = update(Calibration).where(Calibration.id == id, Calibration.note_version == version).values(
            note=clean(note), note_version=version + 1)
        return bool(self._written(lambda session: _changed(session, statement)))

    def delete(self, *ids: str) -> None:
        """Put calibrations away; nothing is lost until :meth:`purge`, but that they go on by themselves after a restart."""
        self._set(*ids, deleted_at=self.now(), resume_after_restart=False)

    def restore(self, *ids: str) -> None:
        """Take deleted calibrations back."""
        self._set(*ids, deleted_at=None)

    def tag(self, ids: Sequence[str], *words: str) -> None:
        """Hang tags of at most 40 characters on calibrations; raises FieldError, and NotFound where none of them is there."""
        if not self._written(lambda session: tags.add(session, ids, words)):
            raise NotFound(", ".join(ids))

    def untag(self, ids: Sequence[str], *words: str) -> None:
        """Take tags off calibrations, where they hang there."""
        self._written(lambda session: tags.remove(session, ids, words))

    def save_filter(self, name: str, query: str) -> None:
        """Keep a filter of the list, as its address has it, under a name; raises FieldError."""
        self._written(lambda session: listing.save_filter(session, name, query))

    def remove_filter(self, name: str) -> None:
        """Forget a filter."""
        self._written(lambda session: listing.remove_filter(session, name))

    def purge(self, before: datetime | None = None) -> list[str]:
        """Really remove the ended calibrations among those that were deleted (before that time); returns their ids."""
        gone = delete(Calibration).where(Calibration.deleted_at.is_not(None), Calibration.state.in_(FINAL_STATES))
        if before is not None:
            gone = gone.where(Calibration.deleted_at < before)
        return self._written(lambda session: list(session.scalars(gone.returning(Calibration.id))))

    def add_event(self, id: str, kind: str, data: dict[str, Any]) -> None:
        """Note that something happened."""
        self._written(lambda session: session.add(Event(calibration_id=id, at=self._now(session), kind=kind, data=data)))

    # --- reading ---------------------------------------------------------------------------------

    def now(self) -> datetime:
        """The database's time: one clock for all hosts that share it."""
        with self._read.begin() as session:
            return self._now(session)

    def record(self, id: str) -> CalibrationRecord | ImportedRecord:
        """One calibration or imported comparison, deleted or not; raises NotFound."""
        if not (id.isascii() and id.isalnum()):  # no database need see what no id can be
            raise NotFound(id)
        with self._read.begin() as session:
            row = session.scalar(select(Calibration).where(Calibration.id == id))
            if row is None:
                raise NotFound(id)
            return record_of(row, queue.runs_of(session, [id]))

    def get(self, id: str) -> CalibrationRecord:
        """One calibration, deleted or not; raises NotFound, and FieldError for what was imported."""
        record = self.record(id)
        if not isinstance(record, CalibrationRecord):
            raise FieldError("calibration", id, "was trained elsewhere and imported: give the id of one that was trained here")
        return record

    def summaries(self, chosen: Filter = EVERY) -> list[CalibrationSummary]:
        """Calibrations for a list, newest first unless the filter says otherwise."""
        with self._read.begin() as session:
            return listing.summaries(session, chosen)

    def count(self, chosen: Filter = EVERY) -> int:
        """How many calibrations the filter lets through, whatever its limit."""
        with self._read.begin() as session:
            return listing.count(session, chosen)

    def unjudged(self) -> list[str]:
        """Ids of calibrations that have ended, are not deleted, and wait for a verdict of today's kind; newest first."""
        with self._read.begin() as session:
            return listing.unjudged(session)

    def tags(self) -> dict[str, int]:
        """Every tag -> how many calibrations have it, the most used first."""
        with self._read.begin() as session:
            return tags.counted(session)

    def tags_of(self, id: str) -> tuple[str, ...]:
        """The tags of a calibration."""
        with self._read.begin() as session:
            return tags.of(session, id)

    def saved_filters(self) -> dict[str, str]:
        """Name -> query of the list's address, of the filters that were given a name."""
        with self._read.begin() as session:
            return listing.saved_filters(session)

    def queue(self) -> list[CalibrationRecord]:
        """Calibrations that have not ended and can be read, oldest first: this order is the queue's."""
        return [record for record in self.active() if isinstance(record, CalibrationRecord)]

    def active(self) -> list[CalibrationRecord | Unreadable]:
        """Calibrations that have not ended, also those that cannot be read, oldest first."""
        with self._read.begin() as session:
            return queue.active(session)

    def underway(self) -> list[Underway]:
        """What :meth:`active` has, without plans and runs, for those who ask often."""
        with self._read.begin() as session:
            return queue.underway(session)

    def interrupted(self) -> list[Interrupted]:
        """What was interrupted and goes on by itself, oldest first."""
        with self._read.begin() as session:
            return queue.interrupted(session)

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

    def _written(self, work: Callable[[Session], T]) -> T:
        """What ``work`` gives in a transaction that writes."""
        def attempt() -> T:
            with self._write.begin() as session:
                return work(session)

        return retried(attempt, self._tries)

    def _set(self, *ids: str, **columns: Any) -> None:
        """Raises NotFound where none of them is there."""
        statement = update(Calibration).where(Calibration.id.in_(ids)).values(**columns)
        if not self._written(lambda session: _changed(session, statement)):
            raise NotFound(", ".join(ids))

    def _now(self, session: Session) -> datetime:
        if self._engine.dialect.name == "sqlite":  # one host, and its own function has whole seconds only
            return datetime.now(UTC)
        return session.scalars(select(func.now())).one()
