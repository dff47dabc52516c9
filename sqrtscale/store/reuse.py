"""Runs that are stored already, taken into a new calibration instead of being trained again.

A stored run stands for a new one when its plan says that it is the same run (``CalibrationPlan.identity``), the same executor
carried out its steps, it was trained under the same conditions, and it ended by itself: done, or diverged. Its points are copied,
so that the new calibration stays whole whatever happens to the old one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from ..plan import WARM_START, CalibrationPlan
from ..points import complete_points
from ..rules import FieldError
from ..tasks import task
from .chunks import DamagedChunk, decode
from .models import Calibration, Chunk, Event, Run
from .records import ends

KIND = "reused"  # of the event that says which runs came from where
ENDED_BY_ITSELF = ("DONE", "DIVERGED")


def conditions(environment: Mapping[str, Any]) -> tuple[Any, ...] | None:
    """What a curve depends on beside its plan; None where that was not noted, or is two devices' because one of them failed.

    Python's version counts because the text of the language task is Python's own; on a CPU threads do, in the last digits.
    """
    if any(fault["went_on"] != fault["device"] for fault in environment.get("faults", ())):
        return None
    packages = environment.get("packages", {})
    required = (environment.get("engine"), environment.get("python"), environment.get("device_name"),
                packages.get("torch"))
    if None in required:
        return None
    threads = environment.get("threads") if environment.get("device") == "cpu" else 0
    return *required, *(packages.get(name) for name in ("numpy", "scipy", "numba", "scikit-learn")), threads


def take_over(session: Session, id: str, now: datetime) -> dict[tuple[str, int], str]:
    """Copy what is stored of this calibration's queued runs; returns (arm, seed) -> the calibration that trained it.

    Newest first, and none from deleted calibrations. The warm start is taken only together with every arm: arms that must be
    trained need its weights, which no database has.
    """
    row = session.scalars(select(Calibration).where(Calibration.id == id).with_for_update()).one()
    plan, own_conditions = CalibrationPlan.from_dict(row.plan), conditions(row.environment)
    executor: str = row.environment.get("executor", "")
    queued = {(run.arm, run.seed): run for run in
              session.scalars(select(Run).where(Run.calibration_id == id, Run.state == "QUEUED"))}
    wanted = {plan.identity(*run): run for run in queued}
    reusable: dict[tuple[str, int], tuple[Run, list[Chunk], str]] = {}
    same_kind = select(Calibration).where(
        Calibration.id != id, Calibration.deleted_at.is_(None), Calibration.task == row.task, Calibration.start == row.start,
        Calibration.optimizer == row.optimizer, Calibration.base_batch == row.base_batch).order_by(Calibration.number.desc())
    for other in session.scalars(same_kind) if own_conditions and executor else ():
        if conditions(other.environment) != own_conditions:
            continue
        missing = {key: run for key, run in wanted.items() if run not in reusable}
        for run, old, chunks in _stored(session, other, missing, executor):
            reusable[run] = (old, chunks, other.id)
    missing_arms = {run[0] for run in queued if run not in reusable} - {WARM_START}
    if missing_arms:
        reusable.pop((WARM_START, plan.seeds[0]), None)
    if any(plan.arm(arm).measured for arm in missing_arms):  # it follows what base's runs measure beside it
        reusable = {run: stored for run, stored in reusable.items() if run[0] != "base" and not plan.arm(run[0]).measured}
    origins = {run: taken_over(session, source).get(run, source) for run, (_, _, source) in reusable.items()}
    for run, (old, chunks, _) in reusable.items():
        new = queued[run]
        new.state, new.reason, new.executor, new.final, new.best = old.state, old.reason, executor, old.final, old.best
        session.add_all(Chunk(run_id=new.id, metric=chunk.metric, sequence=chunk.sequence, count=chunk.count,
                              data=chunk.data) for chunk in chunks)
        row.points += sum(chunk.count for chunk in chunks)
    if reusable:
        runs = session.scalars(select(Run).where(Run.calibration_id == id).order_by(Run.id))
        row.ends = ends((run.arm, run.final) for run in runs)
        session.add(Event(calibration_id=id, at=now, kind=KIND, data={"runs": [
            {"arm": arm, "seed": seed, "from": source} for (arm, seed), source in origins.items()]}))
    return origins


def taken_over(session: Session, id: str) -> dict[tuple[str, int], str]:
    """(arm, seed) -> the calibration that trained it, of every run that this calibration has from another one."""
    events = session.scalars(select(Event).where(Event.calibration_id == id, Event.kind == KIND).order_by(Event.id))
    return {(run["arm"], run["seed"]): run["from"] for event in events for run in event.data["runs"]}


def _stored(session: Session, other: Calibration, wanted: Mapping[str, tuple[str, int]], executor: str
            ) -> Iterator[tuple[tuple[str, int], Run, list[Chunk]]]:
    """(wanted run, stored run, its chunks) for every wanted identity that ``other`` has, whole and by this executor."""
    try:
        plan = CalibrationPlan.from_dict(other.plan)
    except FieldError:  # a task that is gone, or a plan that today's rules refuse: nothing of it is wanted
        return
    wanted_here = {run: wanted[key] for run in plan.runs if (key := plan.identity(*run)) in wanted}
    if not wanted_here:
        return
    for old in session.scalars(select(Run).where(Run.calibration_id == other.id, Run.state.in_(ENDED_BY_ITSELF),
                                                 Run.executor == executor)):
        if run := wanted_here.get((old.arm, old.seed)):
            chunks = list(session.scalars(select(Chunk).where(Chunk.run_id == old.id).order_by(Chunk.metric, Chunk.sequence)))
            if _whole(old, chunks, plan):
                yield run, old, chunks


def _whole(run: Run, chunks: list[Chunk], plan: CalibrationPlan) -> bool:
    """True where the judged metric has its value at every point, and every other at those where all are measured.

    Of a run that diverged: up to its end, which is where the judged metric ends.
    """
    points = plan.warm_points if run.arm == WARM_START else plan.evaluation_points
    samples: dict[str, list[int]] = {}
    try:
        for chunk in chunks:
            samples.setdefault(chunk.metric, []).extend(decode(chunk.data)[0].tolist())
    except DamagedChunk:
        return False
    judged = tuple(samples.get(task(plan.task).judged, ()))
    ended = points[: len(judged)] if run.state == "DIVERGED" else points
    complete = [point for point in complete_points(points) if point in ended]
    return bool(judged) and judged == ended and all(set(complete) <= set(samples.get(metric, ())) for metric in run.final)
