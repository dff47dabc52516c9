"""Python texts: what is read of them, where it stands, and that nothing in them takes long."""

import ast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sqrtscale.formats import _source
from sqrtscale.formats._document import Unread, WhichFunction
from sqrtscale.formats._edit import edited, has_place
from sqrtscale.formats._parsing import parse
from sqrtscale.rules import FieldError

REGISTRY = """\
import os
def small():
    return Trainer.Config(
        optimizer=default_adamw(lr=8e-4),
        training=TrainingConfig(local_batch_size=8, seq_len=2048, steps=10),
    )

def helper(x):
    return x + 1

def big():
    return Trainer.Config(
        optimizer=default_adamw(lr=3e-4),
        training=TrainingConfig(local_batch_size=1, seq_len=8192, steps=1000),
    )
"""
NANOGPT = """\
# config for training a small model
wandb_log = True
gradient_accumulation_steps = 5 * 8  # over all devices
batch_size = 12
max_lr = 6e-4; min_lr = max_lr / 10
betas = (0.9, 0.95)
lr_decay_iters = max_iters = 600000
name = 'run' + str(seed)
optimizer = dict(type='AdamW', lr=max_lr, eps=1e-8)
weight_decay = -(-1e-1)
nothing = None
"""


def read(text, function=None):
    return parse(text, "python", function)


def text_at(document, *path):
    return document.text[slice(*document.spans[path])]


def test_assignments_are_read_with_their_arithmetic():
    document = read(NANOGPT)
    name = document.data.pop("name")
    assert document.data == {
        "wandb_log": True, "gradient_accumulation_steps": 40, "batch_size": 12, "max_lr": 6e-4, "min_lr": 6e-4 / 10,
        "betas": [0.9, 0.95], "lr_decay_iters": 600000, "max_iters": 600000,
        "optimizer": {"type": "AdamW", "lr": 6e-4, "eps": 1e-8}, "weight_decay": 0.1, "nothing": None}
    assert name == Unread("'run' + str(seed)") and document.notes == ()
    assert text_at(document, "gradient_accumulation_steps") == "5 * 8"
    assert text_at(document, "min_lr") == "max_lr / 10"
    assert text_at(document, "optimizer", "lr") == "max_lr"
    assert document.shared == {("lr_decay_iters",), ("max_iters",)}  # two names of one value


def test_a_patch_replaces_the_expression_and_adds_a_line_beside_a_sibling():
    after = edited(read(NANOGPT), {("gradient_accumulation_steps",): 80, ("min_lr",): 1.2e-4, ("optimizer", "lr"): 1.2e-3,
                                   ("optimizer", "foreach"): True, ("beta2",): 0.99, ("betas", 1): 0.9})
    assert after == (
        NANOGPT.replace("= 5 * 8  # over all devices", "= 80  # over all devices\nbeta2 = 0.99").replace("max_lr / 10", "0.00012")
        .replace("lr=max_lr, eps", "foreach=True, lr=0.0012, eps").replace("0.95", "0.9"))
    compile(after, "train.py", "exec")


@pytest.mark.parametrize("expression, value", [
    ("2**19", 524288), ("8 * 64 // 3", 170), ("1 - 1 / 16", 0.9375), ("-3e-4", -3e-4), ("+5", 5), ("2 ** -1", 0.5),
    ("(1 + 2) * 4", 12), ("known * 2", 14), ("1_000", 1000), ("0x10", 16)])
def test_arithmetic_on_literals_and_known_names(expression, value):
    document = read(f"known = 7\nx = {expression}\n")
    assert document.data["x"] == value and type(document.data["x"]) is type(value)


@pytest.mark.parametrize("expression", [
    "unknown", "unknown * 2", "f(1)", "1 / 0", "2 ** 5000", "9**9**9", "10**99 * 10**99", "True * 2", "'a' * 3", "[1][0]",
    "x if y else z", "1j", "b'a'", "...", "{1, 2}", "{**a}", "{1: 2}", "[*a]", "dict(**a)", "dict([])", "f'{a}'", "lambda: 1",
    "-'a'", "not 1", "~1"])
def test_what_only_running_gives_is_unread(expression):
    assert read(f"x = {expression}\n").data == {"x": Unread(expression)}


