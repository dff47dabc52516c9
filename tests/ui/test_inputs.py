"""Inputs as text: what a form and a link hold, without Streamlit."""

from __future__ import annotations

import sys
from collections import Counter

import pytest
from hypothesis import example, given
from hypothesis import strategies as some

from sqrtscale.rules import FAMILIES, FieldError, ParameterGroup, TrainingConfig, scale
from sqrtscale.rules.kind import DecayRate
from sqrtscale.ui.inputs import Inputs, carried, defaults, format_number, longest, read, texts_of
from sqrtscale.ui.tables import escaped, with_numbers

positive = some.floats(1e-12, 1e6, allow_subnormal=False)
decay = some.floats(0, 0.9999999, allow_subnormal=False)  # libraries switch them off for the whole process

links = some.dictionaries(some.sampled_from([*defaults("rmsprop"), "beta1", "groups", "x"]), some.text(max_size=60) | some.builds(
    lambda text, count: text * count, some.sampled_from([" ", "a: lr=1;", "9", "\t\n", "1x", "-1e9", "\u2003", '"']),
    some.integers(1, 5000)), max_size=6)
printable = some.text(some.characters(blacklist_categories=["Cs"]).filter(str.isprintable), max_size=60)
names = printable | some.text(some.sampled_from(' :;="\\,lr1'), max_size=10) | some.sampled_from(["layers.0:norm", "a: lr=1"])


@some.composite
def transfers(draw):
    optimizer_family = FAMILIES[draw(some.sampled_from(sorted(FAMILIES)))]
    values = {name: draw(decay if isinstance(field.kind, DecayRate) else positive)
              for name, field in optimizer_family.fields.items()}
    total = draw(some.none() | some.integers(1, 10**9))
    warmup = draw(some.none() | some.integers(0, total or 10**9))
    run = draw(some.fixed_dictionaries({}, optional={"loss_reduction": some.sampled_from(["mean", "sum"]),
                                                     "clip_norm": positive}))
    groups = tuple(ParameterGroup(name, {"lr": lr}) for name, lr in draw(some.lists(some.tuples(names, positive), max_size=3)))
    config = TrainingConfig(optimizer_family.name, draw(some.integers(1, 10**6)), values, total, warmup, run, groups)
    return Inputs(config, draw(some.integers(1, 10**6)), draw(some.sampled_from(["linear", "half-life"])),
                  noise_scale=draw(some.none() | positive))


@given(transfers())
def test_a_link_gives_the_same_inputs_back(inputs):
    found, errors = read(texts_of(inputs))
    if errors:  # a value that leaves floating point has no answer anywhere
        with pytest.raises(FieldError):
            _ = inputs.scaled, inputs.noise_aware
    else:
        assert found == inputs


@given(some.lists(names, max_size=4))
@example(["layers.0:norm", "a: lr=1", 'no "decay"', '"', "; ", "", "group 0", " : ", "\\u003b"])
def test_any_name_of_a_group_comes_back(written):
    groups = tuple(ParameterGroup(name, {"lr": 0.5, "weight_decay": 0.0}) for name in written)
    inputs = Inputs(TrainingConfig("adamw", 8, groups=groups), 16, "linear")
    assert read(texts_of(inputs)) == (inputs, {})


@pytest.mark.parametrize(("text", "groups"), [
    ("no decay: weight_decay=0", [("no decay", {"weight_decay": 0.0})]),
    ("layers.0:norm: lr=1e-4, beta2=0.99", [("layers.0:norm", {"lr": 1e-4, "beta2": 0.99})]),
    ("x=1: lr=2 ; : lr=3\n\n", [("x=1", {"lr": 2.0}), ("group 1", {"lr": 3.0})]),
    ('"a; b": lr=1', None), ('"a\\u003b b": lr=1', [("a; b", {"lr": 1.0})]), ('"a: lr=1', None), ('"a" b: lr=1', None),
    ("head:", [("head", {})]), ("head", None), ("lr=1", None), ("head: lr", None), ("head: lr=1 lr=2", None),
    ("head: lr=fast", None), ("head: =1", None), ("a: b: 1", None), (":", [("group 0", {})]),
])
def test_groups_as_people_write_them(text, groups):
    found, errors = read({"groups": text})
    if groups is None:
        assert found is None and list(errors) == ["groups"] and str(errors["groups"]).isprintable()
    else:
        assert [(one.name, dict(one.values)) for one in found.config.groups] == groups


