"""What the Calibrate page opens with: what was typed on Scale, or the plan of a calibration that is run again."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import urlencode

import pytest
import stored
from streamlit.testing.v1 import AppTest

from sqrtscale.rules import TrainingConfig
from sqrtscale.schedules import schedule
from sqrtscale.tasks import task

from .test_calibrate_page import OWN, ROOT, arms, launch, opened, said, submitted, timed

__all__ = ["submitted", "timed"]  # fixtures


def test_what_was_typed_on_scale_is_what_calibrate_opens_with_by_the_navigation_too():
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60).run()
    for key, text in {"b0": "2x4x2", "b1": "32", "lr": "4e-3"}.items():
        app.text_input(key=key).set_value(text).run()
    app.query_params.clear()  # as the navigation does
    app.switch_page("pages/calibrate.py").run()
    assert arms(app)["Base"][:2] == ["16", "0.004"] and arms(app)["Scaled"][0] == "32" and not app.error
    assert app.query_params == {"b0": "2x4x2", "b1": "32", "lr": "4e-3"}  # stays when it is loaded anew
    app.segmented_control(key="source").set_value("The task's tested defaults").run()
    assert arms(app)["Base"][0] == str(task("digits").defaults.base.batch_size)
    app.query_params.clear()
    app.switch_page("pages/scale.py").run()
    assert [app.text_input(key=key).value for key in ("b0", "b1", "lr")] == ["2x4x2", "32", "4e-3"]


def test_going_back_to_an_address_without_a_configuration_does_not_hold_the_user():
    app = opened(OWN)
    app.query_params.clear()
    app.run()
    assert not app.query_params and arms(app)["Base"][0] == "16"


def test_what_calibrate_was_opened_with_is_what_scale_opens_with():
    app = opened(OWN)
    app.query_params.clear()
    app.switch_page("pages/scale.py").run()
    assert [app.text_input(key=key).value for key in ("b0", "b1", "lr", "wd")] == ["16", "64", "0.004", "0.1"]
    assert app.segmented_control(key="form").value == "half-life"


def test_a_noise_scale_that_was_typed_on_scale_is_an_arm_that_can_be_taken_off():
    app = opened(f"{OWN}&noise=100")
    assert app.multiselect(key="more-arms").value == ["noise-aware 100"] and "Noise-aware 100" in arms(app)
    app.multiselect(key="more-arms").set_value([]).run()
    assert not any("Noise-aware" in name for name in arms(app))
    assert "noise-aware 100" in app.multiselect(key="more-arms").options


def test_what_is_no_configuration_yet_on_scale_is_said_on_calibrate():
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60).run()
    app.text_input(key="lr").set_value("fast").run()
    app.query_params.clear()
    app.switch_page("pages/calibrate.py").run()
    assert "lr = 'fast' is not allowed" in said(app) and launch(app) and not app.exception


PLANS = {
    "everything changed": stored.plan(
        task="pydoc", base=TrainingConfig("rmsprop", 8, {"lr": 3e-4, "momentum": 0.5}, 1000, 20, {"clip_norm": 0.7}), target=32,
        arms=["unscaled", "without eps", "svag 3", "unscaled 2x", "own: lr=1e-3", "own: lr=2e-3"], targets=[16, 64], seeds=5,
        samples=12_800, start="scratch", warm_samples=None, decay_form="half-life", device="cpu", momentum_form="scaled",
        reuse=False, stop_early=False, size="medium", schedule=schedule("wsd:0.1,1-sqrt")),
    "measured at other points": replace(stored.plan(), evaluations=7),
    "sgd": stored.plan(base=TrainingConfig("sgd", 8, {"lr": 0.05}), target=16, arms=["sqrt lr"], stop_early=True,
                       go_on=True),
    "on another machine": stored.plan(device="cuda:1", correct_lr=True, base=TrainingConfig("adam", 8), target=16),
}


@pytest.mark.usefixtures("submitted")
@pytest.mark.parametrize("name", PLANS)
def test_a_calibration_is_run_again_with_its_whole_plan(store, name):
    plan = PLANS[name]
    first = stored.calibration(store, chosen=plan)
    app = opened(urlencode({"again": first}))
    assert not app.error and "Taken from the calibration that is run again" in said(app)
    launch(app)[0].click().run()
    assert [queued.plan for queued in store.queue()] == [plan]


@pytest.mark.usefixtures("submitted")
def test_what_is_run_again_can_be_changed_and_is_read_once(store):
    plan = PLANS["everything changed"]
    app = opened(urlencode({"again": stored.calibration(store, chosen=plan)}))
    app.number_input(key="seeds-pydoc").set_value(2).run()
    app.toggle(key="reuse").set_value(True).run()
    app.multiselect(key="more-arms").set_value(["svag 3"]).run()
    app.text_input(key="own-arm").set_value("").run()
    launch(app)[0].click().run()
    (queued,) = store.queue()
    assert (len(queued.plan.seeds), queued.plan.reuse, queued.plan.samples) == (2, True, plan.samples)
    assert [arm.name for arm in queued.plan.arms] == ["base", "scaled", "scaled 2x", "scaled 8x", "unscaled", "svag 3"]


def test_another_calibration_to_run_again_fills_the_form_anew(store):
    ids = [stored.calibration(store, chosen=stored.plan(seeds=seeds)) for seeds in (3, 4)]
    app = opened(urlencode({"again": ids[0]}))
    assert app.number_input(key="seeds-digits").value == 3
    app.query_params["again"] = ids[1]
    app.run()
    assert app.number_input(key="seeds-digits").value == 4
    app.switch_page("pages/scale.py").run()
    app.query_params["again"] = ids[1]
    app.switch_page("pages/calibrate.py").run()
    assert app.number_input(key="seeds-digits").value == 4 and not app.exception


def test_what_cannot_be_run_again_is_said_and_the_form_is_there(store):
    app = opened("again=no-such-id")
    assert "no calibration with the id of this address to run again" in said(app) and launch(app)