@pytest.mark.parametrize("text", [
    "lr = 1e-3\nlr *= 2\n", "lr = 1e-3\nif x:\n    lr = 2\n", "lr = 1e-3\nfor lr in y: pass\n", "lr = 1e-3\nwith a as lr: pass\n",
    "lr = 1e-3\ndef f():\n    global lr\n    lr = 2\n", "lr = 1e-3\ndel lr\n", "lr = 1e-3\nprint(lr := 2)\n",
    "lr = 1e-3\nimport lr\n", "lr = 1e-3\ntry:\n    lr = 2\nexcept E:\n    pass\n", "lr = 1e-3\n(lr, *rest) = a\n",
    "lr = 1e-3\nwhile True:\n    lr = lr / 2\n",
    "lr = {'a': 1}\nlr['a'] = 2\n", "lr = [1]\nlr.append(2)\n", "lr = dict(a=1)\nlr.a = 2\n", "if x:\n    lr = 1\n"])
def test_a_name_that_something_else_changes_is_unread_and_has_no_place(text):
    document = read(text)
    assert isinstance(document.data["lr"], Unread)
    assert not any(path[0] == "lr" for path in (*document.spans, *document.keys) if path) and ("lr",) in document.shared


@pytest.mark.parametrize("text", [
    "lr = 1e-3\ndef f():\n    lr = 2\n", "lr = 1e-3\nx = [lr for lr in y]\n", "lr = 1e-3\nprint(lr)\n",
    "for lr in y: pass\nlr = 1e-3\n", "lr = '1e-3'\nlr = 1e-3\nlr.hex()\n"])
def test_a_name_of_another_scope_is_another_name(text):
    assert read(text).data["lr"] == 1e-3


def test_the_last_assignment_counts_and_is_what_a_patch_changes():
    text = "lr = 1e-3\nopt = dict(lr=lr, a=dict(b=1))\nlr = 2e-3\nopt = dict(lr=lr)\n"
    document = read(text)
    assert document.data == {"lr": 2e-3, "opt": {"lr": 2e-3}}
    assert document.notes == ("lr stands twice (again at line 3, column 1): the last one counts.",
                              "opt stands twice (again at line 4, column 1): the last one counts.")
    assert ("opt", "a", "b") not in document.spans and ("opt", "a") not in document.calls
    assert edited(document, {("lr",): 4e-3}) == text.replace("lr = 2e-3", "lr = 4e-3")


def test_a_keyword_that_stands_twice_is_an_error():
    with pytest.raises(FieldError, match=r"steps = 'two values' stands twice \(again at line 1, column 25\)"):
        read("TrainingConfig(steps=1, steps=2)")


def test_the_attributes_of_a_class_are_a_table():
    text = "class Hyper:\n\tbatch_size: int = 8 * 64\n\tlr = 0.0036  # Muon\n\n\tdef f(self): pass\nargs = Hyper()\n"
    document = read(text)
    assert document.data["Hyper"] == {"batch_size": 512, "lr": 0.0036}
    after = edited(document, {("Hyper", "lr"): 0.1, ("Hyper", "beta"): 0.9})
    assert after == text.replace("lr = 0.0036  # Muon", "lr = 0.1  # Muon\n\tbeta = 0.9")


def test_a_value_that_another_name_holds_is_read_and_shared():
    document = read("betas = [0.9, 0.95]\nopt = dict(betas=betas)\n")
    assert document.data["opt"] == {"betas": [0.9, 0.95]}
    assert {("opt", "betas"), ("opt", "betas", 0), ("opt", "betas", 1)} == document.shared
    assert not has_place(document, ("opt", "betas", 2))


# Sections

def test_several_functions_ask_which():
    with pytest.raises(WhichFunction) as error:
        read(REGISTRY)
    assert error.value.names == ("small", "big") and error.value.field == "function"
    assert str(error.value).endswith("holds several configurations: small, big: say which one (--function small)")
    assert isinstance(error.value, FieldError)


def test_the_named_function_is_read_and_patched_alone():
    document = read(REGISTRY, "big")
    assert document.data == {"optimizer": {"lr": 3e-4}, "training": {"local_batch_size": 1, "seq_len": 8192, "steps": 1000}}
    after = edited(document, {("optimizer", "lr"): 6e-4, ("optimizer", "betas"): [0.8, 0.9], ("training", "steps"): 500})
    assert after == REGISTRY.replace("lr=3e-4", "betas=[0.8, 0.9], lr=6e-4").replace("steps=1000", "steps=500")
    assert read(REGISTRY, "small").data["training"]["steps"] == 10


