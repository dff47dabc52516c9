"""Stored runs stand for new ones exactly where training again would give the same curve."""

import math

import numpy as np
import pandas as pd
import pytest
from stored import calibration

from sqrtscale.plan import WARM_START, Arm, CalibrationPlan, make_plan
from sqrtscale.rules import TrainingConfig
from sqrtscale.runner import child
from sqrtscale.store import Store
from sqrtscale.training import environment as described

BASE = TrainingConfig("adam", 8, {"lr": 1e-3})
WILD = Arm("linear lr", TrainingConfig("adam", 64, {"lr": 1e9, "eps": 1e-30}))


def plan(task="digits", base=BASE, **changes):
    choices = dict(seeds=2, samples=640, warm_samples=320, arms=["base", "scaled"], device="cpu")
    return make_plan(task, base, 64, **{**choices, **changes})


def changed(found, **fields):
    """The plan with other fields, unchecked by what makes plans."""
    return CalibrationPlan(**{**{f: getattr(found, f) for f in found.__dataclass_fields__}, **fields})


def trained(store, chosen):
    """Train a plan into the store by the child's own code, as far as its own process does it; returns its id."""
    id = store.create(chosen)
    store.transition(id, "STARTING", among=["QUEUED"])
    store.transition(id, "RUNNING", among=["STARTING"])
    assert child.train(store, id, chosen, end_request=False)
    store.transition(id, "DONE", among=["RUNNING"])
    return id


@pytest.fixture
def store(tmp_path):
    opened = Store.open(f"sqlite:///{tmp_path / 'a.db'}")
    yield opened
    opened.close()


def arms_of(curves, *arms):
    return curves[curves["arm"].isin(arms)].reset_index(drop=True)


@pytest.mark.training
def test_base_is_trained_again_beside_an_arm_that_follows_it_and_both_are_taken_together(store):
    follows = ["base", "scaled", "noise-aware schedule"]
    first, second = trained(store, plan()), trained(store, plan(arms=follows))
    assert store.reused(second) == {("scaled", seed): first for seed in (0, 1)}
    third = trained(store, plan(arms=follows))
    assert set(store.reused(third)) == {(WARM_START, 0), *((arm, seed) for arm in follows for seed in (0, 1))}
    fourth = trained(store, plan(arms=follows, seeds=3))  # another set of base runs says another noise scale
    assert store.reused(fourth) == {("scaled", 0): first, ("scaled", 1): first, (WARM_START, 0): second}


@pytest.mark.parametrize("task", ["digits", "pydoc"])
@pytest.mark.training
def test_reused_curves_are_what_training_again_gives_to_the_last_bit(store, task):
    first = trained(store, plan(task, seeds=1))
    more = dict(arms=["base", "scaled", "unscaled"], seeds=2)
    second, again = trained(store, plan(task, **more)), trained(store, plan(task, **more, reuse=False))
    kept = {("base", 0), ("scaled", 0), (WARM_START, 0)}
    assert store.reused(second) == dict.fromkeys(kept, first) and store.reused(again) == {} == store.reused(first)
    # All numbers, those of the regime and the tails among them, in the same order.
    pd.testing.assert_frame_equal(store.curves(second), store.curves(again), check_exact=True)
    for mine, theirs in zip(store.get(second).runs, store.get(again).runs, strict=True):
        assert mine == theirs
    listed = {one.id: str(one.final) for one in store.summaries()}  # as text, for NaN differs from itself
    assert listed[second] == listed[again] and "'scaled': {'val_loss': (" in listed[second]
    # What was trained: four of the six runs; the warm start counts as done.
    assert store.get(second).total == store.get(second).done == 320 + 4 * 640
    assert store.get(again).total == 320 + 6 * 640
    assert store.curves_version(second) != "0"


@pytest.mark.training
def test_from_scratch_too_and_the_engine_has_nothing_to_do_where_everything_is_stored(store, monkeypatch):
    first = trained(store, plan(start="scratch"))
    warm = trained(store, plan())
    monkeypatch.setattr("sqrtscale.training.engine.task", None)  # whoever trains needs its task
    for id, chosen in ((first, plan(start="scratch")), (warm, plan())):
        second = trained(store, chosen)
        assert set(store.reused(second)) == set(chosen.runs) and set(store.reused(second).values()) == {id}
        pd.testing.assert_frame_equal(store.curves(second), store.curves(id), check_exact=True)
        assert store.get(second).progress == 1


