"""The calibration as a whole, on small budgets of the real tasks."""

import json
import math
import subprocess
import sys
import weakref
from itertools import pairwise

import pytest
import torch
from own_tasks import EVERY, ways

from sqrtscale.diagnostics import about
from sqrtscale.plan import WARM_START, Arm, CalibrationPlan, make_plan
from sqrtscale.rules import FieldError, TrainingConfig
from sqrtscale.tasks import TASKS, task
from sqrtscale.training import Branched, Measured, Progress, RunEnded, SeedsEnded, calibrate, engine, environment, executors
from sqrtscale.training import estimate as timed
from sqrtscale.training.executors._executor import WORK
from sqrtscale.training.memory import state_bytes

BASE = TrainingConfig("adam", 8, {"lr": 1e-3})


def small(task_name="digits", **changes):
    choices = dict(seeds=2, samples=640, start="scratch", device="cpu")
    return make_plan(task_name, BASE, 64, **{**choices, **changes})


def curves(events):
    found = {}
    for event in events:
        if isinstance(event, Measured):
            found.setdefault((event.arm, event.seed), []).append((event.samples, event.values))
    return found


def test_every_run_is_measured_at_the_same_samples_and_ends():
    plan = small()
    events = list(calibrate(plan))
    found = curves(events)
    assert set(found) == {(arm, seed) for arm in ("base", "scaled", "unscaled", "linear lr") for seed in (0, 1)}
    for points in found.values():
        assert tuple(samples for samples, _ in points) == plan.evaluation_points
        assert all({metric for metric in values if about(metric) is None} == {"val_loss", "train_loss", "val_accuracy"}
                   for _, values in points)
    assert {(e.arm, e.seed, e.state) for e in events if isinstance(e, RunEnded)} == {(*run, "DONE") for run in plan.runs}
    last = [e for e in events if isinstance(e, Progress)][-1]
    assert last.done == last.total == 640 * 8


def test_with_many_points_the_judged_metric_is_measured_at_each_and_the_others_at_some():
    plan = small(samples=64 * 60, seeds=1, evaluations=60)
    points = curves(calibrate(plan))["scaled", 0]
    assert len(plan.evaluation_points) == 61 and [samples for samples, _ in points] == list(plan.evaluation_points)
    assert all("val_loss" in values for _, values in points)
    complete = [samples for samples, values in points if "train_loss" in values]
    assert len(complete) == 25 and complete[0] == 0 and complete[-1] == plan.samples
    assert max(later - earlier for earlier, later in pairwise(complete)) <= 3 * 64  # spread evenly
    assert len(plan.warm_points) <= 25  # nothing hangs on that curve


def test_arms_start_from_the_same_weights_and_seeds_differ():
    found = curves(calibrate(small(samples=64)))
    for seed in (0, 1):
        assert len({found[arm, seed][0][1]["val_loss"] for arm in ("scaled", "unscaled", "linear lr")}) == 1
        assert found["base", seed][0][1]["val_loss"] == pytest.approx(found["scaled", seed][0][1]["val_loss"], rel=1e-6)
    assert found["base", 0][0][1]["val_loss"] != found["base", 1][0][1]["val_loss"]


def test_a_seed_repeats_itself_and_other_seeds_beside_it_do_not_matter():
    first, second = curves(calibrate(small())), curves(calibrate(small(seeds=1)))
    for (arm, seed), points in second.items():
        for (_, a), (_, b) in zip(points, first[arm, seed], strict=True):
            assert a["val_loss"] == pytest.approx(b["val_loss"], rel=1e-4)


@pytest.mark.parametrize("name, executor", ways())
def test_models_spread_over_devices_are_the_same_runs(monkeypatch, name, executor):
    """Here five times the processor: arms branch from a warm start on the first, shares are uneven, some would be empty."""
    monkeypatch.setitem(TASKS, name, EVERY[name])
    monkeypatch.setattr(executors, "TABLE", (executor,))
    plan = small(name, start="warm", warm_samples=160, samples=128, seeds=3, stop_early=True, arms=["unscaled"])
    one = list(calibrate(plan))
    monkeypatch.setattr(engine, "resolve", lambda name: (torch.device("cpu"),) * 5)
    several = list(calibrate(plan))
    a, b = curves(one), curves(several)
    assert a.keys() == b.keys()
    for run, points in a.items():
        for (at, x), (there, y) in zip(points, b[run], strict=True):
            assert at == there and x == pytest.approx(y, rel=1e-4)
    assert {(e.arm, e.seed, e.state) for e in one if isinstance(e, RunEnded)} == {
        (e.arm, e.seed, e.state) for e in several if isinstance(e, RunEnded)}
    last = [e for e in several if isinstance(e, Progress)][-1]
    assert last.done == last.total == plan.work


