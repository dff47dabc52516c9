"""What a result offers to do next: the buttons that fit its verdict, and where they lead."""

from __future__ import annotations

import subprocess
from dataclasses import replace

import pytest
import stored
from disks import filled, mount
from streamlit.testing.v1 import AppTest

from sqrtscale import runner
from sqrtscale.evidence import Regime
from sqrtscale.plan import MOST_SEEDS, WARM_START, CalibrationPlan, make_plan
from sqrtscale.report import NO_TEST
from sqrtscale.rules import TrainingConfig
from sqrtscale.runner import snapshots
from sqrtscale.store import CalibrationRecord, Store
from sqrtscale.tasks import task
from sqrtscale.training.events import Measured
from sqrtscale.ui import actions

from .test_calibrate_page import submitted
from .test_results_page import button, opened, said

__all__ = ["submitted"]  # a fixture
ENVIRONMENT = stored.ENVIRONMENT | {"engine": 1, "python": "3.11.1", "threads": 2}  # what reuse asks for
AWARE = "Test noise-aware"
COMPARE, REST = "Compare with …", ["Calibrate again", "Open in Scale"]


UNSURE = [-0.01, 0.002, -0.022]  # seed by seed, beside the 0.01 of every seed, at a margin of 0.011


def shifted(chosen: CalibrationPlan, by: list[float]) -> list[Measured]:
    """Curves whose scaled arm lies that far from base, seed by seed, at the points of the plan."""
    places = {round(chosen.samples * i / 24): at for i, at in enumerate(chosen.evaluation_points)}
    return [Measured(point.arm, point.seed, point.samples if point.arm == WARM_START else places[point.samples], {
        name: value + (by[point.seed] if point.arm == "scaled" else 0) for name, value in point.values.items()})
        for point in stored.points(chosen)]


def with_signal(chosen: CalibrationPlan, noise_scale: float) -> list[Measured]:
    """Curves with that noise scale measured at both ends."""
    return [replace(point, values=point.values | ({"signal": 1 + point.seed / 100, "noise": noise_scale}
                                                  if point.arm != WARM_START and point.samples in (0, chosen.samples) else {}))
            for point in stored.points(chosen)]


def offered(app: AppTest) -> list[str]:
    """Labels of the actions, the primary one with a star."""
    buttons = [each for each in app.button if (each.key or "").startswith("action-")]
    return [f"{'*' * (each.proto.type == 'primary')}{each.label}" for each in buttons]


def plan_of(store: Store) -> CalibrationPlan:
    """The plan that was launched last."""
    return store.queue()[-1].plan


THREE = stored.plan(seeds=3)
LONG = stored.plan(seeds=3, warm_samples=task("digits").defaults.warm_samples)
VERDICTS = {
    "matches": (THREE, stored.points(THREE), ["*Use these values", COMPARE, "Calibrate again"]),
    "differs": (THREE, shifted(THREE, [0.2, 0.2, 0.2]), ["*Test κ = 4 at 8 → 32", COMPARE, *REST]),
    "differs at kappa 2": (stored.plan(seeds=3, target=16), shifted(stored.plan(seeds=3, target=16), [0.2] * 3),
                           ["*Calibrate again", COMPARE, "Open in Scale"]),
    "cannot tell": (THREE, shifted(THREE, UNSURE), ["*Add 5 seeds", COMPARE, *REST]),
    "one seed": (stored.plan(seeds=1), stored.points(stored.plan(seeds=1)), ["*Add 2 seeds", COMPARE, *REST]),
    "no power": (stored.plan(seeds=3, arms=["unscaled"]), [replace(point, values=dict.fromkeys(point.values, 0.3)) for point in
                 stored.points(stored.plan(seeds=3, arms=["unscaled"]))], ["*Train twice as long", COMPARE, *REST]),
    "signal": (THREE, with_signal(THREE, 40), ["*Test κ = 4 at 8 → 32", AWARE, COMPARE, "Calibrate again"]),
    "signal at every batch, trained too little": (THREE, with_signal(THREE, 2),
                                                  ["*Test κ = 8 at 8 → 64", AWARE, COMPARE, "Calibrate again"]),
    "signal at every batch": (LONG, with_signal(LONG, 2), ["*Calibrate again", AWARE, COMPARE, "Open in Scale"]),
}


