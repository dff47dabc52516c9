"""Seeded changes to every configuration: each gives the right value or a refusal, and no hyperparameter goes unsaid."""

import random
import resource

import pytest
from samples import ALL, text_of

from sqrtscale.formats import read, reading_of
from sqrtscale.formats._document import Unread
from sqrtscale.formats._edit import edited
from sqrtscale.formats._reading import as_number
from sqrtscale.rules import FieldError

ONE_SECOND, MEMORY = 1, 200 * 2**20
UNKNOWN = (
    "inner_lr",
    "peakLearningRate",
    "adapter_learning_rate",
    "adam_beta3",
    "OPT_EPSILON",
    "second_weight_decay",
    "my_momentum",
    "stage2_batch_size",
    "gradAccumulationSteps",
    "linear_warmup",
    "slow_betas",
    "optimizer_b",
    "wd_end",
    "lr_of_bias",
)
ANSWERS = {
    "lr": 1e-3,
    "beta1": 0.9,
    "beta2": 0.95,
    "eps": 1e-8,
    "weight_decay": 0.1,
    "optimizer": "adamw",
    "devices": 8,
    "per_device": 8,
    "accumulation": 1,
    "batch_size": 256,
}


def readable():
    for name in ALL:
        try:
            yield name, read(text_of(name), name)
        except FieldError:  # refused as it stands, which test_corpus holds
            continue


READ = dict(readable())


def outcome(text, imported, name):
    """The import of a changed file, or its refusal."""
    try:
        return read(text, name, imported.format, imported.function)
    except FieldError as error:
        assert "\n" not in str(error) and len(str(error)) < 3000
        return None


def tables(data, path=()):
    """The paths of all tables."""
    if isinstance(data, dict):
        yield path
    entries = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for key, value in entries:
        yield from tables(value, (*path, key))


def leaves(data):
    """Every number in plain data, those that stand as text too."""
    if isinstance(data, (dict, list)):
        return [leaf for inner in (data.values() if isinstance(data, dict) else data) for leaf in leaves(inner)]
    number = as_number(data)
    return [number] if isinstance(number, (int, float)) else []


def answered(imported):
    known = ANSWERS | ({"optimizer": "rmsprop"} if "alpha" in imported.hyperparameters else {})
    return imported.config({question.field: known[question.field] for question in imported.questions if question.required})


@pytest.mark.parametrize("name", READ)
def test_an_unknown_hyperparameter_is_listed_or_refused_wherever_it_stands(name):
    imported, chance = READ[name], random.Random(name)
    document = reading_of(text_of(name), imported).document
    if document.fixed or document.syntax == "card":  # a record, in which nothing can be inserted
        return
    places = [path for path in tables(document.data) if (path or not document.calls) and path[:1] != ("launcher",)]
    for key in chance.sample(UNKNOWN, 6):
        place = chance.choice(places)
        value = "sgd_of_mine" if key.startswith("optimizer") else chance.choice([0.37, 3, "0.21"])
        text = edited(document, {(*place, key): value})
        changed = outcome(text, imported, name)
        said = "" if changed is None else " ".join(changed.unread)
        assert changed is None or key in said, (key, place, text)


@pytest.mark.parametrize("name", READ)
def test_another_value_gives_another_answer_in_that_field_alone(name):
    imported, chance = READ[name], random.Random(name)
    reading = reading_of(text_of(name), imported)
    before = answered(imported)
    numbers = {
        field: path
        for field, path in reading.places.items()
        if field in before.hyperparameters
        and reading.has(*path)
        and path not in reading.document.shared
        and not isinstance(reading.document.get(path), Unread)
    }
    for field in chance.sample(sorted(numbers), min(4, len(numbers))):
        old = before[field]
        new = old * 0.75 if old else 0.0625
        stands = as_number(reading.get(*numbers[field]))  # not ``old`` where the program makes its value of it
        put = stands * 0.75 if old and isinstance(stands, (int, float)) else new
        changed = outcome(edited(reading.document, {numbers[field]: put}), imported, name)
        if changed is None:
            continue
        after = answered(changed)
        moved = {key for key in before.hyperparameters if after.hyperparameters.get(key) != before[key]}
        assert after[field] == pytest.approx(new, rel=1e-9) and moved == {field}, (field, moved)


@pytest.mark.parametrize("name", READ)
def test_a_key_with_another_name_is_never_replaced_by_a_learning_rate_of_ours(name):
    imported = READ[name]
    document = reading_of(text_of(name), imported).document
    path = reading_of(text_of(name), imported).places.get("lr")
    if path is None or path not in document.keys or not isinstance(path[-1], str) or document.fixed:
        return
    start = document.keys[path]
    text = document.text[:start] + document.text[start:].replace(path[-1], "zz", 1)
    changed = outcome(text, imported, name)
    values = leaves(reading_of(text, changed).document.data) if changed else ()
    assert changed is None or changed.hyperparameters.get("lr") in (None, *values), text


@pytest.mark.parametrize("name", ALL)
def test_damage_is_read_or_refused_within_its_bounds(name):
    text, chance = text_of(name), random.Random(name)
    before = resource.getrusage(resource.RUSAGE_SELF)
    cases = 12
    for _ in range(cases):
        start = chance.randrange(len(text))
        end = min(len(text), start + chance.randrange(30))
        new = chance.choice(
            ["", "auto", "null", "{", "]", "*", "&a ", "<<: ", "1e400", "-", "\n", "  ", ": ", "=", '"', "\\", "$X", "# "]
        )
        try:
            answered(read(text[:start] + new + text[end:], name))
        except FieldError as error:
            assert "\n" not in str(error)
    used = resource.getrusage(resource.RUSAGE_SELF)
    assert used.ru_utime - before.ru_utime < cases * ONE_SECOND and (used.ru_maxrss - before.ru_maxrss) * 1024 < MEMORY
