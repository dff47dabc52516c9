"""Real kinds of configurations, each with the base that it holds, the answer, and every value that its patch changes.

``tests/data/expected/NAME.json`` belongs to ``tests/data/configs/NAME``; its numbers were worked out by hand:

    format    key of the format, or null where the file is refused
    refused   what the refusal says
    answers   what a user answers to the questions, all of them and no other
    target    the target batch, or "per device x accumulation x devices"
    base      the whole base configuration, as TrainingConfig.as_dict() has it
    scaled    the fields that move, under the same names
    changes   dotted path in the file -> its new value: all that the patch changes or adds (absent: it cannot be patched)
    removed   paths that the patch takes out
    lines, unread, notes, double_scaling, uncovered   parts of what must be said (an empty list: nothing)
"""

import json
import re

import pytest
from samples import EXPECTATIONS, close, text_of

from sqrtscale.formats import patch, read
from sqrtscale.formats._parsing import parse
from sqrtscale.formats._wandb import unwrapped
from sqrtscale.rules import FieldError, scale
from sqrtscale.rules.batch import Batch, ways_to

EXPECTED = {path.name.removesuffix(".json"): json.loads(path.read_text()) for path in sorted(EXPECTATIONS.iterdir())}
READ = [name for name, expected in EXPECTED.items() if expected["format"]]


def flat(value, path=()):
    if isinstance(value, (dict, list)) and value:
        entries = value.items() if isinstance(value, dict) else enumerate(value)
        return {place: leaf for key, inner in entries for place, leaf in flat(inner, (*path, str(key))).items()}
    return {".".join(path): value}


def data_of(text, syntax, function):
    document = parse(text, syntax, function)
    return flat((unwrapped(document) or document).data)


def transfer(name):
    expected = EXPECTED[name]
    imported = read(text_of(name), name, function=expected.get("function"))
    answers = expected.get("answers", {})
    base = imported.config(answers)
    parts = re.fullmatch(r"(\d+)x(\d+)x(\d+)", str(expected["target"]))
    if parts:
        batch = Batch(*map(int, parts.groups()))
    else:
        known = imported.parts(answers)
        ways = ways_to(expected["target"], known.per_device, known.devices) if known else ()
        batch = ways[-1] if ways else None
    form = "half-life" if expected.get("half_life") else "linear"
    return imported, base, scale(base, batch.size if batch else expected["target"], form), batch


@pytest.mark.parametrize("name", READ)
def test_the_base_is_what_the_file_says(name):
    expected = EXPECTED[name]
    imported, base, _, _ = transfer(name)
    assert imported.format == expected["format"]
    assert {question.field for question in imported.questions if question.required} == set(expected.get("answers", {}))
    given = {key: value for key, value in base.as_dict().items() if value is not None}
    assert given == close(expected["base"])


@pytest.mark.parametrize("name", READ)
def test_the_answer_is_right(name):
    scaled = transfer(name)[2].config.as_dict()
    moved = {key: value for key, value in scaled.items() if value != EXPECTED[name]["base"].get(key) and value is not None}
    assert moved == close(EXPECTED[name]["scaled"])


@pytest.mark.parametrize("name", READ)
def test_the_patch_changes_what_it_must_and_nothing_else(name):
    expected = EXPECTED[name]
    imported, _, scaled, batch = transfer(name)
    if "changes" not in expected:
        with pytest.raises(FieldError, match="is not to be had"):
            patch(text_of(name), imported, scaled, batch)
        return
    patched = patch(text_of(name), imported, scaled, batch)
    before, after = (data_of(text, imported.syntax, imported.function) for text in (text_of(name), patched.text))
    changed = {path: value for path, value in after.items() if path not in before or before[path] != value}
    assert changed == close(expected["changes"])
    became_tables = {path.rpartition(".")[0] for path in expected["changes"]}  # nulls
    assert set(before) - set(after) - became_tables == set(expected.get("removed", []))
    assert patched.text.endswith("\n") == text_of(name).endswith("\n")
    assert len(patched.diff.splitlines()) > 3


@pytest.mark.parametrize("name", READ)
def test_the_patched_file_is_read_back_as_the_scaled_configuration(name):
    expected = EXPECTED[name]
    imported, _, scaled, batch = transfer(name)
    if "changes" not in expected:
        return
    again = read(patch(text_of(name), imported, scaled, batch).text, name, function=expected.get("function"))
    answers = {key: value for key, value in expected.get("answers", {}).items() if key in ("devices", "optimizer")}
    answers |= {question.field: {**scaled.config.hyperparameters, "batch_size": scaled.target_batch}.get(
        question.field, getattr(batch, question.field, None) if batch else None) for question in again.questions
        if question.field not in answers and question.required}
    without_a_place = {"lr", "batch_size"} & set(expected.get("answers", {}))
    kept = {row.name: row.scaled for row in scaled.fields
            if row.name not in imported.places and row.scaled != row.base and row.name not in without_a_place}
    assert again.config({**answers, **kept}).as_dict() == close(scaled.config.as_dict())


@pytest.mark.parametrize("name", EXPECTED)
def test_what_must_be_said_is_said(name):
    expected = EXPECTED[name]
    if expected["format"] is None:
        with pytest.raises(FieldError, match=expected["refused"]):
            read(text_of(name), name).config(expected.get("answers", {}))
        return
    imported = read(text_of(name), name, function=expected.get("function"))
    for kind in ("lines", "unread", "notes", "double_scaling", "uncovered"):
        said = getattr(imported, kind)
        for part in expected.get(kind, []):
            assert part in " ".join(said)
        assert said == () if expected.get(kind) == [] else True
