"""JSON, YAML, TOML and wandb's YAML: keys that stand twice, and that data and places agree with the standard readers."""

import json
import re

import pytest
import yaml
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from sqrtscale.formats._edit import edited, has_place
from sqrtscale.formats._parsing import parse
from sqrtscale.formats._wandb import unwrapped
from sqrtscale.rules import FieldError

WANDB = """\
wandb_version: 1

_wandb:
  desc: null
  value:
    python_version: 3.10.12
learning_rate:
  desc: null
  value: 3.0e-05  # peak
betas:
  value: [0.9, 0.999]
optimizer:
  desc: null
  value:
    name: adamw
    lr: 0.001
missing:
  value:
"""


def test_the_last_of_two_keys_counts_in_json():
    text = '{"a": {"lr": 1, "b": [1, {"c": 2}]},\n "x": 1,\n  "a": {"lr": 2}, "x": 3}'
    document = parse(text, "json")
    assert document.data == json.loads(text) == {"a": {"lr": 2}, "x": 3}
    assert document.notes == ("a stands twice (again at line 3, column 3): the last one counts.",
                              "x stands twice (again at line 3, column 19): the last one counts.")
    assert set(document.spans) == {(), ("a",), ("a", "lr"), ("x",)} and document.flow == {(), ("a",)}
    assert set(document.keys) == {("a",), ("a", "lr"), ("x",)}
    assert edited(document, {("a", "lr"): 5, ("x",): 6}) == text.replace('"lr": 2', '"lr": 5').replace('"x": 3', '"x": 6')


def test_the_last_of_two_keys_counts_in_yaml():
    text = "a:\n  lr: 1\n  b: [1, {c: 2}]\nx: &x 1\na:\n  lr: 2\nx: 3\ny: *x\n"
    document = parse(text, "yaml")
    assert document.data == yaml.safe_load(text) == {"a": {"lr": 2}, "x": 3, "y": 1}
    assert document.notes == ("a stands twice (again at line 5, column 1): the last one counts.",
                              "x stands twice (again at line 7, column 1): the last one counts.")
    assert set(document.spans) == {(), ("a",), ("a", "lr"), ("x",)} and document.flow == set() and document.shared == {("y",)}
    assert edited(document, {("a", "lr"): 5, ("x",): 6}) == text.replace("lr: 2", "lr: 5").replace("x: 3", "x: 6")


def test_keys_of_other_syntaxes_may_not_stand_twice():
    for text, syntax in (("a = 1\na = 2\n", "toml"), ("[a]\n[a]\n", "toml"), ("x = dict(a=1, a=2)", "python"),
                         ("- learning_rate: 1\n- learning_rate: 2\n", "card")):
        with pytest.raises(FieldError):
            parse(text, syntax)


def test_many_keys_that_stand_twice_are_counted():
    notes = parse("{" + ", ".join(f'"k{i}": 1, "k{i}": 2' for i in range(40)) + "}", "json").notes
    assert len(notes) == 11 and notes[-1] == "30 more keys stand twice: the last one counts."


@pytest.mark.parametrize("order", ["<<: *base\n  opt: {lr: 2}", "opt: {lr: 2}\n  <<: *base"])
def test_an_entry_of_its_own_hides_a_merged_one_wherever_it_stands(order):
    document = parse(f"base: &base {{opt: {{lr: 1, wd: 3}}, x: 4}}\nrun:\n  {order}\n", "yaml")
    assert document.data["run"] == {"opt": {"lr": 2}, "x": 4}
    assert document.shared == {("run", "x")} and ("run", "opt", "lr") in document.spans
    assert not has_place(document, ("run", "x", "y"))


def test_what_others_share_has_no_room():
    document = parse("a: &a {lr: 1}\nb: *a\nc: {<<: *a}\nd: 5\n", "yaml")
    assert not has_place(document, ("b", "eps")) and has_place(document, ("a", "eps")) and not has_place(document, ("d", "eps"))
    assert edited(document, {("c", "eps"): 2}) == document.text.replace("{<<", "{eps: 2, <<")


# wandb

def test_wandbs_values_are_read_as_if_they_stood_flat():
    document = unwrapped(parse(WANDB, "yaml"))
    assert document.data == {"learning_rate": 3e-5, "betas": [0.9, 0.999], "optimizer": {"name": "adamw", "lr": 0.001},
                             "missing": None}
    after = edited(document, {("learning_rate",): 6e-5, ("betas", 1): 0.99, ("optimizer", "lr"): 0.002, ("missing",): 1})
    assert after == WANDB.replace("3.0e-05", "6.0e-05").replace("0.999", "0.99").replace("lr: 0.001", "lr: 0.002").replace(
        "missing:\n  value:", "missing:\n  value: 1")
    assert not has_place(document, ("adam_beta2",)) and has_place(document, ("learning_rate",))


@pytest.mark.parametrize("text", [
    "wandb_version: 1\nlr: 0.1\n", "lr: {value: 1}\n", "wandb_version: 1\nlr: {desc: null}\n",
    "wandb_version: 1\nlr: {value: 1, x: 2}\n", "[1]", "5"])
def test_other_files_are_not_unwrapped(text):
    assert unwrapped(parse(text, "yaml")) is None


def test_a_file_without_a_version_is_known_by_wandbs_own_entry():
    assert unwrapped(parse("_wandb: {value: {cli_version: 1}}\nlr: {value: 0.1}\n", "yaml")).data == {"lr": 0.1}


# Agreement with the standard readers

DATA = st.recursive(
    st.none() | st.booleans() | st.integers(-10**9, 10**9) | st.floats(allow_nan=False,
                                                                       allow_infinity=False) | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4), max_leaves=15)


@settings(max_examples=200, deadline=None)
@given(DATA, st.sampled_from([None, 2, "\t"]))
def test_json_is_what_json_reads(data, indent):
    text = json.dumps(data, indent=indent)
    document = parse(text, "json")
    assert document.data == data
    for path, (start, end) in document.spans.items():
        assert json.loads(text[start:end]) == document.get(path)
    for path, start in document.keys.items():
        if isinstance(path[-1], str):
            assert text.startswith(json.dumps(path[-1]), start)


@example({"a": "08"}, None)
@settings(max_examples=100, deadline=None)
@given(st.dictionaries(st.from_regex(r"[a-z_]{1,8}", fullmatch=True), DATA, max_size=5), st.sampled_from([None, True, False]))
def test_yaml_is_what_pyyaml_reads(data, flow):
    printable = json.loads(json.dumps(data).replace("\\u007f", " "))
    text = yaml.safe_dump(printable, default_flow_style=flow)
    assume(not re.search(r"(?<![\w.'\"])[0-9]+[eE][-+]?[0-9]+", text))  # 1e-3: a number in YAML 1.2, text in PyYAML
    assert parse(text, "yaml").data == yaml.safe_load(text)
