"""Calibrations in any state, with made-up curves, for tests of what is done with stored ones."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from sqrtscale.plan import WARM_START, CalibrationPlan, make_plan
from sqrtscale.report import NO_TEST
from sqrtscale.rules import TrainingConfig
from sqrtscale.runner import process
from sqrtscale.store import Store
from sqrtscale.tasks import task
from sqrtscale.training.events import Measured

BASE = TrainingConfig("adam", 8, {"lr": 2e-3})
HEIGHT = {"base": 0.30, "scaled": 0.31, "unscaled": 0.22, "linear lr": 0.40, WARM_START: 0.35}
ENVIRONMENT = {"device": "cpu", "device_name": "a test", "packages": {"torch": "2.13.0"}, "git_commit": "abc1234",
               "executor": "eager"}
Change = Callable[[Measured], Measured]


def plan(**changes) -> CalibrationPlan:
    """A small plan of the digits task: two seeds, all arms, a warm start."""
    given = {"seeds": 2, "samples": 6_400, "warm_samples": 3_200, "evaluations": 24} | changes
    return make_plan(given.pop("task", "digits"), given.pop("base", BASE), given.pop("target", 64), **given)


def points(chosen: CalibrationPlan, upto: float = 1.0) -> list[Measured]:
    """Curves that fall towards HEIGHT, each seed at a distance of its own; up to a share of the budget."""
    found = []
    for arm, seed in chosen.runs:
        total = chosen.warm_samples if arm == WARM_START else chosen.samples
        for at in (round(total * i / 24) for i in range(25)):
            if at > upto * total:
                break
            height = HEIGHT.get(arm, HEIGHT["scaled"])
            loss = height + 0.001 * (seed - 0.5) + 0.8 * math.exp(-4 * at / total) + 0.002 * math.sin(at + seed)
            values = {"val_loss": loss, "train_loss": loss - 0.05, "val_accuracy": 1 - loss / 4}
            metrics = task(chosen.task).metrics
            found.append(Measured(arm, seed, at, {name: value for name, value in values.items() if name in metrics}))
    return found


def calibration(
    store: Store, state: str = "DONE", *, name: str = "", reason: str = "", measured: Iterable[Measured] | None = None,
    ended: dict[tuple[str, int], tuple[str, str]] | None = None, chosen: CalibrationPlan | None = None,
    environment: dict[str, Any] = ENVIRONMENT,
) -> str:
    """Store one calibration in that state, as its processes would have left it; returns its id.

    measured: its points (default: full curves); ended: (arm, seed) -> (state, reason) of runs that ended by themselves.
    One that is not final belongs to this process, so that it counts as alive.
    """
    chosen = chosen or plan()
    id = store.create(chosen, name)
    store.set_environment(id, environment)
    me = process.me()
    store.set_process(id, host=me.host, boot_id=me.boot_id, pid=me.pid, pid_started=me.pid_started)
    if state == "QUEUED":
        return id
    store.transition(id, "STARTING", among=["QUEUED"])
    if state == "STARTING":
        return id
    store.transition(id, "RUNNING", among=["STARTING"])
    measured = points(chosen) if measured is None else list(measured)
    if measured:
        store.write_points(id, measured)
    for (arm, seed), (end, why) in (ended or {}).items():
        store.end_run(id, arm, seed, end, why)
    total = chosen.warm_samples + chosen.samples * len(chosen.arms) * len(chosen.seeds)
    done = total if state == "DONE" else total // 2
    store.heartbeat(id, phase="arms", done=done, total=total, samples_per_second=6_800.0, device="a test")
    if state == "CANCELLING":
        store.request_cancel(id)
    elif state != "RUNNING":
        store.transition(id, state, among=["RUNNING"], reason=reason)
    return id


def stopped(store: Store, noise_scale: float = 2.0) -> str:
    """One that was stopped at the branch point, with that noise scale measured there; returns its id."""
    chosen = plan(seeds=3)
    warm = [point for point in points(chosen) if point.arm == WARM_START]
    branch = [Measured(arm, seed, 0, {"val_loss": 0.35, "signal": 1.0 + 0.01 * seed, "noise": noise_scale})
              for arm, seed in chosen.runs if arm != WARM_START]
    ended = {run: ("DONE", "") if run[0] == WARM_START else ("SKIPPED", NO_TEST) for run in chosen.runs}
    return calibration(store, chosen=chosen, measured=warm + branch, ended=ended)


def all_nan(chosen: CalibrationPlan) -> list[Measured]:
    """Points of which not one is finite."""
    return [Measured(one.arm, one.seed, one.samples, dict.fromkeys(one.values, math.nan)) for one in points(chosen)]


def diverged(chosen: CalibrationPlan, arm: str) -> list[Measured]:
    """Points where every run of one arm grows, then is NaN, then stops."""
    kept = []
    for one in points(chosen):
        share = one.samples / chosen.samples
        if one.arm != arm:
            kept.append(one)
        elif share < 0.5:
            kept.append(Measured(arm, one.seed, one.samples, {name: float(np.exp(9 * share)) for name in one.values}))
        elif share < 0.55:
            kept.append(Measured(arm, one.seed, one.samples, dict.fromkeys(one.values, math.nan)))
    return kept