@pytest.mark.parametrize("name", VERDICTS)
def test_a_verdict_offers_what_it_asks_for_and_that_first(store, name):
    chosen, measured, labels = VERDICTS[name]
    app = opened(stored.calibration(store, chosen=chosen, measured=measured))
    if name == "cannot tell":  # at most as many as doubles what three seeds know, or five
        assert "About 8 more would decide" in app.warning[0].value and "about 8 more would decide" in said(app)
    assert offered(app) == labels


@pytest.mark.parametrize("state, labels", [("QUEUED", REST), ("RUNNING", REST), ("FAILED", ["*Try again", *REST]),
                                           ("LOST", ["*Try again", *REST]), ("CANCELLED", ["*Try again", *REST])])
def test_one_that_has_no_verdict_offers_what_can_be_done(store, state, labels):
    assert offered(opened(stored.calibration(store, state, measured=[]))) == labels


@pytest.mark.usefixtures("submitted")
def test_one_with_a_snapshot_goes_on_under_its_id(store, monkeypatch):
    monkeypatch.setattr(runner, "_start", lambda store, id: None)  # no process
    id = stored.calibration(store, "CANCELLED", measured=[])
    snapshots.folder(id).mkdir(parents=True)
    (snapshots.folder(id) / "000000001.snapshot").touch()
    app = opened(id)
    assert offered(app) == ["*Go on", "Try again", *REST] and "from the last snapshot" in said(app)
    button(app, "Go on").click().run()
    assert not app.exception and [record.id for record in store.queue()] == [id] and app.query_params["id"] == id
    assert "Go on" not in offered(app)


@pytest.mark.usefixtures("navigated")
def test_in_a_home_without_room_nothing_is_started_and_a_sentence_says_so(home, request, monkeypatch):
    mount(home, 8)
    request.addfinalizer(lambda: subprocess.run(["umount", "-l", home], check=True))
    store = request.getfixturevalue("store")
    monkeypatch.setattr(runner, "_start", lambda store, id: None)  # no process
    id = stored.calibration(store, "INTERRUPTED", measured=[])
    snapshots.folder(id).mkdir(parents=True)
    (snapshots.folder(id) / "000000001.snapshot").touch()
    app = opened(id)
    for label in ("Go on", "Try again"):
        with filled(home):
            button(app, label).click().run()
        (error,) = app.error
        assert "Nothing was started, because" in error.value and "make room on its disk" in error.value and not app.exception
    assert store.get(id).state == "INTERRUPTED" and store.count() == 1
    toggle = app.toggle(key=f"resume-after-restart-{id}")
    assert not toggle.value
    toggle.set_value(True).run()
    assert store.get(id).resume_after_restart
    store.set_resume_after_restart(id, False)  # by somebody else
    assert not app.run().toggle(key=f"resume-after-restart-{id}").value
    button(app, "Go on").click().run()
    assert store.get(id).state == "QUEUED" and not app.error


def test_a_deleted_one_offers_to_come_back_first(store):
    id = stored.calibration(store)
    store.delete(id)
    app = opened(id)
    assert offered(app) == [] and button(app, "Undo")


@pytest.mark.usefixtures("submitted")
def test_more_seeds_are_launched_by_one_click_and_those_that_are_stored_are_not_trained_again(store):
    chosen = stored.plan(seeds=3, stop_early=True, reuse=False)
    first = stored.calibration(store, name="mine", chosen=chosen, measured=shifted(chosen, UNSURE),
                               environment=ENVIRONMENT, ended=dict.fromkeys(chosen.runs, ("DONE", "")))
    app = opened(first)
    more = int(offered(app)[0].split()[1])
    assert f"judged on {3 + more} seeds" in said(app) and "not trained again" in said(app)
    button(app, f"Add {more} seeds").click().run()
    (queued,) = store.queue()
    assert queued.plan == replace(chosen, seeds=tuple(range(3 + more)), reuse=True) and queued.name == "mine"
    assert app.query_params["id"] == queued.id
    store.set_environment(queued.id, ENVIRONMENT)
    assert store.reuse(queued.id) == {run: first for run in chosen.runs if run[0] != WARM_START}


def test_a_plan_has_no_more_seeds_than_it_may(store):
    record = store.get(stored.calibration(store, chosen=stored.plan(seeds=60)))
    (action,) = actions._more_seeds(store, record, 30)
    assert action.label == "Add 4 seeds" and "the most that a plan may have; about 30 more would decide" in action.means
    full = replace(record, plan=replace(record.plan, seeds=tuple(range(MOST_SEEDS))))
    assert [action.label for action in actions._more_seeds(store, full, 30)] == ["Calibrate again"]


