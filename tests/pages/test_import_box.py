"""The import box of the Scale page: what it says, what it asks, and that its answer is the command line's."""

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest
from formats.samples import FOLDER, text_of
from streamlit.testing.v1 import AppTest

ROOT = Path(__file__).resolve().parents[2]
CASES = {  # file -> answers by the question's field, options of the command line
    "levanter.yaml": ({}, []),
    "megatron_gpt.yaml": ({}, []),
    "hf_llama_factory.yaml": ({"devices": "8"}, ["--devices", "8"]),
    "keras.json": ({"per_device": "64"}, ["--batch", "128"]),
    "swift_rlhf.yaml": ({"devices": "4", "accumulation": "2"}, ["--devices", "4", "--accumulation", "2"]),
}


def read(text, **address):
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
    app.query_params.update(address)
    app.run()
    app.text_area(key="import text").set_value(text)
    next(button for button in app.button if button.label == "Read").click()
    return app.run()


def imported(text, answers):
    app = read(text)
    if answers:
        for field, value in answers.items():
            app.text_input(key=f"answer-{field}").set_value(value)
        next(button for button in app.button if button.label == "Use it").click()
        app.run()
    assert not app.exception
    return app


def said(app):
    return "\n".join(element.value for kind in (app.markdown, app.caption, app.warning) for element in kind).replace("\\", "")


@pytest.mark.parametrize("name", [name for name in CASES if (FOLDER / name).exists()])
def test_scale_check_and_the_page_give_the_same_answer(name):
    answers, options = CASES[name]
    app = imported(text_of(name), answers)
    base = int(app.text_input(key="b0").value.split("×")[0]) if "×" not in app.text_input(key="b0").value else None
    target = 4096
    app.text_input(key="b1").set_value(str(target)).run()
    frame = app.table[0].value
    shown = {row.iloc[0]: row.iloc[2].strip("*").split("[")[-1].rstrip("]") for _, row in frame.iterrows()}
    command = [
        sys.executable,
        "-m",
        "sqrtscale",
        "scale",
        "--from",
        str(FOLDER / name),
        *options,
        "--target",
        str(target),
        "--json",
    ]
    found = json.loads(subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout)
    lr = next(row["scaled"] for row in found["fields"] if row["name"] == "lr")
    assert float(shown["Learning rate"]) == pytest.approx(lr, rel=1e-7) and shown["Batch size"] == str(target)
    assert base is None or base == found["base"]["batch_size"]
    kappa = subprocess.run([*command[:3], "check", *command[4:-1]], capture_output=True, text=True, cwd=ROOT).stdout
    assert kappa.startswith(f"kappa = {found['kappa']:.8g}: ")


def test_the_file_has_the_values_that_the_user_chose():
    """With the noise scale equal to the base batch of 256, at kappa = 2: lr' = 2 sqrt((1 + 1/2) / (1 + 1)) lr."""
    app = read(text_of("levanter.yaml"), noise="256", b1="512")
    assert app.text_input(key="noise").value == "256" == app.text_input(key="b0").value  # no file says the former

    def patched_lr() -> float:
        [line] = [line for line in app.code[0].value.splitlines() if line.startswith("+") and "learning_rate" in line]
        return float(line.partition(":")[2].partition("#")[0])

    lr = patched_lr() / math.sqrt(2)
    app.segmented_control(key="transfer-chosen").set_value("Noise-aware").run()
    assert patched_lr() == pytest.approx(lr * 2 * math.sqrt(0.75), rel=1e-6)


@pytest.mark.parametrize("lost", [["b1"], ["b1", "noise"], ["opt", "b1"]])
def test_a_run_that_was_broken_off_loses_neither_target_nor_noise_scale(lost):
    """The browser knows no widget that such a run had not come to yet, and sends nothing of it with the next click."""
    app = read(text_of("hf_llama_factory.yaml"), noise="300", b1="2048")
    app.text_input(key="answer-devices").set_value("8")
    for block in [app.main, *(node for node in app.main if hasattr(node, "children"))]:
        block.children = {place: node for place, node in block.children.items() if getattr(node, "key", None) not in lost}
    for name in lost:
        del app.session_state[name]
    next(button for button in app.button if button.label == "Use it").click()
    app.run()
    assert not app.exception and (app.text_input(key="b1").value, app.text_input(key="noise").value) == ("2048", "300")


@pytest.mark.parametrize(("given", "left"), [
    ({"b1": "2048", "noise": "x"}, ("2048", "")),
    ({"b1": "x", "noise": "300"}, ("256", "300"))])  # the file's own batch
def test_a_target_that_cannot_be_read_takes_no_noise_scale_with_it_and_the_other_way_round(given, left):
    app = read(text_of("levanter.yaml"), **given)
    assert (app.text_input(key="b1").value, app.text_input(key="noise").value) == left


def test_what_was_read_assumed_and_not_read_stands_in_that_order():
    text = '{"train_batch_size": 64, "my_beta": 0.5, "optimizer": {"type": "AdamW", "params": {"lr": 0.001}}}'
    words = said(imported(text, {}))
    for parts in (
        ("Read from the file", "Assumed, as the file does not say", "Not read: look whether it matters"),
        ("lr = 0.001 (optimizer.params.lr)", "beta1 = 0.9", "my_beta = 0.5"),
    ):
        places = [words.index(part) for part in parts]
        assert places == sorted(places)


def test_a_file_that_fits_several_functions_asks_which():
    text = (
        text_of("torchtitan.py").replace("def llama3_8b", "def first", 1)
        + "\n\n"
        + text_of("torchtitan.py").replace("def llama3_8b", "def second", 1)
    )
    app = imported(text, {})
    box = app.selectbox(key="import function")
    assert box.options == ["first", "second"]
    box.set_value("second")
    next(button for button in app.button if button.label == "Read this one").click()
    app.run()
    assert not app.exception and "torchtitan" in said(app)


def test_reinforcement_learning_and_double_scaling_stand_as_warnings():
    text = (
        '{"per_device_train_batch_size": 8, "learning_rate": 1e-5, "reward_funcs": ["x"], "num_generations": 4, "world_size": 2, '
        '"scale_lr": true}'
    )
    words = said(imported(text, {"devices": "2"}))
    assert "does not cover" in words and "scale_lr" in words