@pytest.mark.parametrize("arms, seeds, devices", [(1, 7, 3), (1, 2, 5), (2, 4, 8), (1, 1, 1), (3, 4, 2), (6, 8, 3), (5, 3, 4)])
def test_every_run_trains_on_one_of_the_devices_and_few_draw_the_same_samples(arms, seeds, devices):
    runs = [(arm, seed) for arm in "abcdef"[:arms] for seed in range(seeds)]
    parts = [part for _, part in engine.spread(runs, range(devices))]
    assert sorted(run for part in parts for run in part) == sorted(runs)
    sizes = [len(part) for part in parts]
    assert len(parts) == min(len(runs), devices) and sizes[0] == max(sizes) <= min(sizes) + 1
    assert sum(len({seed for _, seed in part}) for part in parts) <= seeds + len(parts) - 1
    assert all(part == [run for run in runs if run in part] for part in parts)


def test_seeds_in_parts_are_the_same_runs_with_time_to_judge_in_between():
    whole = curves(calibrate(small(seeds=4, samples=128)))
    events = list(calibrate(small(seeds=4, samples=128, stop_early=True)))
    (between,) = [i for i, event in enumerate(events) if isinstance(event, SeedsEnded)]
    assert events[between].count == 3
    assert {e.seed for e in events[:between] if isinstance(e, RunEnded)} == {0, 1, 2}
    assert {e.seed for e in events[between:] if isinstance(e, (Measured, RunEnded))} == {3}
    parts = curves(events)
    assert parts.keys() == whole.keys()
    for run, points in parts.items():
        for (_, a), (_, b) in zip(points, whole[run], strict=True):
            assert a["val_loss"] == pytest.approx(b["val_loss"], rel=1e-4)


@pytest.mark.parametrize("start", [{"start": "warm", "warm_samples": 160}, {"start": "scratch"}], ids=["warm", "scratch"])
def test_every_arm_of_a_part_is_measured_at_its_start_before_any_trains(start):
    events = list(calibrate(small(**start, seeds=4, samples=128, stop_early=True, arms=[])))
    (first, second) = [i for i, event in enumerate(events) if isinstance(event, Branched)]
    arms = [(i, event) for i, event in enumerate(events) if isinstance(event, Measured) and event.arm != WARM_START]
    assert {(e.arm, e.seed) for i, e in arms if i < first} == {(arm, seed) for arm in ("base", "scaled") for seed in (0, 1, 2)}
    assert all(e.samples == 0 and "noise" in e.values for i, e in arms if i < first)
    assert [(e.arm, e.samples) for i, e in arms if i < second and e.seed == 3] == [("base", 0), ("scaled", 0)]


def test_the_models_of_one_part_are_gone_when_the_next_begins(monkeypatch):
    made, usual = [], engine.Group.__init__

    def spy(group, *rest):
        usual(group, *rest)
        made.append(weakref.ref(group.population))

    monkeypatch.setattr(engine.Group, "__init__", spy)
    for event in calibrate(small(seeds=4, samples=64, stop_early=True)):
        if isinstance(event, SeedsEnded):
            assert len(made) == 2 and [one() for one in made] == [None, None]
    assert len(made) == 4


def test_warm_start_trains_once_and_every_arm_branches_there():
    plan = small(start="warm", warm_samples=800)
    found = curves(calibrate(plan))
    assert [run for run in found if run[0] == WARM_START] == [(WARM_START, 0)]
    end = found[WARM_START, 0][-1]
    assert end[0] == 800
    for (arm, _), points in found.items():
        if arm != WARM_START:
            assert points[0][1]["val_loss"] == pytest.approx(end[1]["val_loss"], rel=1e-5)


def test_training_learns():
    found = curves(calibrate(make_plan("digits", BASE, 16, seeds=1, samples=12_000, start="scratch", arms=["base"])))
    first, last = found["base", 0][0][1], found["base", 0][-1][1]
    assert last["train_loss"] < 0.8 * first["train_loss"]
    assert last["val_accuracy"] > 0.3