@pytest.mark.training
def test_the_origin_is_whoever_trained_it_also_after_several_copies_and_its_end(store):
    first = trained(store, plan())
    second = trained(store, plan())
    third = trained(store, plan())
    assert set(store.reused(third).values()) == {first}
    before = store.curves(third)
    for id in (first, second):
        store.delete(id)
    assert sorted(store.purge()) == sorted([first, second])
    pd.testing.assert_frame_equal(store.curves(third), before)


@pytest.mark.parametrize("change", [
    dict(samples=64 * 48), dict(warm_samples=8 * 48), dict(start="scratch", warm_samples=None),
    dict(base=TrainingConfig("adam", 8, {"lr": 1.1e-3})), dict(base=TrainingConfig("adam", 8, {"lr": 1e-3, "eps": 1e-7})),
    dict(base=TrainingConfig("adam", 8, {"lr": 1e-3}, run={"clip_norm": 1.0})),
    dict(base=TrainingConfig("adamw", 8, {"lr": 1e-3, "weight_decay": 0.0})), dict(task="pydoc"),
])
def test_another_run_is_trained(store, change):
    calibration(store, chosen=stored_plan(), environment=environment("cpu"))
    assert store.reuse(queued(store, stored_plan(**change))) == {}


@pytest.mark.training
def test_a_plan_may_refuse_to_reuse(store):
    trained(store, plan(seeds=1))
    assert store.reused(trained(store, plan(seeds=1, reuse=False))) == {}


@pytest.mark.parametrize("fields", [dict(seeds=(2, 3)), dict(seeds=(1, 0)), dict(task_version=99), dict(evaluations=5)])
def test_another_seed_branch_task_version_or_evaluation_is_trained(store, fields):
    calibration(store, chosen=stored_plan(), environment=environment("cpu"))
    id = store.create(changed(stored_plan(), **fields))
    store.set_environment(id, environment("cpu"))
    assert store.reuse(id) == {}


def environment(device):
    """The conditions here, by the executor that the made-up plans have."""
    return described(device, stored_plan())


def stored_plan(**changes):
    """A plan whose made-up curves in tests/stored.py lie on its evaluation points."""
    return plan(**{**dict(samples=64 * 24, warm_samples=8 * 24), **changes})


def queued(store, chosen, **conditions):
    """A queued calibration under these conditions."""
    id = store.create(chosen)
    store.set_environment(id, environment("cpu") | conditions)
    return id


def test_made_up_curves_on_every_point_are_taken(store):
    """The control of the tests around it: without their change everything would be reused."""
    first = calibration(store, chosen=stored_plan(), environment=environment("cpu"))
    id = queued(store, stored_plan())
    assert store.reuse(id) == dict.fromkeys(stored_plan().runs, first)
    assert store.reuse(id) == {}  # nothing is queued any more


@pytest.mark.parametrize("conditions", [
    dict(engine=0), dict(python="3.0.0"), dict(device_name="an abacus"), dict(threads=99),
    dict(packages={"torch": "1.0"}), dict(packages={}), dict(device_name=None), dict(engine=None),
])
def test_other_conditions_train_again(store, conditions):
    first = calibration(store, chosen=stored_plan(), environment=environment("cpu"))
    assert store.reuse(queued(store, stored_plan(), **conditions)) == {}
    store.set_environment(first, environment("cpu") | conditions)
    assert store.reuse(queued(store, stored_plan())) == {}
    if None in conditions.values():  # both do not know it: that is not the same
        assert store.reuse(queued(store, stored_plan(), **conditions)) == {}


@pytest.mark.parametrize("before, now, taken", [
    ("compiled", "compiled", True), ("eager", "eager", True), ("eager", "compiled", False), ("compiled", "eager", False),
    ("", "compiled", False), ("compiled", "", False), ("", "", False)])  # what nobody knows is not the same
def test_the_executor_belongs_to_what_a_run_is(store, before, now, taken):
    first = calibration(store, chosen=stored_plan(), environment=environment("cpu") | {"executor": before})
    assert {run.executor for run in store.get(first).runs} == {before}
    second = queued(store, stored_plan(), executor=now)
    assert store.reuse(second) == (dict.fromkeys(stored_plan().runs, first) if taken else {})
    assert {run.executor for run in store.get(second).runs} == {now}