@pytest.mark.usefixtures("submitted")
def test_one_that_was_stopped_goes_on_when_it_is_told_to(store):
    app = opened(stored.stopped(store))
    assert offered(app) == ["*Test κ = 8 at 8 → 64", AWARE, "Go on anyway", "Calibrate again"]
    assert "It was stopped after the warm start" in said(app) and "the noise scale is 1.98 samples" in said(app)
    assert NO_TEST not in said(app) and not app.error
    button(app, "Go on anyway").click().run()
    assert plan_of(store) == replace(stored.plan(seeds=3), go_on=True)


@pytest.mark.usefixtures("submitted")
def test_what_is_no_test_of_the_rule_is_tested_noise_aware_by_one_click(store):
    """The noise scale that was measured, 40, at 8 -> 64: r = (1 + 40 / 64) / (1 + 40 / 8), lr' = 8 sqrt(r) lr."""
    chosen, measured, _ = VERDICTS["signal"]
    app = opened(stored.calibration(store, chosen=chosen, measured=measured))
    button(app, AWARE).click().run()
    launched = plan_of(store)
    *before, arm = launched.arms
    assert tuple(before) == chosen.arms and launched.reuse and launched.go_on
    assert arm.group == "noise-aware" and arm.noise_scale == pytest.approx(40, rel=0.02)
    r = (1 + arm.noise_scale / 64) / (1 + arm.noise_scale / 8)
    assert arm.config["lr"] == pytest.approx(8 * r**0.5 * chosen.base["lr"])


@pytest.mark.parametrize("optimizer", ["sgd", "rmsprop_centered"])
@pytest.mark.parametrize("start", ["warm", "scratch"])
def test_what_no_noise_scale_moves_is_not_tested_by_one(store, optimizer, start):
    chosen = make_plan("digits", TrainingConfig(optimizer, 8, {"lr": 1e-3}), 64, seeds=3, samples=6400, start=start,
                       warm_samples=640 if start == "warm" else None, evaluations=24)
    app = opened(stored.calibration(store, chosen=chosen, measured=with_signal(chosen, 2)))
    assert not app.error and offered(app) and AWARE not in offered(app)


@pytest.mark.usefixtures("submitted")
def test_an_arm_that_differs_and_meets_curvature_is_tested_with_the_beta1_that_bears_it(store):
    """At noise scale 40 lr' = 8 sqrt(r) lr and P' = sqrt(r) P, so lr' S' = 8 lr S = 8: beta1 = (8 - 2) / (8 + 2)."""
    base = TrainingConfig("adam", 8, {"lr": 1e-3, "beta1": 0.9})
    chosen = make_plan("digits", base, 64, arms=["unscaled", "linear lr", "noise-aware 40"], seeds=3, samples=6400,
                       warm_samples=640, evaluations=24)
    measured = [replace(point, values=point.values | {"val_loss": point.values["val_loss"] + 0.5})
                if point.arm == "noise-aware 40" else point for point in with_signal(chosen, 40)]
    curved = {"sharpness": 1000.0, "sharpness_limit": 38_000.0}
    sharp = [replace(point, values=point.values | curved) if point.arm == "base" else point for point in measured]
    assert "Test beta1 = 0.6" not in offered(opened(stored.calibration(store, chosen=chosen, measured=measured)))
    app = opened(stored.calibration(store, chosen=chosen, measured=sharp))
    assert offered(app)[0] == "*Test beta1 = 0.6"
    button(app, "Test beta1 = 0.6").click().run()
    assert plan_of(store).arms[-1].name == "noise-aware 40 beta1=0.6" and plan_of(store).arms[-1].config["beta1"] == 0.6


@pytest.mark.usefixtures("submitted")
def test_from_scratch_the_noise_scale_is_followed_as_it_grows(store):
    chosen = stored.plan(seeds=3, start="scratch", warm_samples=None)
    app = opened(stored.calibration(store, chosen=chosen, measured=with_signal(chosen, 40)))
    button(app, AWARE).click().run()
    assert [arm.name for arm in plan_of(store).arms if arm.measured] == ["noise-aware schedule"]