@pytest.mark.parametrize("name", [*defaults("rmsprop"), "beta1", "beta2", "eps_root"])
def test_texts_of_a_link_are_read_up_to_their_length_and_refused_beyond(name):
    """Whatever they are full of, and never shortened to something else."""
    optimizer = {"opt": "optax_adam" if name in ("beta1", "beta2", "eps_root") else "rmsprop"}
    limit = longest(name)
    for text in (" ", ":", "=", ",", ";", "\n", "a", '"', "\\", "a:", ": ", "a=", "x=1 ", "\t\r", "1", "-", "e", "×"):
        full = (text * limit)[:limit]
        for _, errors in (read(optimizer | {name: full}), read(optimizer | {name: full + " " * limit})):
            assert all(str(error).isprintable() and len(str(error)) < 700 for error in errors.values())
        assert name in errors if name == "opt" else "is too long: give at most" in str(errors[name])


@given(links)
@example({"mform": "x"})
@example({"opt": "sgd", "mform": " " * 3000})
def test_any_link_is_read_or_refused_in_sentences(link):
    texts = carried(link)
    assert set(texts) <= set(link) and all(len(text) <= longest(name) + 1 for name, text in texts.items())
    given_inputs, errors = read(texts)
    assert (given_inputs is None) == bool(errors)
    assert all(str(error).isprintable() and len(str(error)) < 700 for error in errors.values())
    always = {"opt", "b0", "b1", "lr", "groups", "form", "mform"}  # whatever the optimizer
    assert {name for name in always & set(texts) if len(texts[name]) > longest(name)} <= set(errors)


@pytest.mark.parametrize("unit", [" ", ": ", "a", ";", "\n", "a:", "a: lr=1;", "\t\n", '"', "x=1 ", "a: lr=1 "])
def test_the_work_for_groups_grows_with_their_length_only(unit):
    """Counted are the calls of Python and C functions: eight times the text, at most eight times the work (and a constant)."""

    def work(length: int) -> int:
        calls: Counter[str] = Counter()
        sys.setprofile(lambda frame, event, argument: calls.update([event]))
        try:
            read({"groups": (unit * length)[:length]})
        finally:
            sys.setprofile(None)
        return calls["call"] + calls["c_call"]

    assert work(longest("groups")) <= 8 * work(longest("groups") // 8) + 2000


def test_a_summed_loss_stands_in_the_link():
    inputs = Inputs(TrainingConfig("adam", 8, run={"loss_reduction": "sum"}), 16, "linear")
    assert texts_of(inputs)["loss_reduction"] == "sum" and read(texts_of(inputs))[0] == inputs
    assert carried({"loss_reduction": "sum"}) == {"loss_reduction": "sum"}
    assert str(read({"loss_reduction": "none"})[1]["loss_reduction"]).endswith("is not known: give one of mean, sum")


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
    ("warmup", "-1", "warmup_steps"), ("form", "cubic", "decay_form"),
    ("noise", "-5", "noise_scale"), ("noise", "inf", "noise_scale")])
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
    assert format_number(value) == text
    assert float(text) == pytest.approx(value, rel=1e-7)


def test_formulas_carry_their_numbers():
    scaled = scale(TrainingConfig("adamw", 256, total_steps=1000), 512)
    shown = {row.name: with_numbers(row, scaled.kappa) for row in scaled.fields}
    assert shown == {"lr": "√2 · 0.001", "beta1": "1 - 2 · (1 - 0.9)", "beta2": "1 - 2 · (1 - 0.999)",
                     "eps": "1e-8 / √2", "weight_decay": "√2 · 0.01", "total_steps": "1000 / 2, rounded"}
    assert with_numbers(scale(TrainingConfig("adam", 256), 512).fields[-1], 2.0) == "unchanged"


def test_plain_text_is_not_markdown():
    assert escaped("a*b_c [d](e) :red[f] $g$ <h>") == (
        r"a\*b\_c \[d\](e) \:red\[f\] \$g\$ \<h\>")
