"""A warm start is trained once: the next calibration with the same base begins at the branch point, with the same numbers."""

import os
from dataclasses import replace

import pandas as pd
import pytest

from sqrtscale.plan import WARM_START, make_plan
from sqrtscale.rules import TrainingConfig
from sqrtscale.runner import child, warm_starts

BASE = TrainingConfig("adam", 8, {"lr": 1e-3})


def plan(samples=160, target=16, base=BASE, **changes):
    choices = {"seeds": 1, "warm_samples": 160, "arms": ["base", "scaled"], "device": "cpu", "evaluations": 4, "go_on": True}
    return make_plan("digits", base, target, samples=samples, **choices | changes)


def trained(store, chosen):
    """Train it as its own process does; returns its id."""
    id = store.create(chosen)
    for state, before in (("STARTING", "QUEUED"), ("RUNNING", "STARTING")):
        store.transition(id, state, among=[before])
    assert child.train(store, id, chosen, False)
    store.transition(id, "DONE", among=["RUNNING"])
    return id


def groups(store, id):
    """What was trained for it."""
    return [group["stream"] for group in store.get(id).environment["groups"]]


def test_another_calibration_with_the_same_base_begins_at_the_branch_point(store, capsys):
    first = trained(store, plan())
    capsys.readouterr()
    second = trained(store, plan(samples=320, target=32, seeds=2))
    assert groups(store, first) == ["warm start", "branch", "branch"] and groups(store, second) == ["branch", "branch"]
    assert store.reused(second) == {(WARM_START, 0): first}
    assert f"{WARM_START}, seed 0: taken from calibration {first}, not trained again" in capsys.readouterr().out
    alone = trained(store, replace(store.get(second).plan, reuse=False))
    assert groups(store, alone)[0] == "warm start" and not store.reused(alone)
    pd.testing.assert_frame_equal(store.curves(second), store.curves(alone), check_exact=True)
    assert store.get(second).runs == store.get(alone).runs
    assert store.get(second).done == store.get(alone).done == store.get(second).total


OTHERS = {
    "base": plan(base=replace(BASE, hyperparameters=BASE.hyperparameters | {"lr": 2e-3})),
    "first seed": replace(plan(), seeds=(1,)),
    "samples": plan(warm_samples=240), "points": plan(evaluations=5), "an arm that follows": plan(arms=["noise-aware schedule"]),
    "task": make_plan("pydoc", BASE, 16, samples=160, warm_samples=160, seeds=1, evaluations=4, device="cpu"),
    "model": plan(size="small"),
}


@pytest.mark.parametrize("name", OTHERS)
def test_it_is_that_of_everything_it_depends_on(name):
    conditions = {"torch": "2.13.0", "number of devices": 1}
    place = warm_starts.place(plan(), conditions)
    assert warm_starts.place(OTHERS[name], conditions) != place
    assert warm_starts.place(plan(), conditions | {"torch": "2.14.0"}) != place
    assert warm_starts.place(plan(samples=320, target=64, arms=["base", "scaled", "linear lr"]), conditions) == place


def test_those_that_nobody_has_used_for_longest_go_first(home):
    warm_starts.folder().mkdir(parents=True)
    for age, name in enumerate(("a", "b", "c", "d")):
        path = warm_starts.folder() / f"{name}.snapshot"
        path.write_bytes(b"0" * 100)
        os.utime(path, ns=(10**18 + age, 10**18 + age))
    warm_starts.used(warm_starts.folder() / "a.snapshot")
    warm_starts.prune(250)
    assert {path.stem for path in warm_starts.folder().iterdir()} == {"a", "d"}
    warm_starts.used(warm_starts.folder() / "gone.snapshot")
    warm_starts.prune(0)
    assert not list(warm_starts.folder().iterdir())


@pytest.mark.fault("a warm start that is kept is damaged", "it is trained, and kept again")
def test_a_damaged_one_is_trained_again(store, capsys):
    first = trained(store, plan())
    (kept,) = warm_starts.folder().iterdir()
    whole = kept.read_bytes()
    kept.write_bytes(whole[:-100])
    second = trained(store, plan(samples=320))
    assert "the warm start that is kept cannot be used" in capsys.readouterr().out
    assert groups(store, second)[0] == "warm start" and not store.reused(second) and kept.stat().st_size > len(whole) - 100
    curves = [store.curves(id) for id in (first, second)]
    pd.testing.assert_frame_equal(*(found[found["arm"] == WARM_START] for found in curves), check_exact=True)
