"""The inputs of a transfer as text: what a form holds and a link carries, checked field by field. No Streamlit."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from ..rules import (
    DECAY_FORMS,
    FAMILIES,
    MOMENTUM_FORMS,
    RUN_FIELDS,
    DecayForm,
    Family,
    FieldError,
    MomentumForm,
    ParameterGroup,
    ScaledConfig,
    TrainingConfig,
    family,
    scale,
    signal,
)
from ..rules.batch import Batch
from ..rules.config import LARGEST_BATCH
from ..rules.errors import choice, whole

DEFAULT_OPTIMIZER = "adamw"
DEFAULT_TARGET = 1024
DEFAULT_BATCH = 256

# Field -> its name in a link. A hyperparameter that is not listed goes by its own name.
KEYS = {
    "optimizer": "opt", "batch_size": "b0", "target_batch": "b1", "weight_decay": "wd", "momentum": "mom",
    "total_steps": "steps", "warmup_steps": "warmup", "decay_form": "form", "momentum_form": "mform",
    "correct_lr": "corr", "noise_scale": "noise",
}
FIELDS = {short: name for name, short in KEYS.items()}
ON, OFF = "1", ""  # of a switch, as text
SHORT = 40  # characters: longer than any number with all its digits
LONGEST = {"groups": 8000, "milestones": 400}  # by key; everything else is short


class Inputs(NamedTuple):
    """What a transfer starts from, in the order that ``scale`` takes it; noise_scale: for a noise-aware one beside the rule's."""

    config: TrainingConfig
    target_batch: int
    decay_form: DecayForm
    momentum_form: MomentumForm = "kept"
    correct_lr: bool = False
    noise_scale: float | None = None

    @property
    def scaled(self) -> ScaledConfig:
        """By the square-root rule, or SGD's linear one."""
        return scale(self.config, self.target_batch, self.decay_form, self.momentum_form, self.correct_lr)

    @property
    def noise_aware(self) -> ScaledConfig | None:
        """By the noise scale, where there is one."""
        if self.noise_scale is None:
            return None
        return scale(self.config, self.target_batch, self.decay_form, self.momentum_form, noise_scale=self.noise_scale)


def key(field: str) -> str:
    """The name of a field in links and as a widget."""
    return KEYS.get(field, field)


def longest(name: str) -> int:
    """The most characters that an input may have, by its key."""
    return LONGEST.get(name, SHORT)


def format_number(value: Any) -> str:
    """A value with eight digits and without padding, fit for reading and typing: 1e-8, 0.00282843, 1024, 300 600, cosine."""
    if isinstance(value, tuple):
        return " ".join(map(format_number, value))
    if isinstance(value, (int, str)):
        return str(value)
    digits, power, exponent = f"{value:.8g}".partition("e")
    return f"{digits}e{int(exponent)}" if power else digits


def exact(value: Any) -> str:
    """A value with all its digits, and the short form where that has them all."""
    short = format_number(value)
    return short if not isinstance(value, float) or float(short) == value else repr(value)


def defaults(optimizer: str) -> dict[str, str]:
    """Every input of that optimizer by key, as on a first visit."""
    fields = {key(name): format_number(field.default) for name, field in family(optimizer).fields.items()}
    run = {key(name): "" for name in RUN_FIELDS}
    return {"opt": optimizer, "b0": str(DEFAULT_BATCH), "b1": str(DEFAULT_TARGET), **fields, **run, "groups": "",
            "form": DECAY_FORMS[0], "mform": MOMENTUM_FORMS[0], "corr": OFF, "noise": ""}


def read(texts: Mapping[str, str]) -> tuple[Inputs | None, dict[str, FieldError]]:
    """The inputs that texts say, or the errors by key; a key that is not there has its default."""
    errors: dict[str, FieldError] = {}
    try:
        optimizer_family = family(texts.get("opt", DEFAULT_OPTIMIZER))
    except FieldError as error:
        errors["opt"] = error
        optimizer_family = family(DEFAULT_OPTIMIZER)  # to check the other fields all the same
    default_texts = defaults(optimizer_family.name)
    for name, text in texts.items():
        if name in default_texts and len(text) > longest(name):
            errors[name] = FieldError(FIELDS.get(name, name), text, f"is too long: give at most {longest(name)} characters")
    texts = default_texts | {name: text for name, text in texts.items() if name not in errors}

    def checked(field: str, check: Callable[[str, Any], Any], parse: Callable[[str], Any]) -> Any:
        """The value of a field; with None its error is kept, and nothing is made of the values."""
        try:
            return check(field, parse(texts[key(field)]))
        except FieldError as error:
            errors[key(field)] = error
            return None

    values = {name: checked(name, field.kind.check, parsed) for name, field in optimizer_family.fields.items()}
    base_batch, target_batch = (checked(name, batch_of, str) for name in ("batch_size", "target_batch"))
    run = {name: checked(name, field.kind.check, PARSE.get(name, parsed)) for name, field in RUN_FIELDS.items()
           if texts[key(name)].strip()}
    groups = checked("groups", lambda _, text: _groups(text, optimizer_family), str)
    decay_form = checked("decay_form", lambda field, text: choice(field, text, DECAY_FORMS), str)
    momentum_form = checked("momentum_form", lambda field, text: choice(field, text, MOMENTUM_FORMS), str)
    noise_scale = checked("noise_scale", lambda _, value: signal.noise_scale(value), parsed) if texts["noise"].strip() else None
    if errors:
        return None, errors
    try:  # what the fields say together: warm-up longer than the run, a value that leaves floating point
        config = TrainingConfig(optimizer_family.name, base_batch, values, run=run, groups=groups)
        inputs = Inputs(config, target_batch, decay_form, momentum_form, noise_scale=noise_scale)
        scaled, _ = inputs.scaled, inputs.noise_aware
        # A switch, not a value: where nothing can be corrected it has no effect.
        inputs = inputs._replace(correct_lr=texts["corr"] == ON and scaled.forecast is not None)
    except FieldError as error:
        return None, {key(error.field) if key(error.field) in texts else "groups": error}
    return inputs, {}


