"""The Calibrate page, run by Streamlit's own test harness. Timing and training are tested elsewhere."""

from __future__ import annotations

import threading
from concurrent.futures import CancelledError
from pathlib import Path
from urllib.parse import parse_qsl

import pytest
import stored
from streamlit.testing.v1 import AppTest
from waiting import until

from sqrtscale import runner
from sqrtscale.devices import Card
from sqrtscale.plan import make_plan
from sqrtscale.rules import FieldError
from sqrtscale.runner import Estimate
from sqrtscale.schedules import schedule
from sqrtscale.tasks import TASKS, task
from sqrtscale.training.events import Measured
from sqrtscale.training.optimizers import TRAINED
from sqrtscale.ui import inputs, timing
from sqrtscale.ui import launch as launch_form
from sqrtscale.ui.tables import escaped

ROOT = Path(__file__).resolve().parents[2]
pytestmark = [pytest.mark.filterwarnings("error::DeprecationWarning:sqrtscale"),
              pytest.mark.filterwarnings("error::FutureWarning")]
OWN = "opt=adamw&b0=16&b1=64&lr=0.004&wd=0.1&form=half-life"


@pytest.fixture(autouse=True)
def timed(monkeypatch):
    """Every timing says 100 seconds at once; the plans that were timed."""
    asked = []
    monkeypatch.setattr(timing, "estimate", lambda plan: asked.append(plan) or Estimate(100.0, "a test", {"base": 40.0}))
    timing.timings.clear()
    yield asked
    timing.timings.clear()


@pytest.fixture
def submitted(navigated, monkeypatch):
    """Launching stores the plan and starts no process."""
    monkeypatch.setattr(runner, "submit", lambda store, plan, name, resume_after_restart=False: store.create(
        plan, name, resume_after_restart=resume_after_restart))


def opened(query: str = "") -> AppTest:
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
    app.run()
    for name, value in parse_qsl(query):
        app.query_params[name] = value
    app.switch_page("pages/calibrate.py").run()
    assert not app.exception
    return app


def said(app: AppTest) -> str:
    return "\n".join(element.value for kind in (app.markdown, app.caption, app.error, app.info) for element in kind)


def arms(app: AppTest) -> dict[str, list[str]]:
    """Column head without its colour -> values, as the table of the arms shows them."""
    frame = app.table[0].value
    return {head.split("[")[-1].rstrip("]"): list(frame[head]) for head in frame.columns}


def type_schedule(app: AppTest, text: str) -> None:
    """Type a schedule into its box; the harness sends only what the box lists, so that it is listed."""
    box = app.selectbox(key="schedule-constant")
    box.options.append(text)
    box.set_value(text).run()
    app.selectbox(key="schedule-constant").options.append(text)


def launch(app: AppTest):
    return [button for button in app.button if button.label == "Launch"]


def test_without_a_link_the_tasks_tested_defaults_are_offered():
    app = opened()
    defaults = task("digits").defaults
    assert arms(app)["Base"][:2] == [str(defaults.base.batch_size), inputs.format_number(defaults.base["lr"])]
    assert arms(app)["Scaled"][0] == str(defaults.target_batch)
    assert list(arms(app)) == ["Field", "Base", "Scaled", "Unscaled", "Linear lr"]
    assert "Taken: the configuration this task was tested with" in said(app)
    assert app.number_input(key="seeds-digits").value == defaults.seeds
    assert f"4 arms × up to {defaults.seeds} seeds × {defaults.samples:,} samples" in said(app)
    assert len(launch(app)) == 1 and not app.error


def test_another_librarys_convention_is_translated():
    app = opened("opt=keras_rmsprop&b0=16&b1=64&lr=0.004&form=half-life")
    shown = dict(zip(arms(app)["Field"], arms(app)["Base"], strict=True))
    assert shown["Epsilon"] == "0.00031622777" and not app.error  # the root of Keras' 1e-7, which stands inside the root


def test_a_link_carries_a_configuration_and_the_defaults_stay_a_choice():
    app = opened(OWN)
    assert arms(app)["Scaled"][:2] == ["64", "0.008"] and app.segmented_control(key="source").value == "Your configuration"
    app.segmented_control(key="source").set_value("The task's tested defaults").run()
    assert arms(app)["Base"][0] == str(task("digits").defaults.base.batch_size)


@pytest.mark.parametrize("name", list(TASKS))
def test_each_task_says_what_it_is_and_brings_its_own_numbers(name):
    app = opened()
    app.button_group(key="task").set_value(name).run()
    about = TASKS[name]
    assert escaped(about.description) in said(app)
    assert app.number_input(key=f"samples-{name}").value == about.defaults.samples
    assert app.number_input(key=f"warm-{name}").value == about.defaults.warm_samples
    assert arms(app)["Base"][1] == inputs.format_number(about.defaults.base["lr"])


