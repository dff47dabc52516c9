"""A plan holds what can be run, refuses what cannot, and survives the store."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from own_tasks import EVERY

from sqrtscale.arms import DEFAULT_ARMS as ARMS
from sqrtscale.plan import CalibrationPlan, make_plan
from sqrtscale.rules import FieldError, TrainingConfig
from sqrtscale.schedules import CONSTANT, schedule
from sqrtscale.tasks import TASKS

BASE = TrainingConfig("adam", 8, {"lr": 1e-3})


def test_default_arms_are_the_rule_and_its_controls():
    plan = make_plan("digits", BASE, 32)
    configs = {arm.name: arm.config for arm in plan.arms}
    assert list(configs) == list(ARMS)
    assert configs["base"] == BASE
    assert configs["scaled"].batch_size == configs["unscaled"].batch_size == configs["linear lr"].batch_size == 32
    assert configs["scaled"]["lr"] == pytest.approx(2e-3) and configs["scaled"]["beta1"] == 0.6
    assert configs["unscaled"]["lr"] == 1e-3 and configs["unscaled"]["beta1"] == 0.9
    assert configs["linear lr"]["lr"] == pytest.approx(4e-3) and configs["linear lr"]["beta1"] == 0.9


@given(base=st.integers(1, 64), target=st.integers(1, 64), samples=st.integers(1, 50_000), warm=st.integers(1, 50_000))
def test_every_arm_meets_every_evaluation_point_on_a_whole_step(base, target, samples, warm):
    plan = make_plan("digits", TrainingConfig("adam", base), target, samples=samples, warm_samples=warm,
                     decay_form="half-life")
    assert plan.samples >= samples and plan.samples - samples < math.lcm(base, target)
    points = plan.evaluation_points
    assert points[0] == 0 and points[-1] == plan.samples and list(points) == sorted(set(points))
    assert all(point % arm.config.batch_size == 0 for point in points for arm in plan.arms)
    assert plan.warm_samples % base == 0


def test_plan_survives_json():
    plan = make_plan("pydoc", TrainingConfig("rmsprop", 8, {"momentum": 0.5}, 1000, 100), 64, seeds=2, start="scratch")
    again = CalibrationPlan.from_dict(json.loads(json.dumps(plan.as_dict())))
    assert again == plan and hash(again) == hash(plan)


@pytest.mark.parametrize("text", ["cosine", "wsd:0.1,1-sqrt", "milestones:0.3,0.6,gamma=0.5"])
def test_a_schedule_is_kept_as_text_and_makes_other_runs(text):
    plain, plan = make_plan("digits", BASE, 32), make_plan("digits", BASE, 32, schedule=schedule(text))
    assert plan.as_dict() == plain.as_dict() | {"schedule": text}
    again = CalibrationPlan.from_dict(json.loads(json.dumps(plan.as_dict())))
    assert again == plan != plain and again.schedule == schedule(text)
    for run in plan.runs:
        assert plan.identity(*run) == again.identity(*run) != plain.identity(*run)


def test_plans_from_before_there_were_schedules_are_constant_and_their_runs_are_the_same():
    plan = make_plan("digits", BASE, 32, seeds=2)
    assert plan.schedule == CONSTANT and CalibrationPlan.from_dict(plan.as_dict()) == plan
    assert plan == make_plan("digits", BASE, 32, seeds=2, schedule=schedule("constant"))
    assert set(json.loads(plan.identity("scaled", 1))) == {
        "arm", "base", "config", "evaluations", "first_seed", "points", "samples", "seed", "size", "start", "svag",
        "task", "task_version", "warm_samples"}


def test_going_on_is_kept_and_makes_no_other_runs():
    plan, on = (make_plan("digits", BASE, 32, seeds=2, go_on=go_on) for go_on in (False, True))
    assert on.as_dict() == plan.as_dict() | {"go_on": True} and "go_on" not in plan.as_dict()
    again = CalibrationPlan.from_dict(json.loads(json.dumps(on.as_dict())))
    assert again == on != plan and again.go_on and not CalibrationPlan.from_dict(plan.as_dict()).go_on
    assert [on.identity(*run) for run in on.runs] == [plan.identity(*run) for run in plan.runs]


@pytest.mark.parametrize("change, message", [
    (dict(target_batch=100_000), "target_batch = 100000 is more than the 1437 training samples"),
    (dict(target_batch=0), "target_batch = 0"),
    (dict(task_name="mnist"), "task = 'mnist' is not known: give one of digits, pydoc"),
    (dict(seeds=0), "seeds = 0"),
    (dict(seeds=65), "seeds = 65"),
    (dict(samples=0), "samples = 0"),
    (dict(samples=math.nan), "samples = nan"),
    (dict(start="hot"), "start = 'hot' is not known: give one of warm, scratch"),
    (dict(warm_samples=-8), "warm_samples = -8"),
    (dict(arms=["base", "magic"]), "arms = 'magic' is not an arm"),
    (dict(device="tpu"), "device = 'tpu' is not known"),
    (dict(target_batch=128), "beta1 = 0.9 has no scaled value"),
    (dict(schedule="cosine"), "schedule = 'cosine' is not a schedule: give one, for example schedule(\"cosine\")"),
    (dict(base=TrainingConfig("adam", 2000)), "batch_size = 2000 is more than"),
])
def test_what_cannot_be_run_is_refused_by_name(change, message):
    with pytest.raises(FieldError) as error:
        make_plan(**{**dict(task_name="digits", base=BASE, target_batch=64), **change})
    assert str(error.value).startswith(message)


def test_where_statistics_are_taken_over_micro_batches_every_batch_is_made_of_whole_ones(monkeypatch):
    about = next(about for about in EVERY.values() if about.micro and about.micro > 2)
    monkeypatch.setitem(TASKS, about.name, about)
    micro = about.micro
    base = TrainingConfig("adam", 2 * micro, {"lr": 1e-3})
    assert make_plan(about.name, base, 4 * micro).target_batch == 4 * micro
    odd = TrainingConfig("adam", micro + 1)
    for field, config, target, arms in (("target_batch", base, 4 * micro + 1, ()), ("batch_size", odd, 2 * micro, ()),
                                        ("arms", base, 4 * micro, [f"unscaled {micro + 1}/{2 * micro}x"])):
        with pytest.raises(FieldError, match=f"whole micro-batches of {micro}.*: give ") as refused:
            make_plan(about.name, config, target, arms=arms)
        assert refused.value.field == field
