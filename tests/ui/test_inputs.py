"""Inputs as text: what a form and a link hold, without Streamlit."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as some

from sqrtscale.rules import FAMILIES, FieldError, TrainingConfig, scale
from sqrtscale.rules.kinds import DecayRate
from sqrtscale.ui.inputs import Inputs, carried, defaults, number, read, texts_of
from sqrtscale.ui.tables import plain, with_numbers

positive = some.floats(1e-12, 1e6, allow_subnormal=False)
decay = some.floats(0, 0.9999999, allow_subnormal=False)  # libraries switch them off for the whole process


@some.composite
def transfers(draw):
    kin = FAMILIES[draw(some.sampled_from(sorted(FAMILIES)))]
    values = {name: draw(decay if isinstance(field.kind, DecayRate) else positive) for name, field in kin.fields.items()}
    total = draw(some.none() | some.integers(1, 10**9))
    warmup = draw(some.none() | some.integers(0, total or 10**9))
    config = TrainingConfig(kin.name, draw(some.integers(1, 10**6)), values, total, warmup)
    return Inputs(config, draw(some.integers(1, 10**6)), draw(some.sampled_from(["linear", "half-life"])))


@given(transfers())
def test_a_link_gives_the_same_inputs_back(inputs):
    found, errors = read(texts_of(inputs))
    if errors:  # a value that leaves floating point has no answer anywhere
        with pytest.raises(FieldError):
            scale(*inputs)
    else:
        assert found == inputs


@pytest.mark.parametrize("name", FAMILIES)
def test_defaults_make_a_configuration(name):
    found, errors = read(defaults(name))
    assert errors == {}
    assert found == Inputs(TrainingConfig(name, 256), 1024, "linear")
    assert read({"opt": name})[0] == found


@pytest.mark.parametrize(("text", "value"), [
    ("1e-3", 1e-3), ("3E-4", 3e-4), (" 0.5 ", 0.5), (".01", 0.01), ("1", 1.0), ("+2e0", 2.0)])
def test_numbers_may_be_written_as_people_write_them(text, value):
    assert read({"lr": text})[0].config["lr"] == value


@pytest.mark.parametrize(("key", "text", "field"), [
    ("opt", "lion", "optimizer"), ("b0", "1.5", "batch_size"), ("b0", "9" * 400, "batch_size"),
    ("b1", "0", "target_batch"),
    ("b1", "1e13", "target_batch"), ("lr", "0,001", "lr"), ("lr", "", "lr"), ("lr", "1e999", "lr"),
    ("eps", "-1e-8", "eps"),
    ("beta1", "1", "beta1"), ("beta2", "nan", "beta2"), ("wd", "-inf", "weight_decay"), ("steps", "0", "total_steps"),
    ("warmup", "-1", "warmup_steps"), ("form", "cubic", "decay_form")])
def test_every_field_refuses_by_name(key, text, field):
    found, errors = read({key: text})
    assert found is None and list(errors) == [key]
    assert errors[key].field == field and str(errors[key]).startswith(f"{field} = ")
    assert "give" in errors[key].allowed


def test_all_that_is_wrong_is_said_at_once():
    found, errors = read({"opt": "lion", "lr": "abc", "b1": "-3", "beta1": "1", "warmup": "x", "form": "banana"})
    assert found is None and set(errors) == {"opt", "lr", "b1", "beta1", "warmup", "form"}


def test_warmup_longer_than_the_run_and_a_value_beyond_floats_are_refused():
    assert set(read({"steps": "10", "warmup": "11"})[1]) == {"warmup"}
    assert set(read({"lr": "1e308", "b1": "1000000"})[1]) == {"lr"}


def test_foreign_parameters_are_not_inputs():
    assert carried({"id": "abc", "lr": "1", "utm": "x", "alpha": "0.9"}) == {"lr": "1", "alpha": "0.9"}


@pytest.mark.parametrize(("value", "text"), [
    (1e-8, "1e-8"), (0.00282842712474619, "0.0028284271"), (2.5e-7, "2.5e-7"), (1024, "1024"), (0.0, "0"),
    (1e20, "1e20"), (100000.0, "100000"), (10**12, "1000000000000")])
def test_numbers_keep_their_digits(value, text):
    assert number(value) == text
    assert float(text) == pytest.approx(value, rel=1e-7)


def test_formulas_carry_their_numbers():
    scaled = scale(TrainingConfig("adamw", 256, total_steps=1000), 512)
    shown = {row.name: with_numbers(row, scaled.kappa) for row in scaled.fields}
    assert shown == {"lr": "√2 · 0.001", "beta1": "1 - 2 · (1 - 0.9)", "beta2": "1 - 2 · (1 - 0.999)",
                     "eps": "1e-8 / √2", "weight_decay": "√2 · 0.01", "total_steps": "1000 / 2, rounded"}
    assert with_numbers(scale(TrainingConfig("adam", 256), 512).fields[-1], 2.0) == "unchanged"


def test_plain_text_is_not_markdown():
    assert plain("a*b_c [d](e) :red[f] $g$ <h>") == (
        r"a\*b\_c \[d\](e) \:red\[f\] \$g\$ \<h\>")
