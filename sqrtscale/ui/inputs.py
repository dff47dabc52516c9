"""The inputs of a transfer as text: what a form holds and a link carries, checked field by field. No Streamlit."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

from ..rules import DECAY_FORMS, FAMILIES, DecayForm, FieldError, TrainingConfig, family, scale
from ..rules.config import LARGEST_BATCH
from ..rules.errors import whole

DEFAULT_OPTIMIZER = "adamw"
DEFAULT_TARGET = 1024
DEFAULT_BATCH = 256

# Field -> its name in a link. A hyperparameter that is not listed goes by its own name.
KEYS = {
    "optimizer": "opt", "batch_size": "b0", "target_batch": "b1", "weight_decay": "wd", "momentum": "mom",
    "total_steps": "steps", "warmup_steps": "warmup", "decay_form": "form",
}


class Inputs(NamedTuple):
    """What a transfer starts from."""

    config: TrainingConfig
    target_batch: int
    decay_form: DecayForm


def key(field: str) -> str:
    """The name of a field in links and as a widget."""
    return KEYS.get(field, field)


def number(value: float) -> str:
    """A number with eight digits and without padding, fit for reading and typing: 1e-8, 0.00282843, 1024."""
    if isinstance(value, int):
        return str(value)
    digits, power, exponent = f"{value:.8g}".partition("e")
    return f"{digits}e{int(exponent)}" if power else digits


def defaults(optimizer: str) -> dict[str, str]:
    """Every input of that optimizer by key, as on a first visit."""
    fields = {key(name): number(field.default) for name, field in family(optimizer).fields.items()}
    return {"opt": optimizer, "b0": str(DEFAULT_BATCH), "b1": str(DEFAULT_TARGET), **fields,
            "steps": "", "warmup": "", "form": DECAY_FORMS[0]}


def read(texts: Mapping[str, str]) -> tuple[Inputs | None, dict[str, FieldError]]:
    """The inputs that texts say, or the errors by key; a key that is not there has its default."""
    errors: dict[str, FieldError] = {}
    try:
        kin = family(texts.get("opt", DEFAULT_OPTIMIZER))
    except FieldError as error:
        errors["opt"] = error
        kin = family(DEFAULT_OPTIMIZER)  # to check the other fields all the same
    texts = defaults(kin.name) | dict(texts)

    def checked(field, check):
        try:
            return check(field, _parse(texts[key(field)]))
        except FieldError as error:
            errors[key(field)] = error

    def batch(field, value):
        return whole(field, value, 1, 256, LARGEST_BATCH)

    def steps(field, value):
        return None if value == "" else whole(field, value, 0, 1_000)

    values = {name: checked(name, field.kind.check) for name, field in kin.fields.items()}
    sizes = [checked(name, batch) for name in ("batch_size", "target_batch")]
    lengths = [checked(name, steps) for name in ("total_steps", "warmup_steps")]
    if texts["form"] not in DECAY_FORMS:
        errors["form"] = FieldError("decay_form", texts["form"], f"is not known: give one of {', '.join(DECAY_FORMS)}")
    if errors:
        return None, errors
    try:  # what the fields say together: warm-up longer than the run, a value that leaves floating point
        inputs = Inputs(TrainingConfig(kin.name, sizes[0], values, *lengths), sizes[1], texts["form"])
        scale(*inputs)
    except FieldError as error:
        return None, {key(error.field): error}
    return inputs, {}


def texts_of(inputs: Inputs) -> dict[str, str]:
    """Every input as text with all its digits; ``read`` gives the same inputs back."""
    config = inputs.config
    found = {name: repr(value) for name, value in config.hyperparameters.items()}
    found |= {"optimizer": config.optimizer, "batch_size": str(config.batch_size),
              "target_batch": str(inputs.target_batch), "decay_form": inputs.decay_form}
    for name in ("total_steps", "warmup_steps"):
        if getattr(config, name) is not None:
            found[name] = str(getattr(config, name))
    return {key(name): text for name, text in found.items()}


def carried(texts: Mapping[str, str]) -> dict[str, str]:
    """Those of the texts that are inputs of a transfer: what a link from another page brought along."""
    known = set(KEYS.values()) | {key(name) for kin in FAMILIES.values() for name in kin.fields}
    return {name: text for name, text in texts.items() if name in known}


def _parse(text: str) -> float | str:
    """A number if it reads as one (1e-3, 0.001, 256), else the text itself, for the check to refuse."""
    text = text.strip()
    try:
        value = float(text)
    except ValueError:
        return text
    return int(value) if math.isfinite(value) and value.is_integer() and "e" not in text.lower() else value
