"""Documents in another arrangement: what a view shows, and that a change in it lands where the value stands."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sqrtscale.formats._edit import edited, has_place
from sqrtscale.formats._parsing import parse
from sqrtscale.formats._view import with_arguments, with_numbers, with_sections_joined, with_units

ARGUMENTS = ("optimizer_args",)


def toml(text):
    return parse(text, "toml")


def test_sections_are_put_together_and_a_new_entry_goes_beside_the_one_named():
    document = with_sections_joined(toml("root = 1\n[a]\nlr = 1e-4\n[b]\nsteps = 100\n"), "lr")
    assert document.data == {"root": 1, "lr": 1e-4, "steps": 100}
    after = edited(document, {("root",): 2, ("steps",): 25, ("clip",): 0.5})
    assert toml(after).data == {"root": 2, "a": {"lr": 1e-4, "clip": 0.5}, "b": {"steps": 25}}


@pytest.mark.parametrize("text, value", [
    ("betas=0.9,0.99", [0.9, 0.99]), ("betas=(0.9, 0.99)", [0.9, 0.99]), ("betas = [0.9,0.99]", [0.9, 0.99]),
    ("betas='0.5'", 0.5), ("betas=0.5", 0.5), ("betas=True", True), ("betas=(0.9, x)", "(0.9, x)"), ("betas=()", "()")])
def test_an_argument_is_a_number_a_list_or_a_text(text, value):
    document = with_arguments(parse(f'{{"optimizer_args": ["{text}"]}}', "json"), ARGUMENTS)
    assert document.data == {"optimizer_args": {"betas": value}}


def test_arguments_change_in_their_text_and_new_ones_are_added():
    document = with_arguments(toml('optimizer_args = ["weight_decay=0.1", "betas=(0.9, 0.99)"]\n'), ARGUMENTS)
    after = edited(document, {(*ARGUMENTS, "betas", 1): 0.96, (*ARGUMENTS, "betas", 0): 0.6, (*ARGUMENTS, "eps"): 5e-9,
                              (*ARGUMENTS, "weight_decay"): 0.2})
    assert toml(after).data == {"optimizer_args": ["weight_decay=0.2", "betas=(0.6, 0.96)", "eps=5e-09"]}


def test_arguments_that_a_file_does_not_have_become_a_list_of_texts():
    document = with_arguments(toml("lr = 1e-4\n"), ARGUMENTS)
    after = edited(document, {(*ARGUMENTS, "betas", 0): 0.6, (*ARGUMENTS, "betas", 1): 0.96, (*ARGUMENTS, "eps"): 5e-9})
    assert toml(after).data == {"lr": 1e-4, "optimizer_args": ["betas=0.6,0.96", "eps=5e-09"]}


@pytest.mark.parametrize("odd", ["3", '"text"', '[1, "no argument", "=1", "eps=1e-8"]', "[[1]]", "true"])
def test_odd_arguments_are_no_error(odd):
    document = with_arguments(toml(f"optimizer_args = {odd}\n"), ARGUMENTS)
    assert set(document.data["optimizer_args"]) <= {"eps"}


def test_a_unit_stays_and_other_units_stay_texts():
    document = with_units(parse("a: 100ba  # steps\nb:\n  - 20ba\n  - 1ep\nc: '30ba'\nd: 1.5ba\n", "yaml"), "ba")
    assert document.data == {"a": 100, "b": [20, "1ep"], "c": 30, "d": "1.5ba"}
    after = edited(document, {("a",): 25, ("b", 0): 5, ("c",): 8})
    assert after == "a: 25ba  # steps\nb:\n  - 5ba\n  - 1ep\nc: \"8ba\"\nd: 1.5ba\n"


def test_an_alias_of_a_text_is_shared_in_the_view_as_well():
    document = with_units(parse("a: &steps 100ba\nb: *steps\n", "yaml"), "ba")
    assert document.data == {"a": 100, "b": 100} and ("b",) in document.shared and ("a",) not in document.shared


def test_views_stand_on_each_other():
    text = "[optimizer]\nlearning_rate = 1e-4\nblock_lr = '1e-5, 2e-5'\noptimizer_args = ['eps=1e-8']\n"
    document = with_numbers(with_arguments(with_sections_joined(toml(text), "learning_rate"), ARGUMENTS), ("block_lr",))
    assert document.data == {"learning_rate": 1e-4, "block_lr": [1e-5, 2e-5], "optimizer_args": {"eps": 1e-8}}
    changes = {("block_lr", 1): 4e-5, (*ARGUMENTS, "eps"): 5e-9, ("clip",): 0.5}
    assert all(has_place(document, path) for path in changes)
    assert toml(edited(document, changes)).data == {"optimizer": {
        "learning_rate": 1e-4, "block_lr": "1e-5, 4e-5", "optimizer_args": ["eps=5e-9"], "clip": 0.5}}


numbers = st.floats(1e-9, 1e9).map(lambda value: float(f"{value:.6g}"))


@given(st.lists(numbers, min_size=2, max_size=5), st.sampled_from([",", ", ", " , "]), st.data())
def test_any_number_of_a_text_can_be_changed_alone(values, between, data):
    document = with_numbers(parse(f'{{"rates": "{between.join(map(repr, values))}"}}', "json"), ("rates",))
    assert document.data == {"rates": values}
    i, new = data.draw(st.integers(0, len(values) - 1)), data.draw(numbers)
    after = with_numbers(parse(edited(document, {("rates", i): new}), "json"), ("rates",))
    assert after.data["rates"] == pytest.approx([*values[:i], new, *values[i + 1:]], rel=1e-12)
