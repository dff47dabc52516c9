"""Patches keep the text: parse(edited(document, changes)) is the old data with the changes, and no other line is touched."""

import copy
import json
import shlex

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from sqrtscale.formats._edit import edited, has_place
from sqrtscale.formats._parsing import parse

MANY = settings(max_examples=150, deadline=None)
KEYS = ["lr", "betas", "optimizer", "weight_decay", "a_b", "steps", "x1", "train", "eps", "data"]
NEW = ["new_key", "beta2", "warmup"]
NUMBERS = st.integers(-1000, 10**6) | st.sampled_from([0.1, 3e-5, 1e-8, 2.5, 1e20, -0.001])
SCALARS = NUMBERS | st.booleans() | st.sampled_from(["adamw", "a b", "it's", "ü", "#x", "1e-3x"])
TABLES = st.recursive(
    SCALARS | st.lists(NUMBERS, max_size=3),
    lambda inner: st.dictionaries(st.sampled_from(KEYS), inner, max_size=4),
    max_leaves=10,
)
ROOTS = st.dictionaries(st.sampled_from(KEYS), TABLES, min_size=1, max_size=6)
NEWLINES = st.sampled_from(["\n", "\r\n"])


def write_json(data, draw):
    return json.dumps(data, indent=draw(st.sampled_from([None, 2, 4, "\t"])), ensure_ascii=draw(st.booleans()))


def write_yaml(data, draw, indent=""):
    lines = []
    for key, value in data.items():
        comment = draw(st.sampled_from(["", "", "  # why", " # a: 1"]))
        blank = draw(st.sampled_from(["", "", "\n", f"{indent}# {key}: 5\n"]))
        if isinstance(value, dict) and value and draw(st.booleans()):
            deeper = indent + draw(st.sampled_from(["  ", "    "]))
            lines.append(f"{blank}{indent}{key}:{comment}\n{write_yaml(value, draw, deeper)}")
        elif isinstance(value, list) and value and draw(st.booleans()):
            items = "".join(f"{indent}  - {item!r}\n" for item in value)
            lines.append(f"{blank}{indent}{key}:{comment}\n{items}")
        else:
            lines.append(f"{blank}{indent}{key}: {json.dumps(value, ensure_ascii=False)}{comment}\n")
    return "".join(lines)


def write_toml(data, draw, path=()):
    plain = {key: value for key, value in data.items() if not isinstance(value, dict)}
    lines = []
    for key, value in plain.items():
        lines.append(
            f"{draw(st.sampled_from(['', '', chr(10), '# why' + chr(10)]))}{key} = {json.dumps(value, ensure_ascii=False)}"
            f"{draw(st.sampled_from(['', '  # note', ' # a = 1']))}\n"
        )
    for key, value in data.items():
        if isinstance(value, dict):
            lines.append(f"\n[{'.'.join((*path, key))}]\n{write_toml(value, draw, (*path, key))}")
    return "".join(lines)


def python_value(value, draw):
    if isinstance(value, dict) and value and draw(st.booleans()):
        return "dict(" + ", ".join(f"{key}={python_value(inner, draw)}" for key, inner in value.items()) + ")"
    if isinstance(value, dict) and value:
        space = draw(st.sampled_from(["", "\n    "]))
        return "{" + ",".join(f"{space}'{key}': {python_value(inner, draw)}" for key, inner in value.items()) + "}"
    if isinstance(value, list) and len(value) > 1:
        return draw(st.sampled_from(["({})", "[{}]", "[{},]", "(\n  {})"])).format(", ".join(map(repr, value)))
    return f"({value!r})" if isinstance(value, float) and draw(st.booleans()) else repr(value)


def write_python(data, draw):
    lines = []
    for key, value in data.items():
        before = draw(st.sampled_from(["", "\n", "import os\n", "# why = 5\n", "ü = 'ü'; "]))
        lines.append(f"{before}{key} = {python_value(value, draw)}{draw(st.sampled_from(['', '  # ü']))}\n")
    return "".join(lines)