def test_an_unknown_function_is_named_with_those_that_there_are():
    with pytest.raises(FieldError, match="function = 'helper' is no function of the text that holds a configuration: give one of "
                                         "small, big"):
        read(REGISTRY, "helper")
    with pytest.raises(FieldError, match="there is none"):
        read("lr = 1\n", "small")
    with pytest.raises(FieldError, match="is for Python alone"):
        parse("lr: 1\n", "yaml", "small")


def test_one_function_with_sections_needs_no_name():
    assert read(REGISTRY[:REGISTRY.index("def big")]).data["training"]["steps"] == 10


def test_sections_outside_of_a_function_are_a_configuration_too():
    text = REGISTRY[:REGISTRY.index("def big")] + "c = torchtitan.config.TrainingConfig(steps=7)\n"
    with pytest.raises(WhichFunction, match="small, <module>"):
        read(text)
    assert read(text, "<module>").data == {"training": {"steps": 7}}


@pytest.mark.parametrize("before, after", [
    ("", ""), ("    ", ""), ("\n\n   ", "\n"), ("x = f(", ")"), ("x = config.", ""), ("é = 'ü'; y = (1,\n  f(", "))"),
    ("# TrainingConfig(steps=1)\nz = 'TrainingConfig(steps=2)'\n", "")])
def test_sections_are_found_with_their_places_wherever_they_stand(before, after):
    call = "TrainingConfig(steps=8 * 4, é='ü', # ü\n  b=(1, [2]))"
    document = read(before + call + after)
    assert document.data == {"training": {"steps": 32, "é": "ü", "b": [1, [2]]}}
    assert text_at(document, "training").endswith(call) and text_at(document, "training", "steps") == "8 * 4"
    assert text_at(document, "training", "b", 1, 0) == "2"
    assert document.text[document.keys["training", "b"]:].startswith("b=(1")


@pytest.mark.parametrize("text", [
    "optimizer=default_adamw(lr=8e-4), training=TrainingConfig(steps=5)",
    "optimizer=default_adamw(lr=8e-4),\ntraining=TrainingConfig(steps=5),",
    "        optimizer=default_adamw(lr=8e-4),\n        # steps\n        training=TrainingConfig(steps=5),\n",
    "    optimizer=default_adamw(lr=8e-4)\n    training=TrainingConfig(steps=5)\n",
    "\r\n  optimizer=default_adamw(\r\n  lr=8e-4),\r\n  training=TrainingConfig(steps=5)\r\n"])
def test_fragments_of_a_configuration_are_read(text):
    document = read(text)
    assert document.data == {"optimizer": {"lr": 8e-4}, "training": {"steps": 5}}
    assert edited(document, {("optimizer", "lr"): 1e-3}) == text.replace("8e-4", "1e-3")


@pytest.mark.parametrize("text", ["lr=1e-3, batch_size=8", "lr=1e-3,\nbatch_size=8,\n", "  lr=1e-3,\n  batch_size=8\n"])
def test_the_arguments_of_a_call_may_stand_alone(text):
    document = read(text)
    assert document.data == {"lr": 1e-3, "batch_size": 8}
    assert read(edited(document, {("lr",): 2e-3, ("beta2",): 0.95})).data == {"lr": 2e-3, "batch_size": 8, "beta2": 0.95}


def test_names_are_known_where_they_are_assigned_once():
    text = """\
base = 1e-3
steps = 5
def f(seq, extra=3):
    local = base * 2
    twice = 1
    twice = 2
    return c(optimizer=default_adamw(lr=local, eps=seq, x=twice), training=TrainingConfig(steps=steps, base=base))
def g():
    global steps
    steps = 6
"""
    data = read(text).data
    assert data["optimizer"] == {"lr": 2e-3, "eps": Unread("seq"), "x": Unread("twice")}
    assert data["training"] == {"steps": Unread("steps"), "base": 1e-3}


def test_what_is_set_after_the_call_is_not_the_calls():
    document = read("def f():\n    c = T(training=TrainingConfig(steps=5, local_batch_size=8))\n    c.training.steps = 6\n")
    assert document.data == {"training": {"steps": Unread("c.training.steps"), "local_batch_size": 8}}


def test_arguments_that_come_from_elsewhere_make_the_section_unread():
    assert isinstance(read("TrainingConfig(steps=5, **more)").data["training"], Unread)
    assert isinstance(read("TrainingConfig(*more)").data["training"], Unread)


