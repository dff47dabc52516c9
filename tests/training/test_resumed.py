"""Training that goes on from a snapshot ends with the numbers of training that was never disturbed, to the last bit."""

import io
import random
from dataclasses import replace

import pytest
import torch
from own_tasks import OWN

from sqrtscale.arms import FOLLOWING, Arm
from sqrtscale.plan import make_plan
from sqrtscale.rules import TrainingConfig
from sqrtscale.schedules import schedule
from sqrtscale.tasks import TASKS
from sqrtscale.training import Measured, Resumable, RunEnded, SeedsEnded, StepsMade, calibrate, snapshots
from sqrtscale.training.executors import _executor

BASE = TrainingConfig("adam", 8, {"lr": 1e-3, "beta2": 0.99}, warmup_steps=20, run={"clip_norm": 1.0})


def small(task="digits", base=BASE, target=32, **changes):
    choices = {"seeds": 2, "samples": 320, "start": "scratch", "device": "cpu", "evaluations": 4, "arms": ["base", "scaled"]}
    return make_plan(task, base, target, **choices | changes)


def wild():
    plan = small(seeds=2)
    return replace(plan, arms=(*plan.arms, Arm("linear lr", TrainingConfig("adam", 32, {"lr": 1e9, "eps": 1e-30}))))


CASES = {
    "warm start and svag": lambda: small(start="warm", warm_samples=640, arms=["base", "scaled", "svag 2"]),
    "a follower, seeds in parts": lambda: small(seeds=4, stop_early=True, evaluations=3,
                                                arms=["base", "scaled", FOLLOWING]),
    "an arm that diverges": wild,
    "sgd with a schedule": lambda: small(base=TrainingConfig("sgd", 8, {"lr": 0.01, "momentum": 0.9}), start="warm",
                                         warm_samples=320, schedule=schedule("cosine")),
    **{name: lambda name=name: small(name, OWN[name].defaults.base, 4 * OWN[name].defaults.base.batch_size, start="warm",
                                     samples=16 * OWN[name].defaults.base.batch_size, seeds=1,
                                     warm_samples=8 * OWN[name].defaults.base.batch_size)
       for name in OWN},
}


def told(event):
    """What must be the same; progress and timings need not be."""
    if isinstance(event, Measured):
        return event.arm, event.seed, event.samples, tuple((name, float(value).hex()) for name, value in event.values.items())
    if isinstance(event, StepsMade):
        return event.stream, event.batch_size, event.models, event.executor, event.steps
    return event if isinstance(event, RunEnded | SeedsEnded) else None


@pytest.mark.parametrize("name", CASES)
def test_it_goes_on_from_anywhere_as_if_nothing_had_been(name, monkeypatch, tmp_path):
    if name in OWN:
        monkeypatch.setitem(TASKS, name, OWN[name])
    monkeypatch.setitem(_executor.WORK, "cpu", 2e7)  # a few steps a call: snapshots lie in the middle of a stretch, too
    plan, whole, kept = CASES[name](), [], []
    for event in calibrate(plan):
        if isinstance(event, Resumable):
            memory = io.BytesIO()
            torch.save(event.snapshot(), memory)
            kept.append((len(whole), memory.getvalue()))
        whole.append(event)
    assert len(kept) > 4 * len(plan.evaluation_points)
    for index, data in random.Random(name).sample(kept, 4):
        path = tmp_path / "snapshot"
        snapshots.write(path, {"training": torch.load(io.BytesIO(data), weights_only=True)})
        resumed = list(calibrate(plan, snapshot=snapshots.read(path)["training"]))
        expected = list(filter(None, map(told, whole[index:])))
        assert list(filter(None, map(told, resumed))) == expected