def write_command(data, draw):
    data = {"bf16": True} | data
    equals, hyphens = draw(st.booleans()), draw(st.booleans())
    words = ["torchrun --nproc_per_node 2 train.py"]

    def add(path, value):
        name = ".".join(path).replace("_", "-" if hyphens else "_")
        if isinstance(value, dict):
            for key, inner in value.items():
                add((*path, key), inner)
        elif isinstance(value, list):
            words.append(f"--{name} " + " ".join(map(repr, value)))
        else:
            text = draw(st.sampled_from(['"{}"', "{}"])).format(value)
            text = shlex.quote(value) if isinstance(value, str) else text
            words.append(f"--{name}{'=' if equals else ' '}{text}")

    for key, value in data.items():
        add((key,), value)
    return "".join(word + draw(st.sampled_from([" ", " \\\n  "])) for word in words[:-1]) + words[-1] + "\n"


WRITERS = {"json": write_json, "yaml": write_yaml, "toml": write_toml, "python": write_python, "command": write_command}


def places(data, path=()):
    yield path, data
    for key, value in data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ():
        yield from places(value, (*path, key))


def with_changes(data, changes):
    changed = copy.deepcopy(data)
    for path, value in changes.items():
        holder = changed
        for key in path[:-1]:
            holder = holder[key]
        holder[path[-1]] = value
    return changed


def check(document, changes, syntax):
    text, after = document.text, edited(document, changes)
    assert parse(after, syntax).data == with_changes(document.data, changes), after
    assert after.endswith("\n") == text.endswith("\n")
    assert "\n" not in after.replace("\r\n", "") or "\r\n" not in text
    before = text.splitlines()
    assert in_common(before, after.splitlines()) >= len(before) - len(changes), after


def in_common(before, after):
    """How many lines stand in both in the same order, at most."""
    most = [0] * (len(after) + 1)
    for line in before:
        row = [0]
        for i, other in enumerate(after):
            row.append(most[i] + 1 if line == other else max(most[i + 1], row[i]))
        most = row
    return most[-1]


@pytest.mark.parametrize("syntax", WRITERS)
@MANY
@given(data=ROOTS, newline=NEWLINES, final=st.booleans(), draw=st.data())
def test_values_are_replaced_and_nothing_else(syntax, data, newline, final, draw):
    text = WRITERS[syntax](data, draw.draw)
    text = (text if final else text.rstrip("\n")).replace("\n", newline)
    assume(text.strip())
    document = parse(text, syntax)
    scalars = [
        path
        for path, value in places(document.data)
        if path
        and path[0] != "launcher"
        and has_place(document, path)
        and not isinstance(value, (dict, list) if syntax == "command" else (dict, list, str))
        and (path in document.spans or syntax == "toml")
    ]
    assume(scalars)
    chosen = draw.draw(st.lists(st.sampled_from(scalars), min_size=1, max_size=3, unique=True))
    check(document, {path: draw.draw(NUMBERS) for path in chosen}, syntax)


@pytest.mark.parametrize("syntax", WRITERS)
@MANY
@given(data=ROOTS, newline=NEWLINES, final=st.booleans(), draw=st.data())
def test_new_entries_find_their_place(syntax, data, newline, final, draw):
    text = WRITERS[syntax](data, draw.draw)
    text = (text if final else text.rstrip("\n")).replace("\n", newline)
    assume(text.strip())
    document = parse(text, syntax)
    tables = [path for path, value in places(document.data) if isinstance(value, dict) and path[:1] != ("launcher",)]
    table = draw.draw(st.sampled_from(tables))
    changes = {
        (*table, key): draw.draw(NUMBERS | st.lists(NUMBERS, min_size=2, max_size=2))
        for key in draw.draw(st.lists(st.sampled_from(NEW), min_size=1, max_size=2, unique=True))
    }
    beside = [
        path
        for path, value in places(document.data)
        if path[:-1] == table
        and path
        and isinstance(value, (int, float))
        and not isinstance(value, bool)
        and has_place(document, path)
    ]
    if beside and draw.draw(st.booleans()):
        changes[draw.draw(st.sampled_from(beside))] = draw.draw(NUMBERS)
    if all(has_place(document, path) for path in changes):
        check(document, changes, syntax)
    else:
        assert syntax in ("python", "command")