def test_controls_can_be_left_out_and_there_is_no_warm_start_from_scratch():
    app = opened()
    app.button_group(key="controls").set_value(["linear lr"]).run()
    assert list(arms(app)) == ["Field", "Base", "Scaled", "Linear lr"]
    app.button_group(key="controls").set_value([]).run()
    assert list(arms(app)) == ["Field", "Base", "Scaled"]
    app.segmented_control(key="start").set_value("scratch").run()
    assert "after a warm start" not in said(app)
    assert [box.label for box in app.number_input] == ["Seeds", "Samples per run (images)", "Evaluations per run"]


def test_sgd_has_a_control_that_is_not_its_own_rule_and_another_configuration_has_its_own():
    app = opened("opt=sgd&lr=0.05&b0=8&b1=32")
    assert list(arms(app)) == ["Field", "Base", "Scaled", "Unscaled", "Sqrt lr"] and not app.error
    app.segmented_control(key="source").set_value("The task's tested defaults").run()
    assert list(arms(app)) == ["Field", "Base", "Scaled", "Unscaled", "Linear lr"] and not app.exception
    app.segmented_control(key="source").set_value("Your configuration").run()
    assert list(arms(app)) == ["Field", "Base", "Scaled", "Unscaled", "Sqrt lr"] and not app.exception


@pytest.mark.parametrize(("key", "value", "message"), [
    ("seeds-digits", 0, "seeds = 0 is not allowed"),
    ("seeds-digits", 65, "seeds = 65 is not allowed"),
    ("samples-digits", -5, "samples = -5 is not allowed"),
    ("evaluations-digits", 0, "evaluations = 0 is not allowed"),
    ("warm-digits", 0, r"warm\_samples = 0 is not allowed"),
])
def test_a_bad_number_is_named_once_below_its_field_and_cannot_be_launched(key, value, message):
    app = opened()
    app.number_input(key=key).set_value(value).run()
    [mark] = [element.value for element in app.markdown if ":red[" in element.value]
    assert mark.startswith(f":small[:red[{message}") and not launch(app) and not app.exception
    label = app.number_input(key=key).label.partition(" (")[0]
    assert app.error[0].value == f"What is wrong stands below {label}." and not ways(app)


@pytest.mark.parametrize(("query", "message"), [
    ("b0=8&b1=5000&form=half-life", r"target\_batch = 5000 is more than the 1437 training samples"),
    ("b0=4096&b1=8192&form=half-life", r"batch\_size = 4096 is more than the 1437 training samples"),
    ("b0=8&b1=800", r"beta1 = 0.9 has no scaled value"),
])
def test_a_configuration_that_does_not_fit_says_so_and_the_defaults_do(query, message):
    app = opened(query)
    assert message in said(app) and not launch(app)
    app.segmented_control(key="source").set_value("The task's tested defaults").run()
    assert launch(app) and not app.error


@pytest.mark.parametrize("query", ["lr=fast", "b1=0", "opt=lion", "beta2=1", "form=round"])
def test_an_address_that_makes_no_configuration_is_said(query):
    app = opened(query)
    assert "The address carries no usable configuration" in said(app) and launch(app)


def light(app: AppTest) -> str:
    """The title of the light before Launch."""
    return next(box.proto.title for kind in (app.success, app.warning, app.info, app.error) for box in kind if box.proto.title)


def ways(app: AppTest) -> list[str]:
    return [button.label for button in app.button if button.label.startswith("Test κ")]


def test_the_default_is_a_test_of_the_rule_and_says_so_before_launch():
    app = opened()
    assert light(app) == "This can test the rule" and not ways(app)
    assert "Batch 64 lies below this task's noise scale of about 600 samples" in app.success[0].value


@pytest.mark.parametrize(("query", "title"), [
    ("b0=256&b1=1024&beta1=0.95&opt=adam", "This would not test the rule"),
    ("b0=1024&b1=4096&beta1=0.95&opt=adam", "This cannot be run"),
    ("b0=8&b1=32&opt=optax_adam&eps_root=1e-8&beta1=0.95", None)])