def test_parameter_groups_stand_for_the_optimizer():
    text = ("OptimizersContainer.Config(param_groups=[ParamGroupConfig(pattern='.*', optimizer_kwargs={'lr': 2e-4, "
            "'betas': (0.9, 0.98)})])")
    document = read(text)
    assert document.data["optimizer"] == {"pattern": ".*", "optimizer_kwargs": {"lr": 2e-4, "betas": [0.9, 0.98]}}
    after = edited(document, {("optimizer", "optimizer_kwargs", "eps"): 1e-7})
    assert after == text.replace("'betas'", '"eps": 1e-07, \'betas\'')
    with pytest.raises(FieldError, match="several ParamGroupConfig"):
        read(f"f({text}, ParamGroupConfig(pattern='b'))")


def test_arguments_without_a_name_stand_first():
    document = read("default_adamw((8e-4), weight_decay=0.1)")
    assert document.data["optimizer"] == {0: 8e-4, "weight_decay": 0.1}
    assert edited(document, {("optimizer", "eps"): 1e-7}) == "default_adamw((8e-4), eps=1e-07, weight_decay=0.1)"
    assert edited(read("default_adamw((8e-4))"), {("optimizer", "eps"): 1e-7}) == "default_adamw((8e-4), eps=1e-07)"
    assert edited(read("default_adamw()"), {("optimizer", "lr"): 0.5}) == "default_adamw(lr=0.5)"


# Limits

N = 100_000
CHAINS = {
    "(": "(" * N, "[": "[" * N, "{": "{" * N, "f(": "f(" * N, "-": "-" * N + "1", "~": "~" * N, "not": "not " * (N // 2),
    "+": "1+" * (N // 2) + "1", "**": "1**" * (N // 2) + "1", ".": "a" + ".a" * (N // 2), "()": "f" + "()" * (N // 2),
    "[0]": "a" + "[0]" * (N // 2), "if": "1 if 1 else " * 9_000 + "1", "lambda": "lambda:" * 20_000 + "1",
    "elif": "if 1: a\n" + "elif 1: a\n" * 10_000, "f-string": 'x = f"{' + "-" * N + '1}"', "and": "a and " * 30_000,
    "unequal": "(" * 40 + "]" * N, "deep code": "".join(" " * i + "if 1:\n" for i in range(400)), "await": "await " * 30_000,
    "<": "1<" * 90_000 + "1", "dict": "{1:" * (N // 2), "closed": "(" * 60 + ")" * 60, "string": '"' * (N + 1),
    "escapes": '"' + '\\"' * (N // 2), "triple": "'''" + "\\'" * (N // 2), "lines": "\n" * N + "(", "digits": "1" * 5000}


@pytest.mark.parametrize("name", CHAINS)
def test_hostile_python_is_refused(name):
    text = "x = " + CHAINS[name] if name in ("-", "~", "+", ".", "not", "digits") else CHAINS[name]
    with pytest.raises(FieldError) as error:
        read(text)
    assert len(str(error.value)) < 400 and "\n" not in str(error.value)


def test_ordinary_long_texts_are_no_chains():
    text = "x = [" + ", ".join(["-1.5 * 2"] * 5000) + "]\ny = " + " \\\n  + ".join(["1"] * 200) + "\n" + "print(a.b.c)\n" * 1000
    document = read(text)
    assert document.data["x"] == [-3.0] * 5000 and document.data["y"] == 200


@pytest.mark.filterwarnings("ignore::SyntaxWarning", "ignore::DeprecationWarning")
@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from([
    "a", "=", "é", "ｘ", "'ü'", "(", ")", "[", "]", ",", "\n", "\r\n", "    ", "1", "#ö", "\\", ".", '"""', "f'{a}'", "dict(",
    "TrainingConfig(", "steps=", "+", "-", ":", "if 1:", "\t"]), max_size=25).map("".join))
def test_places_are_those_of_ast(text):
    """Every span is the text of its node, which Python evaluates to the value."""
    try:
        document = read(text)
    except FieldError:
        return
    for path, (start, end) in document.spans.items():
        value = document.get(path)
        if isinstance(value, (int, str)) and not isinstance(value, bool):
            try:
                assert ast.literal_eval(text[start:end].replace("\r\n", "\n")) == value
            except ValueError:  # arithmetic
                assert any(mark in text[start:end] for mark in "+-a")


def test_columns_are_characters_though_python_counts_bytes():
    source = _source.Source("éｘ = 1; b = 'üｘ'\nc = 2")
    assert [source.words(statement.value) for statement in source.body] == ["1", "'üｘ'", "2"]
