"""Curve points in and out of chunks."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from sqlalchemy import select, update
from sqlalchemy.orm import Session

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
        if last.count < CAPACITY:
            sequence = last.sequence
            old_samples, old_values = decode(last.data)
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