def test_where_nothing_can_be_told_one_click_asks_the_same_at_the_tasks_own_batch(submitted, query, title):
    app = opened(query)
    if title:
        assert light(app) == title
    assert ways(app) == ["Test κ = 4 at 8 → 32 instead"]
    app.button[[button.label for button in app.button].index(ways(app)[0])].click().run()
    assert not app.exception and not app.error and not ways(app) and launch(app)
    assert "Batch and learning rate are this task's own" in said(app) and "was tuned for your model" not in said(app)
    assert arms(app)["Base"][:3] == ["8", "0.002", "0.95"] and arms(app)["Scaled"][:3] == ["32", "0.004", "0.8"]
    assert light(app) == "This can test the rule"


@pytest.mark.parametrize(("query", "start"), [("b0=256&b1=1024&beta1=0.95&opt=adam", None), ("b0=8&b1=32&opt=adam", "scratch")])
def test_where_the_rule_is_not_tested_one_click_adds_the_transfer_that_is(submitted, query, start):
    app = opened(query)
    if start:
        app.segmented_control(key="start").set_value(start).run()
    label = "Test the noise-aware transfer as well"
    app.button[[button.label for button in app.button].index(label)].click().run()
    assert not app.exception and label not in [button.label for button in app.button]
    batch, lr, *_ = arms(app)["Noise-aware schedule"]
    assert (batch, lr) == {None: ("1024", "0.002 to 0.004"), "scratch": ("32", "0.002 to 0.004")}[start]
    assert light(app) == ("This may not decide" if start else "This tests the noise-aware transfer, not the rule")


def test_what_earlier_calibrations_showed_counts_for_the_same_configuration(store):
    defaults = task("digits").defaults
    chosen = stored.plan(seeds=3, target=32, warm_samples=defaults.warm_samples, evaluations=defaults.evaluations)
    measured = [*stored.points(chosen), *(Measured("base", seed, 0, {"noise": 40 + seed / 10, "signal": 1.0})
                                          for seed in chosen.seeds)]
    id = stored.calibration(store, chosen=chosen, measured=measured)
    app = opened("opt=adam&b0=8&b1=64&lr=0.002")
    assert light(app) == "This would not test the rule" and f"measured in calibration `{id}`" in app.error[0].value
    assert light(opened("opt=adam&b0=8&b1=64&lr=0.001")) == "This can test the rule"


def test_the_time_is_said_before_launch_and_timed_once_for_a_plan(timed):
    app = opened()
    until(lambda: "most about **1 min 40 s** on a test" in said(app.run()), what="the estimate")
    opened()
    assert len(timed) == 1
    app.number_input(key="seeds-digits").set_value(2).run()
    until(lambda: len(timed) == 2, what="the timing of the new plan")


def test_a_timing_that_fails_says_why_and_is_tried_again(monkeypatch):
    answers = [RuntimeError("no estimate: a busy machine *today*"), Estimate(100.0, "a test", {})]

    def estimate(plan):
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(timing, "estimate", estimate)
    plan = stored.plan()
    timings = timing.Timings()
    until(timings.of(plan).done)
    assert isinstance(timings.of(plan).exception(), RuntimeError)  # looking does not start it anew
    assert timings.of(plan, again=True).result(10).seconds == 100


def test_a_timing_that_nobody_waits_for_any_more_makes_room(monkeypatch):
    go = threading.Event()
    monkeypatch.setattr(timing, "estimate", lambda plan: go.wait(30) and Estimate(float(len(plan.seeds)), "a test", {}))
    timings = timing.Timings()
    first, second = timings.of(stored.plan(seeds=1)), timings.of(stored.plan(seeds=2))
    third = timings.of(stored.plan(seeds=3))
    go.set()
    assert (first.result(10).seconds, third.result(10).seconds) == (1, 3)
    with pytest.raises(CancelledError):
        second.result()
    assert timings.of(stored.plan(seeds=2)).result(10).seconds == 2  # asked again, it is timed


def test_what_the_engine_cannot_train_is_said_and_what_it_leaves_out_too():
    app = opened("opt=optax_adam&eps_root=1e-8&b0=8&b1=64")
    assert "Adam (optax) cannot be trained here" in said(app) and app.button[-1].label == "Launch"
    assert ", ".join(TRAINED) in said(app).replace("\\", "")
    app = opened("opt=adamw&lr=1e-3&b0=8&b1=64&ema_decay=0.999&groups=head:+lr=1e-4")
    assert "Left out here" in said(app) and "AdamW" not in said(app)


def test_a_schedule_is_chosen_by_its_kind_or_typed_with_its_settings(store, submitted):
    app = opened()
    box = app.selectbox(key="schedule-constant")
    assert box.label == "Learning rate over a run"
    assert "After any warm-up the learning rate stays constant." in said(app)
    assert box.options == ["Constant", "Cosine", "Linear", "WSD", "Inverse square root", "Milestones"]
    box.set_value("cosine").run()
    assert "After any warm-up the learning rate falls along a cosine to 0." in said(app) and not app.error
    type_schedule(app, "wsd:0.1,1-sqrt")
    launch(app)[0].click().run()
    (queued,) = store.queue()
    assert queued.plan.schedule == schedule("wsd:0.1,1-sqrt")
    assert "schedule `wsd:0.1,1-sqrt`" in said(app)


