"""The Scale page, run by Streamlit's own test harness."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from urllib.parse import parse_qsl

import pytest
from streamlit.testing.v1 import AppTest

from sqrtscale import TrainingConfig, scale
from sqrtscale.ui.inputs import Inputs, read

ROOT = Path(__file__).resolve().parents[2]
pytestmark = [pytest.mark.filterwarnings("error::DeprecationWarning:sqrtscale"),
              pytest.mark.filterwarnings("error::FutureWarning")]


@pytest.fixture(autouse=True)
def nothing_deprecated(caplog):
    yield
    assert not [record.message for record in caplog.records if "deprecat" in record.message.lower()]


def opened(query: str = "") -> AppTest:
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
    for name, value in parse_qsl(query, keep_blank_values=True):
        app.query_params[name] = value
    app.run()
    assert not app.exception
    return app


def answer(app: AppTest) -> dict[str, tuple[str, str]]:
    """Field -> (base, scaled) as the table shows them, without colour and weight."""
    if not app.table:
        return {}
    frame = app.table[0].value
    return {row.iloc[0]: tuple(cell.strip("*").split("[")[-1].rstrip("]") for cell in row.iloc[1:3])
            for _, row in frame.iterrows()}


def button(app: AppTest, label: str):
    return next(one for one in app.button if one.label == label)


def headline(app: AppTest) -> str:
    return app.header[1].value


def test_first_visit_shows_an_answer():
    app = opened()
    assert headline(app) == "κ = 4: batch :blue[256] → :orange[1024]"
    assert answer(app) == {
        "Batch size": ("256", "1024"), "Learning rate": ("0.001", "0.002"), "beta1": ("0.9", "0.6"),
        "beta2": ("0.999", "0.996"), "Epsilon": ("1e-8", "5e-9"), "Weight decay (decoupled)": ("0.01", "0.02")}
    assert "torch.optim.AdamW(" in app.code[0].value
    assert not app.error and not app.query_params


def test_digits_are_exact():
    app = opened("b1=2048")
    assert answer(app)["Learning rate"] == ("0.001", "0.0028284271")
    assert "lr=0.002828427124746," in app.code[0].value


@pytest.mark.parametrize("text", ["1e-3", "3e-4", "0.00025"])
def test_a_typed_learning_rate_changes_answer_and_address(text):
    app = opened()
    app.text_input(key="lr").set_value(text).run()
    assert f"lr={2 * float(text)!r}," in app.code[0].value
    assert app.query_params.get("lr") == text
    again = opened(f"lr={text}")
    assert answer(again) == answer(app) and again.text_input(key="lr").value == text


@pytest.mark.parametrize(("key", "text", "field", "allowed"), [
    ("b0", "0", "batch\\_size", "whole number from 1"), ("b1", "0", "target\\_batch", "whole number from 1"),
    ("b1", "-3", "target\\_batch", "whole number from 1"), ("b1", "12.5", "target\\_batch", "whole number from 1"),
    ("lr", "abc", "lr", "finite number above 0"), ("lr", "nan", "lr", "finite number above 0"),
    ("lr", "-0.1", "lr", "finite number above 0"), ("lr", "1e400", "lr", "finite number above 0"),
    ("beta1", "1", "beta1", "a number in"), ("beta2", "1.2", "beta2", "a number in"), ("eps", "-1", "eps", "0 or more"),
    ("wd", "x", "weight\\_decay", "0 or more"), ("steps", "0", "total\\_steps", "whole number from 1"),
    ("warmup", "-1", "warmup\\_steps", "whole number from 0"), ("noise", "0", "noise\\_scale", "finite number above 0"),
    ("noise", "many", "noise\\_scale", "finite number above 0")])
def test_bad_input_is_named_in_place_of_an_answer(key, text, field, allowed):
    app = opened("lr=0.5")
    app.text_input(key=key).set_value(text).run()
    assert not app.exception and not app.table and not app.code
    [error] = app.error
    assert error.value == f"What is wrong stands below {app.text_input(key=key).label}."
    [mark] = [markdown.value for markdown in app.markdown if ":red[" in markdown.value]
    assert mark.startswith(f":small[:red[{field} = ") and allowed in mark
    good = {"steps": "", "warmup": "", "b0": "8", "b1": "8"}.get(key, "0.5")
    app.text_input(key=key).set_value(good).run()
    assert not app.error and app.table


@pytest.mark.parametrize("query", [
    "lr=abc&b1=-3", "lr=&b0=x&b1=1e99&beta1=2&beta2=&eps=-1&wd=nan&steps=.",
    "lr=%F0%9F%98%80", "b0=" + "9" * 500, "lr=**x**%5By%5D(z)", "beta1=0.9&beta1=7"])
def test_a_bad_link_shows_its_errors(query):
    app = opened(query)
    assert app.error and not app.table and not app.code
    assert dict(app.query_params) == dict(parse_qsl(query, keep_blank_values=True)) or len(query) > 400


@pytest.mark.parametrize("value", ["x", " " * 2000])
def test_a_choice_that_the_optimizer_does_not_have_is_left_out_of_the_link(value):
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
    app.query_params["mform"] = value
    app.run()
    assert not app.error and headline(app).startswith("κ = 4") and not app.query_params


@pytest.mark.parametrize(("query", "said", "taken"), [
    ("opt=lion", "optimizer = 'lion' has no derived rule", "AdamW"), ("opt=", "optimizer = '' is not known", "AdamW"),
    ("form=banana", "decay_form = 'banana' is not known: give one of linear, half-life", "Linear"),
    ("schedule=zigzag", "schedule = 'zigzag' is not known", "none")])
def test_in_place_of_a_choice_that_there_is_not_the_default_is_taken_and_that_is_said(query, said, taken):
    app = opened(query + "&b1=512")
    [mark] = [markdown.value for markdown in app.markdown if "Taken instead" in markdown.value]
    assert said in mark.replace("\\", "") and mark.endswith(rf"Taken instead\: {taken}.]")
    assert not app.error and headline(app).startswith("κ = 2") and app.query_params == {"b1": "512"}
    app.text_input(key="lr").set_value("0.5").run()
    assert mark in [markdown.value for markdown in app.markdown]  # it still holds


def test_what_was_taken_instead_is_forgotten_when_another_is_chosen():
    app = opened("opt=lion")
    choose(app, "adam", "adamw")
    assert not any("Taken instead" in markdown.value for markdown in app.markdown) and not app.query_params


def test_another_optimizer_takes_its_defaults_but_keeps_what_was_typed():
    app = opened("b1=512&beta1=0.8")
    app.get("button_group")[0].set_value("rmsprop").run()
    assert answer(app) == {
        "Batch size": ("256", "512"), "Learning rate": ("0.01", "0.014142136"), "alpha": ("0.99", "0.98"),
        "Epsilon": ("1e-8", "7.0710678e-9"), "Weight decay (L2)": ("0", "0"), "Momentum": ("0", "0")}
    assert app.query_params == {"opt": "rmsprop", "b1": "512"}
    app.text_input(key="lr").set_value("0.02").run()
    app.get("button_group")[0].set_value("adam").run()
    assert answer(app)["Learning rate"][0] == "0.02" and answer(app)["beta1"][0] == "0.8"
    assert app.query_params == {"opt": "adam", "b1": "512", "beta1": "0.8", "lr": "0.02"}


def choose(app: AppTest, *optimizers: str) -> None:
    for optimizer in optimizers:
        app.get("button_group")[0].set_value(optimizer).run()


def test_another_optimizer_and_back_keeps_what_was_typed():
    app = opened("lr=0.01&beta1=0.8&wd=0.3&b0=2x4x2&steps=90&groups=head:+lr=0.5")
    shown, address = answer(app), dict(app.query_params)
    choose(app, "rmsprop", "adam", "more", "adamw")  # 0.01 is RMSprop's default lr
    assert answer(app) == shown and app.query_params == address
    choose(app, "rmsprop")
    app.text_input(key="alpha").set_value("0.95").run()
    app.segmented_control(key="mform").set_value("scaled").run()
    choose(app, "adamw")
    assert answer(app) == shown and app.query_params == address
    choose(app, "rmsprop")
    assert app.query_params["alpha"] == "0.95" and app.query_params["mform"] == "scaled"


def test_what_was_put_back_to_the_default_is_forgotten():
    app = opened("lr=0.02")
    choose(app, "rmsprop")
    app.text_input(key="lr").set_value("0.01").run()  # its default
    choose(app, "adamw")
    assert answer(app)["Learning rate"][0] == "0.001" and not app.query_params


def test_what_was_typed_for_another_optimizer_outlives_another_page():
    app = opened("beta1=0.8")
    choose(app, "rmsprop")
    app.query_params.clear()
    app.switch_page("pages/results.py").run()
    app.query_params.clear()
    app.switch_page("pages/scale.py").run()
    choose(app, "adamw")
    assert answer(app)["beta1"][0] == "0.8"


def test_a_click_that_still_carries_an_older_address_undoes_no_input(navigated):
    app = opened("lr=3e-4")
    app.text_input(key="lr").set_value("5e-4").run()
    app.query_params["lr"] = "3e-4"  # as a busy browser sends it, which has not heard of the new address yet
    button(app, "Calibrate this").click().run()
    assert read(dict(app.query_params))[0].config["lr"] == 5e-4


def test_the_half_life_form_is_offered_beside_a_decay_without_a_number():
    app = opened("b1=8192")
    assert answer(app)["beta1"] == ("0.9", "no number")
    assert "half-life gives 0.034336838" in app.table[0].value.iloc[2, 3]
    assert "beta1 has no number" in app.code[0].value
    assert button(app, "Calibrate this").disabled
    assert "It cannot be calibrated at this κ: no number for beta1." in [caption.value for caption in app.caption]
    assert button(app, "Test κ = 32 at 8 → 256 instead")
    button(app, "Use the half-life form").click().run()
    assert answer(app)["beta1"] == ("0.9", "0.034336838")
    assert app.query_params == {"b1": "8192", "form": "half-life"}
    assert not [one for one in app.button if one.label == "Use the half-life form"]
    assert not button(app, "Calibrate this").disabled


@pytest.mark.parametrize("query", [
    "lr=3e-4&b1=4096&beta2=0.9999", "opt=rmsprop&alpha=0.9&mom=0.9&eps=1e-5", "opt=adam&wd=0.1&b0=1024&b1=64",
    "steps=100000&warmup=2000&b1=300", "form=half-life&b1=100000"])
def test_a_share_link_shows_the_same_again(query):
    app = opened(query)
    assert app.query_params == dict(parse_qsl(query))
    inputs, errors = read(dict(parse_qsl(query)))
    assert not errors
    assert headline(app).startswith(f"κ = {scale(*inputs).kappa:.8g}:")


def test_calibrate_this_carries_every_input(navigated):
    app = opened("opt=rmsprop&lr=3e-4&b1=512&steps=1000&schedule=cosine&min_lr=3e-5&form=half-life")
    button(app, "Calibrate this").click().run()
    assert app.title[0].value == "Test the scaled configuration"
    config = TrainingConfig("rmsprop", 256, {"lr": 3e-4}, 1000, run={"schedule": "cosine", "min_lr": 3e-5})
    assert read(dict(app.query_params)) == (Inputs(config, 512, "half-life"), {})


def test_the_download_is_the_answer_of_the_command_line():
    from sqrtscale.ui import answer as parts

    given, _ = read({"b1": "8192", "steps": "100"})
    data = json.loads(parts.as_json(scale(*given)))
    assert data == scale(*given).as_dict() and data["scaled"]["betas"][0] is None


def test_warnings_stand_beside_the_answer():
    assert any("fewer than 10 steps" in warning.value for warning in opened("beta2=0.9&b1=512").warning)
    assert any("equals the base batch" in warning.value for warning in opened("b1=256").warning)


def test_how_steps_were_rounded_is_a_note():
    app = opened("steps=1000&warmup=10&eval_steps=250&b1=1024")
    assert not app.warning
    assert "Warm-up steps: 10 / κ = 2.5 was rounded to 3, 20% off." in [caption.value for caption in app.caption]
    assert any("was rounded to 0" in warning.value for warning in opened("steps=1000&warmup=1&b1=1024").warning)  # none is left
    app = opened("steps=2&b1=2048")  # not one step is left
    assert any("less than one step" in warning.value for warning in app.warning)


def test_kappa_is_a_greek_letter_wherever_the_page_says_it():
    app = opened("b1=2048&beta2=0.95&steps=1001&opt=adam")
    kinds = app.markdown, app.caption, app.warning, app.error, app.header
    texts = [element.value for kind in kinds for element in kind]
    assert not [text for text in texts if "kappa" in text] and any("κ" in text for text in texts)


def test_any_other_optimizer_is_chosen_by_name_and_library():
    app = opened()
    app.get("button_group")[0].set_value("more").run()
    app.selectbox(key="other").set_value("keras_rmsprop").run()
    assert answer(app)["Epsilon (inside the root)"] == ("1e-7", "2.5e-8")
    assert "keras.optimizers.RMSprop(" in app.code[0].value and app.query_params == {"opt": "keras_rmsprop"}
    assert not button(app, "Calibrate this").disabled and "PyTorch's convention" in button(app, "Calibrate this").help
    assert not button(opened("opt=nadam"), "Calibrate this").disabled
    refused = opened("opt=optax_adam&eps_root=1e-8")
    assert any("cannot be calibrated as it is: The calibration engine has" in caption.value for caption in refused.caption)
    assert button(refused, "Test κ = 4 at 8 → 32 instead")
    assert button(refused, "Calibrate this").disabled
    assert "nadam" in button(refused, "Calibrate this").help  # what the engine has: no second eps
    again = opened("opt=keras_rmsprop")
    assert answer(again) == answer(app) and again.selectbox(key="other").value == "keras_rmsprop"
    again.get("button_group")[0].set_value("adam").run()
    assert answer(again)["Epsilon"][0] == "1e-8" and again.query_params == {"opt": "adam"}


def test_batches_in_parts_groups_and_fields_of_the_run():
    query = "b0=8x4x8&b1=8 × 16 × 8&ema_decay=0.9999&clip_norm=1&milestones=300 600&groups=no decay: weight_decay=0"
    app = opened(query.replace(" ", "+"))
    assert headline(app) == "κ = 4: batch :blue[256] → :orange[1024]"
    found = answer(app)
    assert (found["Milestones"], found["Gradient clip norm"], found["EMA decay"]) == (
        ("300 600", "75 150"), ("1", "0.5"), ("0.9999", "0.99960006"))
    assert found["no decay: Weight decay (decoupled)"] == ("0", "0")
    assert "8 × 16 × 8" in app.code[0].value
    for key, text, said in (("b0", "8x", "devices = ''"), ("groups", "no decay weight_decay=0", "groups"),
                            ("groups", "head: speed=2", "head.speed")):
        bad = opened(f"{key}={text}".replace(" ", "+"))
        assert any(said in mark.value for mark in bad.markdown) and bad.error and not bad.table


def test_lr_is_corrected_on_demand():
    app = opened("b1=2048&beta2=0.95")
    assert any("12% less per sample" in one.value for one in app.markdown)
    app.toggle(key="corr").set_value(True).run()
    assert answer(app)["Learning rate"] == ("0.001", "0.0031987567") and app.query_params["corr"] == "1"
    assert scale(*read(dict(app.query_params))[0]).lr_corrected


def from_query():
    import streamlit as st

    from sqrtscale.rules import FieldError
    from sqrtscale.ui.forms import current

    try:
        st.session_state.found = current()
    except FieldError as error:
        st.session_state.found = str(error)


@pytest.mark.parametrize(("query", "found"), [
    ({}, None), ({"id": "abc"}, None),
    ({"lr": "x"}, "lr = 'x' is not allowed: give a finite number above 0, for example 0.001"),
    ({"opt": "AdamW", "b1": "64"}, Inputs(TrainingConfig("adamw", 256), 64, "linear"))])
def test_another_page_reads_the_link(query, found):
    app = AppTest.from_function(from_query, default_timeout=60)
    for name, value in query.items():
        app.query_params[name] = value
    app.run()
    assert app.session_state.found == found


def test_the_page_loads_neither_torch_nor_what_only_other_pages_need():
    code = (
        "import sys; from streamlit.testing.v1 import AppTest; app = AppTest.from_file('app.py', default_timeout=120);"
        "app.run(); assert app.table and not app.exception; assert not {'torch', 'scipy', 'sqlalchemy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, timeout=240)


def test_widgets_that_lost_their_values_are_filled_again():
    """What the browser sends where a run that would have told it the values was broken off: widgets as if never filled."""
    app = opened("lr=0.007")
    app.session_state["opt"] = None
    app.session_state["lr"] = ""
    app.run()
    assert not app.exception and app.text_input(key="lr").value == "0.007"
