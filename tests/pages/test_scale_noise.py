"""A noise scale on the Scale page: both transfers, which applies, what is copied, and where a noise scale comes from."""

from __future__ import annotations

import math
from contextlib import closing
from urllib.parse import parse_qsl

import pytest
import stored
from streamlit.testing.v1 import AppTest

from sqrtscale.store import Result, Store
from sqrtscale.ui.inputs import read

from .test_scale_page import ROOT, answer, button, choose, opened

AWARE = 4e-3 * math.sqrt((1 + 567 / 1024) / (1 + 567 / 256))  # lr at kappa = 4 by the noise scale


def test_a_noise_scale_shows_both_transfers_and_which_applies():
    app = opened("lr=1e-3")
    assert any("A calibration measures it" in caption.value for caption in app.caption)
    app.text_input(key="noise").set_value("567").run()
    assert app.query_params == {"lr": "1e-3", "noise": "567"} and not app.exception
    frame = app.table[0].value
    assert list(frame.columns) == ["Field", ":blue[Base]", ":orange[Square-root rule]", "Noise-aware"]
    assert answer(app)["Learning rate"] == ("0.001", "0.002")
    assert float(frame.iloc[1, 3]) == pytest.approx(AWARE, rel=1e-7)
    [said] = [one.value for one in app.markdown if "noise scale" in one.value]
    assert "1.8 times your noise scale\\: the square root falls short by 28%. Take the noise-aware values" in said
    assert not any("A calibration measures it" in caption.value for caption in app.caption)
    assert any("Where noise dominates\\: at κ = 4" in one.value for one in app.markdown)


def test_the_users_choice_decides_what_is_copied():
    app = opened("noise=567")
    assert "lr=0.002," in app.code[0].value and "square-root rule" in app.code[0].value
    app.segmented_control(key="transfer-chosen").set_value("Noise-aware").run()
    lr = float(app.code[0].value.partition("lr=")[2].partition(",")[0])
    assert lr == pytest.approx(AWARE) and "noise-aware transfer, noise scale 567" in app.code[0].value
    assert app.table[0].value.columns[-1] == ":orange[Noise-aware]"
    assert app.query_params == {"noise": "567"}  # what is copied is no input
    app.text_input(key="noise").set_value("").run()
    assert "lr=0.002," in app.code[0].value and app.table[0].value.columns[-1] == "Rule"


def test_a_noise_scale_that_was_measured_here_is_taken_into_the_form():
    title = "Noise scales that were measured"
    with closing(Store.open()) as store:
        ids = [stored.calibration(store, name=name) for name in ("with one", "without")]
        store.set_verdict(ids[0], Result("matches", "It does.", noise_scale=566.7, noise_low=497.2, noise_high=math.inf))
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
    app.session_state[title] = True
    app.run()
    [label] = app.selectbox(key="measured-noise").options
    assert label == "567 (497 to infinity): Vision: handwritten digits, adam, batch 8, with one"
    button(app, "Use this noise scale").click().run()
    assert app.query_params["noise"] == "567" and "Noise-aware" in app.table[0].value.columns and not app.exception


def test_where_nothing_was_measured_the_way_to_it_is_said():
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
    app.session_state["Noise scales that were measured"] = True
    app.run()
    assert any("No stored calibration has measured one yet" in caption.value for caption in app.caption) and not app.exception


def test_a_noise_scale_stays_with_another_optimizer_and_goes_to_calibrate(navigated):
    app = opened("noise=567")
    choose(app, "rmsprop", "adamw")
    assert app.text_input(key="noise").value == "567"
    button(app, "Calibrate this").click().run()
    assert read(dict(app.query_params))[0].noise_scale == 567


def test_an_optimizer_whose_lr_does_not_follow_the_noise_scale_says_so():
    app = opened("opt=sgd&noise=567")
    assert any("changes nothing about the lr of SGD" in one.value for one in app.markdown)


def test_far_below_the_noise_scale_the_rule_is_left_alone():
    app = opened("noise=1e9")
    [said] = [one.value for one in app.markdown if "noise scale" in one.value]
    assert "right to within 1%" in said and "Take" not in said


@pytest.mark.parametrize("query", ["", "noise=567", "opt=sgd&noise=567", "noise=1e-3&b1=64"])
def test_every_expander_opens_with_and_without_a_noise_scale(query):
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
    for name, value in parse_qsl(query):
        app.query_params[name] = value
    for title in ("How far: every field over κ", "Other rules beside this one"):
        app.session_state[title] = True
    app.run()
    assert not app.exception and not app.error
    rules = next(table.value for table in app.table if "Linear lr" in table.value.columns)
    assert ("Noise-aware" in rules.columns) == ("Surge" in rules.columns) == ("noise" in query)


def with_a_file(name: str, content: bytes) -> AppTest:
    """The Scale page after that file was given as one with noise scales."""
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
    app.session_state["Noise scales that were measured"] = True
    app.run()
    app.file_uploader(key="noise-file").set_value((name, content, "text/plain")).run()
    assert not app.exception
    return app


def test_a_noise_meters_file_gives_the_noise_scale_at_its_end():
    """Sums over measurements from 2/3 of an age on: at 3,000 samples (600 + 1,800) / (1 + 2) = 800, at 1,000 400 / 1."""
    rows = [(1000, 400, 1), (2000, 600, 1), (3000, 1800, 2)]
    lines = "".join(f'{{"samples": {samples}, "noise": {noise}, "signal": {signal}}}\n' for samples, noise, signal in rows)
    app = with_a_file("noise.jsonl", lines.encode())
    [caption] = [caption.value for caption in app.caption if "over its course" in caption.value]
    assert caption.startswith("**800** at the end, after 3,000 samples; from 400 to 800")
    button(app, "Use the noise scale at the end").click().run()
    assert app.query_params["noise"] == "800" and "Noise-aware" in app.table[0].value.columns


@pytest.mark.parametrize(("content", "sentence"), [
    (b"", "is empty"), (b"\xff\xfe\x00", "is no text"), (b"{}", "line 1 is"), (b" " * (2**20 + 1), "is too large"),
    (b"samples,noise_scale\n0,567\n0,600\n", "is no course of a noise scale")])
def test_a_file_without_noise_scales_gets_a_sentence(content, sentence):
    [error] = with_a_file("points.txt", content).error
    assert sentence in error.value.replace("\\", "")
