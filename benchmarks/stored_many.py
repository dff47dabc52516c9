"""Many stored calibrations with everything that pages read, made in seconds, for benchmarks.

Five are written as the training child would write them, with curves that match, differ, or cannot be told; the rest are copies of
their rows.
"""

from __future__ import annotations

import math
import uuid

import numpy as np
from sqlalchemy import text

from sqrtscale.plan import WARM_START, CalibrationPlan, make_plan
from sqrtscale.report import judged
from sqrtscale.rules import TrainingConfig
from sqrtscale.store import Store
from sqrtscale.training.events import Measured

ENVIRONMENT = {"device": "cpu", "device_name": "none: made by a benchmark", "threads": 2, "python": "3.11", "engine": 1,
               "packages": {"torch": "2.13.0", "numpy": "2.3.0", "scikit-learn": "1.8.0"}, "git_commit": "0" * 40}
AWAY = (0.0, 0.004, 0.02, 0.06, -0.05)  # how far the scaled arm ends from base, nats
SPREAD, APART = 0.01, 0.002  # between seeds, and between arms of one seed, which share their samples
LAYERS = ("hidden.weight", "hidden.bias", "out.weight", "out.bias")


def fill(store: Store, count: int) -> list[str]:
    """Store ``count`` calibrations of five arms with six seeds, and a warm start; returns their ids, oldest first."""
    plan = make_plan("digits", TrainingConfig("adam", 8, {"lr": 2e-3}), 64, seeds=6,
                     arms=["unscaled", "linear lr", "sqrt lr"])
    first = [_written(store, plan, away, number) for number, away in enumerate(AWAY[:count])]
    return first + _copied(store, first, count - len(first))


def _written(store: Store, plan: CalibrationPlan, away: float, number: int) -> str:
    id = store.create(plan, f"calibration number {number}")
    store.set_environment(id, ENVIRONMENT)
    for old, new in (("QUEUED", "STARTING"), ("STARTING", "RUNNING")):
        store.transition(id, new, among=[old])
    store.write_points(id, [one for run in plan.runs for one in _run(plan, *run, away, number)])
    for arm, seed in plan.runs:
        store.end_run(id, arm, seed, "DONE")
    store.heartbeat(id, phase="arms", done=plan.work, total=plan.work, samples_per_second=6_800.0, device="none")
    judged(store, store.get(id))
    store.transition(id, "DONE", among=["RUNNING"])
    return id


def _run(plan: CalibrationPlan, arm: str, seed: int, away: float, number: int) -> list[Measured]:
    """The points of one run: a falling loss, and at five of them the regime, as the training engine measures it."""
    rng = np.random.default_rng([number, seed, *arm.encode()])
    points = plan.warm_points if arm == WARM_START else plan.evaluation_points
    end = 0.3 + {"scaled": away, "unscaled": -0.08, "linear lr": 0.1}.get(arm, 0.0) + rng.normal(0, APART)
    end += np.random.default_rng([number, seed]).normal(0, SPREAD)
    probed = {points[round((len(points) - 1) * i / 4)] for i in range(5)}
    found = []
    for at in points:
        loss = end + 0.8 * math.exp(-4 * at / points[-1]) + rng.normal(0, 0.002)
        values = {"val_loss": loss, "train_loss": loss - 0.05, "val_accuracy": 1 - loss / 4}
        if at in probed:
            batch, noise, signal = plan.config_of(arm).batch_size, *rng.lognormal(0, 0.2, 2)
            values |= {"signal": 1e-4 * signal, "noise": 0.2 * noise, "signal_pre": 2 * signal, "noise_pre": 9e3 * noise,
                       "second_moment": 1e-6 * (1 + 2000 / batch) * noise, "update_rms": 1e-3, "eps_share": 1e-4}
        if arm in ("base", "scaled") and seed == plan.seeds[0] and at in (points[0], points[-1]):
            values |= {f"{name}/{layer}": value + rng.normal(0, 0.01) for layer in LAYERS for name, value in (
                ("tail", 1.9), ("tail_error", 0.05), ("hill", 3.0), ("hill_error", 0.2), ("normality", 0.1))}
        found.append(Measured(arm, seed, at, values))
    return found


def _copied(store: Store, first: list[str], count: int) -> list[str]:
    """Rows of ``first`` again, ``count`` times, under new ids."""
    ids = [uuid.uuid4().hex[:12] for _ in range(count)]
    with store._engine.begin() as connection:
        own = {"calibration": ("number", "id", "name"), "run": ("id", "calibration_id")}
        rest = {table: ", ".join(row[1] for row in connection.execute(text(f"PRAGMA table_info({table})")) if row[1] not in names)
                for table, names in own.items()}
        for i, id in enumerate(ids):
            names = {"new": id, "old": first[i % len(first)], "name": f"calibration number {i + len(first)}"}
            for statement in (
                f"INSERT INTO calibration (id, name, {rest['calibration']}) SELECT :new, :name, {rest['calibration']} "
                "FROM calibration WHERE id = :old",
                f"INSERT INTO run (calibration_id, {rest['run']}) SELECT :new, {rest['run']} FROM run "
                "WHERE calibration_id = :old ORDER BY id",
                "INSERT INTO chunk (run_id, metric, sequence, count, data) SELECT mine.id, metric, sequence, count, data "
                "FROM chunk JOIN run AS theirs ON run_id = theirs.id JOIN run AS mine ON mine.arm = theirs.arm "
                "AND mine.seed = theirs.seed WHERE mine.calibration_id = :new AND theirs.calibration_id = :old",
            ):
                connection.execute(text(statement), names)
    return ids