@pytest.mark.parametrize("apart, said_of_it", [
    (0.0, "(noise scale 40) trains like the base settings, to within 0.011 nats per image."),
    (0.5, "(noise scale 40) ends 0.5 nats per image above the base run, more than 0.011 nats per image."),
])
def test_a_noise_aware_arm_has_a_verdict_where_the_rule_has_none(store, apart, said_of_it):
    chosen = stored.plan(seeds=3, arms=["unscaled", "linear lr", "noise-aware 40"])
    measured = [replace(point, values=point.values | {"val_loss": point.values["val_loss"] - 0.01 + apart})
                if point.arm == "noise-aware 40" else point for point in with_signal(chosen, 40)]
    app = opened(stored.calibration(store, chosen=chosen, measured=measured))
    assert f"The noise-aware transfer {said_of_it}" in said(app) and "This run does not test the scaling" in said(app)
    assert AWARE not in offered(app)
    assert (offered(app)[0] == "*Use the noise-aware values") == (apart == 0)


@pytest.mark.usefixtures("submitted")
@pytest.mark.parametrize("label, change", [("Try again", {}), ("Train twice as long", {"samples": 12_800})])
def test_a_plan_is_launched_anew_from_its_result(store, label, change):
    chosen, measured, _ = VERDICTS["no power"]
    id = stored.calibration(store, "FAILED" if label == "Try again" else "DONE", chosen=chosen, measured=measured)
    button(opened(id), label).click().run()
    assert plan_of(store) == replace(chosen, **change)


def label_of(plan: CalibrationPlan, low: float, store: Store) -> str:
    """What the button says for that plan, where the noise scale is at least ``low``."""
    record: CalibrationRecord = replace(store.get(stored.calibration(store)), plan=plan)
    regime = Regime(low * 1.1, low, low * 1.2, None, plan.base.batch_size, plan.target_batch, 1.0, "signal", "")
    (action,) = actions._smaller_batches(record, regime)
    return action.label


@pytest.mark.parametrize("base, target, low, label", [
    (8, 1024, 100, "Test κ = 8 at 8 → 64"),  # the largest power of two below it
    (8, 1024, 17, "Test κ = 2 at 8 → 16"),
    (8, 24, 500, "Test κ = 2 at 8 → 16"),  # second moments said it: nearer to the base all the same
    (256, 1024, 500, "Test κ = 4 at 8 → 32"),  # nothing between the base batch and the noise scale: the task's own batch
    (1024, 256, 500, "Test κ = 0.25 at 8 → 2"),
])
def test_smaller_batches_are_the_largest_test_that_the_noise_scale_allows(store, base, target, low, label):
    chosen = stored.plan(base=replace(stored.BASE, batch_size=base), target=target, decay_form="half-life", warm_samples=8192,
                         samples=8192)
    assert label_of(chosen, low, store) == label


@pytest.mark.usefixtures("submitted")
def test_use_these_values_opens_scale_with_them_and_the_snippet_is_beside_it(store):
    app = opened(stored.calibration(store))
    assert any("lr=0.00565685424949" in code.value for code in app.code)
    button(app, "Use these values").click().run()
    assert [app.text_input(key=key).value for key in ("b0", "b1", "lr")] == ["8", "64", "0.002"]


@pytest.mark.usefixtures("submitted")
def test_the_test_that_suits_the_task_has_its_own_budget_too(store):
    """A signal that dominates at every batch, after a warm start of 3,200 samples, with a learning rate of the user's own."""
    chosen = stored.plan(seeds=3, base=replace(stored.BASE, hyperparameters={"lr": 5e-4}))
    app = opened(stored.calibration(store, chosen=chosen, measured=with_signal(chosen, 2)))
    button(app, "Test κ = 8 at 8 → 64").click().run()
    defaults = task("digits").defaults
    assert [app.number_input(key=f"{name}-digits").value for name in ("seeds", "samples", "warm")] == [
        3, defaults.samples, defaults.warm_samples]
    assert app.query_params["lr"] == "0.002"


@pytest.mark.usefixtures("submitted")
def test_a_smaller_test_opens_calibrate_with_the_rest_of_the_plan(store):
    chosen = stored.plan(task="pydoc", seeds=3, targets=(16,), size="small")
    app = opened(stored.calibration(store, chosen=chosen, measured=shifted(chosen, [0.5] * 3)))
    button(app, "Test κ = 4 at 8 → 32").click().run()
    assert app.query_params["b1"] == "32" and app.pills(key="task").value == "pydoc"
    assert app.number_input(key="seeds-pydoc").value == 3 and app.selectbox(key="size-pydoc").value == "small"
    assert app.text_input(key="targets").value == ""


@pytest.mark.usefixtures("submitted")
def test_comparing_begins_with_this_calibration(store):
    id = stored.calibration(store, name="this one")
    app = opened(id)
    button(app, COMPARE).click().run()
    assert app.query_params["ids"] == id and "this one" in said(app)