def test_a_diverging_arm_ends_alone_with_a_reason():
    plan = small()
    wild = Arm("linear lr", TrainingConfig("adam", 64, {"lr": 1e9, "eps": 1e-30}))
    plan = CalibrationPlan(**{**{f: getattr(plan, f) for f in plan.__dataclass_fields__},
                              "arms": (*plan.arms[:-1], wild)})
    events = list(calibrate(plan))
    ends = {(e.arm, e.seed): e for e in events if isinstance(e, RunEnded)}
    for seed in (0, 1):
        assert ends["linear lr", seed].state == "DIVERGED" and "training loss" in ends["linear lr", seed].reason
        assert math.isnan(curves(events)["linear lr", seed][-1][1]["val_loss"])
        assert {ends[arm, seed].state for arm in ("base", "scaled", "unscaled")} == {"DONE"}
    assert all(math.isfinite(v["val_loss"]) for _, v in curves(events)["scaled", 1])


def test_a_warm_start_that_diverges_says_what_to_do():
    wild = TrainingConfig("adam", 8, {"lr": 1e9, "eps": 1e-30})
    with pytest.raises(RuntimeError, match=r"warm start diverged.*lower the base learning rate"):
        list(calibrate(make_plan("digits", wild, 16, seeds=1, samples=640, warm_samples=800)))


def test_a_device_that_is_not_there_is_named():
    with pytest.raises(FieldError, match=r"device = 'cuda:99' is not on this machine: give one of cpu"):
        next(calibrate(small(device="cuda:99")))


def test_closing_the_generator_stops_it():
    events = calibrate(small(samples=64_000))
    next(events)
    events.close()
    assert list(events) == []


def test_products_are_rounded_where_the_task_allows_it_and_only_meanwhile(monkeypatch):
    """Of a GPU; the flag can be set anywhere."""
    for allowed in (True, False):
        monkeypatch.setattr(type(task("digits")), "tf32", allowed)
        events = calibrate(small())
        next(events)
        assert torch.backends.cuda.matmul.allow_tf32 is torch.backends.cudnn.allow_tf32 is allowed
        events.close()
        assert torch.backends.cuda.matmul.allow_tf32 is False and torch.backends.cudnn.allow_tf32 is True  # as torch has them


def test_environment_is_json_and_names_the_device():
    found = json.loads(json.dumps(environment("cpu")))
    assert found["device"] == "cpu" and found["device_name"] and found["packages"]["torch"]


def run_estimate(text):
    return subprocess.run([sys.executable, "-m", "sqrtscale.training.estimate"], input=text, text=True, capture_output=True)


def test_estimate_times_every_arm():
    done = run_estimate(json.dumps(small(start="warm", warm_samples=800).as_dict()))
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert set(found["arms"]) == {WARM_START, "base", "scaled", "unscaled", "linear lr"}
    assert found["seconds"] > sum(found["arms"].values()) > 0


def test_the_estimate_counts_parts_and_devices(monkeypatch):
    """With a clock that says one second for each step, sample, measurement and micro-batch."""
    def found(seeds, devices=1, **changes):
        monkeypatch.setattr(timed, "resolve", lambda name: (torch.device("cpu"),) * devices)
        return timed.estimate(small(seeds=seeds, **changes))

    monkeypatch.setattr(timed, "_time", lambda work, device, steps=1: 1.0)
    monkeypatch.setattr(timed, "WARM_STEPS", 1)
    monkeypatch.setitem(WORK, "cpu", 1.0)  # one step a call is enough
    monkeypatch.setattr(executors, "TABLE", (executors.Eager,))
    one, parts, two = found(3), found(4, stop_early=True), found(3, devices=2)
    assert parts["arms"] == {arm: 2 * seconds for arm, seconds in one["arms"].items()}
    assert parts["memory"] == one["memory"] > 12 * state_bytes(task("digits").sizes["tiny"])
    steps = {arm.name: 640 / arm.config.batch_size / (1 if arm.name == "base" else 3) for arm in small().arms}
    assert two["arms"] == pytest.approx({arm: 2 * seconds - steps[arm] for arm, seconds in one["arms"].items()})
    assert two["memory"] <= one["memory"] - 5 * state_bytes(task("digits").sizes["tiny"])  # 7 of the 12 models


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"task": "nothing"}'])
def test_estimate_refuses_what_is_no_plan(text):
    done = run_estimate(text)
    assert done.returncode == 2 and done.stderr.startswith("no estimate: ") and done.stderr.count("\n") == 1
