"""Whole calibrations on a pretended GPU: the numbers of eager autograd on the CPU, by replayed graphs, whatever is trained."""

from __future__ import annotations

import pytest
import torch
from own_tasks import EVERY
from pretended_gpu import pretended

from sqrtscale.plan import CalibrationPlan, make_plan
from sqrtscale.rules import FieldError, TrainingConfig
from sqrtscale.schedules import schedule
from sqrtscale.tasks import TASKS
from sqrtscale.training import Measured, RunEnded, StepsMade, calibrate, device, environment, executors, regime, threads
from sqrtscale.training.executors import Captured, Compiled, Eager, Looped, eager, recording
from sqrtscale.training.optimizers import TRAINED


@pytest.fixture(autouse=True)
def executors_of_both(monkeypatch):
    """No compiled kernels, which round otherwise, and one thread; no capture that failed in another test; few passes that only
    measure.
    """
    for module in (eager, threads, device):
        monkeypatch.setattr(module, "ALL_THREADS", 1)
    usual = torch.get_num_threads()
    torch.set_num_threads(1)
    monkeypatch.setattr(executors, "TABLE", (Looped, Captured, Eager))
    monkeypatch.setattr(recording, "_failures", [])
    for name, value in {"LEAST": 2, "TAILS_LEAST": 8}.items():
        monkeypatch.setattr(regime, name, value)
    yield
    torch.set_num_threads(usual)


def plan(device: str, base: TrainingConfig, task: str = "digits", **more) -> CalibrationPlan:
    chosen = {"seeds": 1, "samples": 32, "warm_samples": 16, "arms": ["base", "scaled"], "evaluations": 2} | more
    return make_plan(task, base, 2 * base.batch_size, device=device, **chosen)


def curves(plan: CalibrationPlan) -> dict:
    """(arm, seed, samples) -> every number that was measured there."""
    events = list(calibrate(plan))
    for event in events:
        if isinstance(event, StepsMade):
            graph = event.executor == "captured" or (event.executor == "looped" and "random" not in event.how)
            few = event.how == "operation by operation: too few steps"  # the last one before a measurement is not replayed
            assert event.device == "cpu" or few or event.how.startswith("as a CUDA graph of ") is graph
            assert event.steps > 0 and event.ms > 0
    assert sum(isinstance(event, StepsMade) for event in events) >= 2 - (plan.start == "scratch")
    assert all(event.state == "DONE" for event in events if isinstance(event, RunEnded))
    return {(event.arm, event.seed, event.samples): event.values for event in events if isinstance(event, Measured)}


def adam(**more) -> TrainingConfig:
    return TrainingConfig("adam", 4, {"lr": 1e-3}, **more)


def test_there_are_cases_for_every_optimizer():
    assert {"adam", "adamw", "sgd", "rmsprop"} < set(TRAINED)


@pytest.mark.parametrize("family", TRAINED)
def test_every_optimizer_trains_as_on_the_cpu_and_by_graphs(family):
    base = TrainingConfig(family, 4, {"lr": 1e-3})
    with pretended() as gpu:
        assert environment("auto", plan("auto", base))["executor"] == "captured"
        there = curves(plan("auto", base))
    assert there == curves(plan("cpu", base))
    # The warm start and two arms, each captured once; 4, 8 and 4 steps, of which two at every end are watched, not replayed,
    # and the trial of each recording, which replays it once.
    assert len(gpu.graphs) == 3 and gpu.replays == (4 - 2) + (8 - 2) + (4 - 2) + 3
    assert len({len(graph) for graph in gpu.graphs}) == 1


CLIPPED = {"clip_norm": 0.5}


@pytest.mark.parametrize("base, more", [
    (adam(run=CLIPPED), {}),
    (adam(warmup_steps=3, total_steps=100), {"start": "scratch", "warm_samples": None}),
    (adam(), {"arms": ["base", "scaled", "svag 2"]}),
    (adam(), {"task": "pydoc"}),
    (TrainingConfig("adamw", 4, {"lr": 1e-3, "weight_decay": 0.1}, run=CLIPPED), {"seeds": 2, "schedule": schedule("cosine")}),
], ids=["clipping", "warm-up", "SVAG", "language", "weight decay, clipping, cosine"])
def test_what_a_step_may_have_beside_the_optimizer(base, more):
    with pretended() as gpu:
        there = curves(plan("cuda", base, **more))
    assert there == curves(plan("cpu", base, **more)) and gpu.replays > len(gpu.graphs) > 1
    if base.run:
        assert any(values.get("clipped", 0) > 0 for values in there.values())


def test_two_devices_share_the_models():
    more = {"seeds": 2, "arms": ["base", "scaled", "unscaled"]}
    with pretended(2) as gpu:
        there = curves(plan("all", adam(), **more))
    assert there == curves(plan("cpu", adam(), **more))
    assert len(gpu.graphs) == 1 + 2 * 2  # the warm start on the first; two batch sizes on both


@pytest.mark.parametrize("batch, place", [(8, "cpu"), (32, "cuda:0")])
def test_a_warm_start_that_is_too_small_for_a_gpu_trains_on_the_cpu(batch, place, monkeypatch):
    """By the compiled kernels, and every number of it is that of a calibration on the CPU; the arms branch on the GPU."""
    monkeypatch.setattr(executors, "TABLE", (Compiled, Looped, Captured, Eager))
    base, more = TrainingConfig("adam", batch, {"lr": 1e-3}), {"samples": 4 * batch, "warm_samples": 3 * batch}
    with pretended() as gpu:
        there = plan("cuda", base, **more)
        assert environment("cuda", there)["executor"] == ("compiled warm start, captured" if place == "cpu" else "captured")
        events = list(calibrate(there))
    assert {(event.stream, event.device, event.executor) for event in events if isinstance(event, StepsMade)} == {
        ("warm start", place, "compiled" if place == "cpu" else "captured"), ("branch", "cuda:0", "captured")}
    assert len(gpu.graphs) == (1 if place == "cpu" else 2)  # base; two steps of the scaled arm are both watched
    here = [event for event in calibrate(plan("cpu", base, **more)) if isinstance(event, Measured)]
    for one, other in zip((event for event in events if isinstance(event, Measured)), here, strict=True):
        assert (one.arm, one.seed, one.samples) == (other.arm, other.seed, other.samples)
        if one.arm == "warm start" and place == "cpu":
            assert one.values == other.values
        assert one.values["val_loss"] == pytest.approx(other.values["val_loss"], rel=1e-4)


@pytest.mark.parametrize("name", sorted(name for name, about in EVERY.items() if not about.network().stacked))
def test_modules_one_after_another(name, monkeypatch):
    """By a graph, unless they draw random numbers."""
    monkeypatch.setitem(TASKS, name, EVERY[name])
    base = TrainingConfig("adam", 8, {"lr": 1e-3})
    with pretended() as gpu:
        there = curves(plan("cuda", base, name))
    assert there == curves(plan("cpu", base, name))
    assert bool(gpu.replays) == bool(gpu.graphs)


def test_a_device_that_is_not_there():
    with pretended(2), pytest.raises(FieldError, match=r"cuda:2.*cpu, cuda:0, cuda:1"):
        next(calibrate(plan("cuda:2", adam())))