def texts_of(inputs: Inputs) -> dict[str, str]:
    """Every input as text with all its digits; ``read`` gives the same inputs back."""
    config = inputs.config
    texts = {name: exact(value) for name, value in config.hyperparameters.items()}
    texts |= {"optimizer": config.optimizer, "batch_size": str(config.batch_size),
              "target_batch": str(inputs.target_batch), "decay_form": inputs.decay_form}
    if inputs.momentum_form != MOMENTUM_FORMS[0]:
        texts["momentum_form"] = inputs.momentum_form
    if inputs.correct_lr:
        texts["correct_lr"] = ON
    if inputs.noise_scale is not None:
        texts["noise_scale"] = exact(inputs.noise_scale)
    for name, value in config.of_the_run().items():
        texts[name] = exact(value)
    if config.groups:
        lines = [" ".join(f"{name}={exact(value)}" for name, value in group.values.items()) for group in config.groups]
        texts["groups"] = "\n".join(f"{_written(group.name)}: {line}" for group, line in zip(config.groups, lines, strict=True))
    return {key(name): text for name, text in texts.items()}


def carried(texts: Mapping[str, str]) -> dict[str, str]:
    """Those of the texts that are inputs of a transfer: what a link from another page brought along.

    Each is cut one character beyond its length, so that what is too long costs no more and is refused all the same.
    """
    known = {"groups", *KEYS.values(), *(key(name) for name in RUN_FIELDS),
             *(key(name) for optimizer_family in FAMILIES.values() for name in optimizer_family.fields)}
    return {name: text[:longest(name) + 1] for name, text in texts.items() if name in known}


def batch_in_parts(text: str) -> Batch | None:
    """A batch given as ``32 x 4 x 8`` (per device, accumulation, devices), or None for a single number.

    Raises FieldError for parts that are no whole numbers. With two parts the second counts devices.
    """
    parts = [parsed(part) for part in re.split(r"[x×*]", text.lower())]
    if len(parts) == 2:
        return Batch(parts[0], 1, parts[1])
    return Batch(*parts) if len(parts) == 3 else None


def batch_of(field: str, text: str) -> int:
    """A global batch size, given as a number or in parts. Raises FieldError."""
    parts = batch_in_parts(text)
    return whole(field, parts.size if parts else parsed(text), 1, 256, LARGEST_BATCH)


def _groups(text: str, optimizer_family: Family) -> tuple[ParameterGroup, ...]:
    """Parameter groups, one a line: ``no decay: weight_decay=0`` or ``head: lr=1e-4 beta2=0.99``.

    The last colon ends the name, so that may hold others: ``layers.0:norm: lr=1``. A name in double quotes is read as JSON.
    """
    groups: list[ParameterGroup] = []
    for line in filter(None, map(str.strip, text.replace(";", "\n").split("\n"))):
        before, colon, after = line.rpartition(":")
        pairs = [pair.partition("=") for pair in after.replace(",", " ").split()]
        values = {name: parsed(value) for name, _, value in pairs}
        if not colon or not all(sign for _, sign, _ in pairs) or len(values) < len(pairs):
            raise FieldError("groups", line, "is not a parameter group: write its name and what it sets itself, each once, for "
                                             "example no decay: weight_decay=0")
        groups.append(ParameterGroup(_name(before.strip(), f"group {len(groups)}"), values))
    # Checked here, so that a refusal names the groups' own box.
    return TrainingConfig(optimizer_family.name, 1, groups=tuple(groups)).groups


def _name(text: str, default: str) -> str:
    """The name of a group as its line has it: in quotes or bare, and ``default`` where there is none."""
    if not text.startswith('"'):
        return text or default
    try:
        name: str = json.loads(text)  # a text in quotes is nothing else
        return name
    except ValueError as error:
        raise FieldError("groups", text, 'is not a name in quotes: end it with a quote, for example "no decay"') from error


def _written(name: str) -> str:
    """The inverse of ``_name``: bare where that is read as it is."""
    bare = name.isprintable() and name.strip() == name != "" and not name.startswith('"') and ";" not in name
    return name if bare else json.dumps(name, ensure_ascii=False).replace(";", "\\u003b")


def parsed(text: str) -> Any:
    """A number if it reads as one (1e-3, 0.001, 256), else the text itself: unchecked, for the field's own check to refuse."""
    text = text.strip()
    try:
        value = float(text)
    except ValueError:
        return text
    return int(value) if math.isfinite(value) and value.is_integer() and "e" not in text.lower() else value


PARSE: dict[str, Callable[[str], Any]] = {
    "schedule": str.strip,
    "loss_reduction": str.strip,
    "milestones": lambda text: [parsed(part) for part in re.split(r"[\s,;]+", text.strip())],
}
