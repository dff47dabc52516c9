"""Curve points in and out of chunks."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import partial, reduce
from typing import TYPE_CHECKING

import numpy as np
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from ..compared import ImportedPlan
from ..tasks import Metric, task
from ..training.events import Measured
from .chunks import CAPACITY, DamagedChunk, decode, encode
from .models import Calibration, Chunk, Run
from .records import ends

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ["arm", "seed", "metric", "samples", "value"]


def write(session: Session, id: str, measured: Sequence[Measured]) -> None:
    """Append measurements to their curves; the last chunk of a curve is rewritten until it is full."""
    # The calibration's row first, as a transition takes it: from here on nobody ends the runs that are read below.
    session.execute(update(Calibration).where(Calibration.id == id).values(points=Calibration.points + len(measured)))
    rows = session.scalars(select(Run).where(Run.calibration_id == id).order_by(Run.id).with_for_update())
    runs = {(run.arm, run.seed): run for run in rows}
    metrics = task(session.scalar(select(Calibration.task).where(Calibration.id == id))).metrics
    curves: dict[tuple[str, int, str], list[tuple[int, float]]] = defaultdict(list)
    for point in measured:
        run = runs.get((point.arm, point.seed))
        if run is None:
            raise LookupError(f"calibration {id} has no run of arm {point.arm} with seed {point.seed}")
        for metric, value in point.values.items():
            curves[point.arm, point.seed, metric].append((point.samples, value))
        if run.state == "QUEUED":
            run.state = "RUNNING"
        # Diagnostics are curves alone: they have no better and no worse, and lists stay short without them.
        results = {name: value for name, value in point.values.items() if name in metrics}
        run.final = run.final | results
        run.best = run.best | {
            name: _better(metrics[name], run.best.get(name, math.nan), value) for name, value in results.items()}
    spreads = ends((run.arm, run.final) for run in runs.values())
    session.execute(update(Calibration).where(Calibration.id == id).values(ends=spreads))
    for (arm, seed, metric), points in curves.items():
        samples, values = zip(*points, strict=True)
        try:
            _append(session, runs[arm, seed].id, metric, np.array(samples, np.int64), np.array(values, np.float64))
        except DamagedChunk as error:
            raise _named(error, id, arm, seed, metric, "the last") from error


def write_imported(session: Session, plan: ImportedPlan, curves: pd.DataFrame, row: Calibration) -> None:
    """Store an imported comparison with its runs and their whole curves."""
    session.add(row)
    session.flush()  # runs refer to it
    session.add_all(Run(calibration_id=row.id, arm=run.arm, seed=run.seed, state="DONE", config={}) for run in plan.runs)
    session.flush()
    _write_curves(session, row.id, plan.judged, curves)


def _write_curves(session: Session, id: str, judged: str, curves: pd.DataFrame) -> None:
    """Store whole curves of runs that have none; those whose curve of ``judged`` ends without a finite value diverged."""
    runs = {(run.arm, run.seed): run for run in session.scalars(select(Run).where(Run.calibration_id == id).order_by(Run.id))}
    for _, points in curves.groupby(["arm", "seed", "metric"], sort=False):
        arm, seed, metric = (points[name].tolist()[0] for name in ("arm", "seed", "metric"))
        run, values = runs[arm, seed], points["value"].to_numpy(np.float64)
        _append(session, run.id, metric, points["samples"].to_numpy(np.int64), values)
        if metric == judged:
            run.final = {metric: float(values[-1])}
            if not math.isfinite(values[-1]):
                run.state, run.reason = "DIVERGED", "its curve ends without a finite value"
    spreads = ends((run.arm, run.final) for run in runs.values())
    session.execute(update(Calibration).where(Calibration.id == id).values(ends=spreads))


def summary(session: Session, run_id: int, metrics: Mapping[str, Metric]) -> tuple[dict[str, float], dict[str, float]]:
    """The last and the best value of every metric of the task, from what is stored of a run's curves."""
    values: dict[str, list[float]] = defaultdict(list)
    query = select(Chunk).where(Chunk.run_id == run_id, Chunk.metric.in_(metrics)).order_by(Chunk.sequence)
    for chunk in session.scalars(query):
        values[chunk.metric] += decode(chunk.data)[1].tolist()
    measured = [name for name in metrics if name in values]
    return ({name: values[name][-1] for name in measured},
            {name: reduce(partial(_better, metrics[name]), values[name]) for name in measured})


def _better(metric: Metric, old: float, new: float) -> float:
    """The better of two values; NaN only if both are."""
    choose = np.fmax if metric.higher_is_better else np.fmin
    return float(choose(old, new))


def _append(session: Session, run_id: int, metric: str, samples: np.ndarray, values: np.ndarray) -> None:
    last = session.scalar(select(Chunk).where(Chunk.run_id == run_id, Chunk.metric == metric)
                          .order_by(Chunk.sequence.desc()).limit(1))
    sequence = 0
    if last is not None:
        sequence = last.sequence + 1
        old_samples, old_values = decode(last.data)
        # A curve only goes on: what it has already came in a first try whose answer was lost.
        is_new = samples > old_samples[-1]
        samples, values = samples[is_new], values[is_new]
        if last.count < CAPACITY:
            sequence = last.sequence
            samples, values = np.concatenate([old_samples, samples]), np.concatenate([old_values, values])
    for start in range(0, len(samples), CAPACITY):
        piece = slice(start, start + CAPACITY)
        session.merge(Chunk(run_id=run_id, metric=metric, sequence=sequence, count=len(samples[piece]),
                            data=encode(samples[piece], values[piece])))
        sequence += 1


def read(session: Session, id: str) -> pd.DataFrame:
    """Every point of a calibration, ordered by run, metric and place in the curve."""
    import pandas as pd  # only readers of curves pay for it: without it a supervisor takes 57 MB instead of 125

    query = (select(Run.arm, Run.seed, Chunk.metric, Chunk.sequence, Chunk.data).join(Chunk, Chunk.run_id == Run.id)
             .where(Run.calibration_id == id).order_by(Run.id, Chunk.metric, Chunk.sequence))
    pieces = []
    for arm, seed, metric, sequence, data in session.execute(query):
        try:
            samples, values = decode(data)
        except DamagedChunk as error:
            raise _named(error, id, arm, seed, metric, sequence) from error
        pieces.append((arm, seed, metric, samples, values))
    counts = [len(piece[3]) for piece in pieces]
    labels = {name: np.repeat(np.array([piece[i] for piece in pieces], dtype=kind), counts)
              for i, (name, kind) in enumerate((("arm", object), ("seed", np.int64), ("metric", object)))}
    return pd.DataFrame(labels | {
        "samples": np.concatenate([piece[3] for piece in pieces]) if pieces else np.array([], np.int64),
        "value": np.concatenate([piece[4] for piece in pieces]) if pieces else np.array([], np.float64),
    }, columns=COLUMNS)


def _named(error: DamagedChunk, id: str, arm: str, seed: int, metric: str, sequence: int | str) -> DamagedChunk:
    return DamagedChunk(f"piece {sequence} of the curve {metric} of arm {arm}, seed {seed}, in calibration {id} "
                        f"cannot be read: {error}; restore the database from a backup")