@pytest.mark.parametrize("text", ["cosine:2", "exponential", "", "milestones:0.9,0.5", "x" * 5000])
def test_a_text_that_is_no_schedule_is_named_and_hides_no_other_choice(text):
    app = opened()
    type_schedule(app, text)
    assert "schedule = " in said(app) and "is not a schedule" in said(app) and not launch(app) and not app.exception
    assert app.selectbox(key="device") and app.toggle(key="early-auto")
    type_schedule(app, "linear:0.1")
    assert launch(app) and not app.error


@pytest.mark.parametrize(("query", "text"), [
    ("schedule=cosine&min_lr=0.0004", "cosine:0.1"), ("schedule=linear&steps=1000&warmup=10", "linear"),
    ("schedule=wsd&steps=1000&decay_steps=300", "wsd:0.3"), ("schedule=constant", "constant"), ("", "constant")])
def test_the_schedule_of_the_users_own_configuration_is_taken_over(query, text):
    app = opened(f"{OWN}&{query}")
    assert app.selectbox(key=f"schedule-{text}").value == text and "Left out here" not in said(app)
    assert f"After any warm-up the learning rate {schedule(text).words}." in said(app)
    app.segmented_control(key="source").set_value("The task's tested defaults").run()
    assert app.selectbox(key="schedule-constant").value == "constant"


def test_a_schedule_of_no_kind_here_is_left_out_by_name():
    app = opened(f"{OWN}&schedule=exponential&gamma_per_step=0.999&clip_norm=1&ema_decay=0.99&groups=head:+lr=1e-4")
    assert "Left out here: Schedule, Gamma per step, EMA decay, parameter groups." in said(app)
    assert app.selectbox(key="schedule-constant").value == "constant"


def test_launch_stores_the_plan_and_opens_the_live_view(store, submitted):
    app = opened(OWN)
    app.number_input(key="seeds-digits").set_value(2)
    app.number_input(key="samples-digits").set_value(1000)
    app.button_group(key="controls").set_value(["unscaled"])
    app.segmented_control(key="start").set_value("scratch")
    app.selectbox(key="device").set_value("cpu")
    app.text_input(key="name").set_value("  my try ")
    app.run()
    launch(app)[0].click().run()
    (found,) = store.queue()
    config, target, form, *_ = inputs.read(dict(parse_qsl(OWN)))[0]
    assert found.name == "my try"
    assert found.plan == make_plan("digits", config, target, arms=["unscaled"], seeds=2, samples=1000, start="scratch",
                                   decay_form=form, device="cpu", stop_early=True)
    assert found.plan.samples == 1024 and app.query_params["id"] in (found.id, [found.id])
    assert not app.exception and "QUEUED" in said(app)


def test_several_gpus_can_be_taken_together(store, submitted, monkeypatch):
    cards = Card(0, "NVIDIA A"), Card(1, "NVIDIA A")
    for module in (launch_form, runner.device):
        monkeypatch.setattr(module, "gpus", lambda: cards)
    monkeypatch.setattr(runner.device, "remembered", lambda index: None)
    app = opened()
    assert app.selectbox(key="device").options == ["auto: NVIDIA A", "CPU", "cuda:0 (NVIDIA A)", "cuda:1 (NVIDIA A)",
                                                   "all 2 GPUs, models spread over them"]
    app.selectbox(key="device").set_value("all").run()
    assert not app.toggle(key="early-all").value
    launch(app)[0].click().run()
    (found,) = store.queue()
    assert found.plan.device == "all" and runner.device.occupied("all") == ("cuda:0", "cuda:1")


@pytest.mark.parametrize(("seconds", "text"), [
    (4.4, "4 s"), (60, "1 min"), (130, "2 min 10 s"), (700, "11 min"), (3900, "1 h 5 min")])
def test_durations(seconds, text):
    assert timing.duration(seconds) == text


def test_field_errors_are_not_lost_in_the_timing(monkeypatch):
    def estimate(plan):
        raise FieldError("device", "cuda:7", "is not there: give auto or cpu")

    monkeypatch.setattr(timing, "estimate", estimate)
    app = opened()
    until(lambda: "device = 'cuda:7' is not there" in said(app.run()).replace("\\", ""), what="the reason")
    assert launch(app)