def test_runs_are_trained_by_what_the_environment_names(store):
    """Also where the trainer is the only one who knows it."""
    id = trained(store, plan(seeds=1))
    assert store.get(id).environment["executor"] == store.get(id).executors == "compiled"


@pytest.mark.parametrize("state", ["RUNNING", "FAILED", "CANCELLED", "TIMED_OUT", "LOST"])
def test_what_did_not_end_by_itself_is_trained_again(store, state):
    calibration(store, state, chosen=stored_plan(), environment=environment("cpu"))
    assert store.reuse(queued(store, stored_plan())) == {}


def test_a_run_without_all_its_points_is_trained_again(store):
    from stored import points

    kept = [one for one in points(stored_plan()) if (one.arm, one.seed) != ("base", 1) or one.samples < 1000]
    calibration(store, measured=kept, chosen=stored_plan(), environment=environment("cpu"))
    found = store.reuse(queued(store, stored_plan()))
    # And so is the warm start: the arm that is trained branches there.
    assert set(found) == set(stored_plan().runs) - {("base", 1), (WARM_START, 0)}


def test_nothing_is_taken_from_a_deleted_calibration(store):
    first = calibration(store, chosen=stored_plan(), environment=environment("cpu"))
    store.delete(first)
    assert store.reuse(queued(store, stored_plan())) == {}


@pytest.mark.training
def test_runs_whose_judged_metric_is_measured_more_often_than_the_others_are_reused(store):
    dense = dict(samples=64 * 60, evaluations=60)
    first = trained(store, plan(seeds=1, **dense))
    counts = arms_of(store.curves(first), "scaled").groupby("metric")["samples"].nunique()
    assert counts["val_loss"] == 61 > counts["train_loss"]
    second = trained(store, plan(seeds=2, **dense))
    assert store.reused(second) == {("base", 0): first, ("scaled", 0): first, (WARM_START, 0): first}


@pytest.mark.training
@pytest.mark.parametrize("dense", [{}, dict(samples=64 * 60, evaluations=60)], ids=["", "others measured more rarely"])
def test_a_run_that_diverged_is_reused_as_diverged(store, dense):
    arms = (*plan(start="scratch").arms, WILD)
    first = trained(store, changed(plan(start="scratch", **dense), arms=arms))
    second = trained(store, changed(plan(start="scratch", seeds=3, **dense), arms=arms))
    assert {run for run in store.reused(second) if run[0] == "linear lr"} == {("linear lr", 0), ("linear lr", 1)}
    ends = {(run.arm, run.seed): run for run in store.get(second).runs}
    old = {(run.arm, run.seed): run for run in store.get(first).runs}
    for seed in (0, 1):
        assert ends["linear lr", seed].state == "DIVERGED" and "training loss" in ends["linear lr", seed].reason
        assert ends["linear lr", seed].reason == old["linear lr", seed].reason
        assert math.isnan(ends["linear lr", seed].final["val_loss"])
    np.testing.assert_array_equal(*(arms_of(store.curves(id), "linear lr").query("seed < 2")["value"] for id in (first, second)))


def test_runs_come_from_several_calibrations_and_the_newest_wins(store):
    base, both = stored_plan(), stored_plan(arms=["base", "scaled", "unscaled"])
    ids = [calibration(store, chosen=one, environment=environment("cpu")) for one in (both, base, base)]
    found = store.reuse(queued(store, both))
    assert {run: id for run, id in found.items() if run[0] == "unscaled"} == {("unscaled", s): ids[0] for s in (0, 1)}
    assert {id for run, id in found.items() if run[0] != "unscaled"} == {ids[2]}


def test_both_databases_copy_the_same(database_url):
    opened = Store.open(database_url)
    try:
        first = calibration(opened, chosen=stored_plan(), environment=environment("cpu"))
        id = queued(opened, stored_plan())
        assert opened.reused(id) == {} and set(opened.reuse(id)) == set(stored_plan().runs)
        assert opened.reused(id) == dict.fromkeys(stored_plan().runs, first)
        pd.testing.assert_frame_equal(opened.curves(id), opened.curves(first), check_exact=True)
        assert [(run.state, run.final, run.best) for run in opened.get(id).runs] == [
            (run.state, run.final, run.best) for run in opened.get(first).runs]
    finally:
        opened.close()
