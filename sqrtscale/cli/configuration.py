"""The options that say what is scaled, shared by several commands, and the configuration that they make."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, NamedTuple

from ..formats import CHECKPOINTS, NAMES, Imported, read
from ..rules import DECAY_FORMS, FAMILIES, MOMENTUM_FORMS, RUN_FIELDS, DecayForm, FieldError, MomentumForm, TrainingConfig, family
from ..rules.batch import Batch
from ..rules.config import LARGEST_BATCH
from ..rules.errors import whole
from .shared import BadInput, file_bytes, number, ordinary_file

PARTS = ("per_device", "accumulation", "devices")
NEEDED = {"optimizer": "--optimizer", "lr": "--lr", "batch": "--batch", "target": "--target"}
LARGEST_FILE = 64 * 2**20  # bytes; the reading itself allows less, and says so


class Base(NamedTuple):
    """The base configuration; the file that it was read from, if any, and the parts of its batch, if known."""

    config: TrainingConfig
    text: str = ""
    imported: Imported | None = None
    parts: Batch | None = None


def add_arguments(command: argparse.ArgumentParser, task: bool = False) -> None:
    """The options of a base configuration; with ``task`` they replace single values of the task's own."""
    default = "the task's own" if task else "the library's default"
    command.add_argument("--optimizer", metavar="NAME", help=", ".join(FAMILIES))
    command.add_argument("--lr", type=number, help="learning rate")
    command.add_argument("--betas", type=number, nargs=2, metavar=("BETA1", "BETA2"),
                         help=f"of Adam and its relatives (default: {default})")
    command.add_argument("--alpha", type=number, help=f"RMSprop's decay rate (default: {default})")
    command.add_argument("--eps", type=number, help=f"epsilon (default: {default})")
    command.add_argument("--weight-decay", type=number, help=f"decoupled in AdamW, L2 elsewhere (default: {default})")
    command.add_argument("--momentum", type=number, help=f"of RMSprop and SGD (default: {default})")
    command.add_argument("--batch", type=number, metavar="N", help="base global batch size in samples")
    command.add_argument("--steps", type=number, metavar="N", help="total optimizer steps at the base batch")
    command.add_argument("--warmup", type=number, metavar="N", help="warm-up steps at the base batch")
    of_the_run = ("clip_norm",) if task else [name for name in RUN_FIELDS if not name.endswith("_steps") or name == "decay_steps"]
    command.add_argument("--set", action="append", default=[], metavar="FIELD=VALUE", help="any other field: "
                         f"{', '.join(of_the_run)}, or a hyperparameter by name; several steps with commas")


def add_file(command: argparse.ArgumentParser) -> None:
    """The options of a configuration that is read from a file; all others correct single values of it."""
    command.add_argument("--from", dest="source", metavar="FILE", help=f"read the base from a file: a configuration of one of "
                         f"{len(NAMES)} formats, a command line in a .sh file, a .pt checkpoint (docs/formats.md)")
    command.add_argument("--format", metavar="NAME", help="the format of the file, where it fits several: "
                         f"{', '.join(NAMES)}")
    command.add_argument("--function", metavar="NAME", help="which function of a Python file, where it has several")
    command.add_argument("--devices", type=number, metavar="N", help="data-parallel devices, where the file does not say")
    command.add_argument("--per-device", type=number, metavar="N", help="batch of one device, where the file does not say")
    command.add_argument("--accumulation", type=number, metavar="N", help="gradient accumulation, where the file does not say")


def add_forms(command: argparse.ArgumentParser) -> None:
    """How the rule is applied."""
    add_decay_forms(command)
    command.add_argument("--correct-lr", action="store_true", help="divide lr by the drift that the rule loses at this kappa "
                         "(ours, not the paper's)")


def add_decay_forms(command: argparse.ArgumentParser) -> None:
    """The forms of decays and momenta alone."""
    command.add_argument("--decay-form", default="linear", metavar="|".join(DECAY_FORMS),
                         help="betas by 1 - kappa (1 - beta), the paper's, or beta^kappa (default: linear)")
    command.add_argument("--momentum-form", default="kept", metavar="|".join(MOMENTUM_FORMS),
                         help="momentum of RMSprop and SGD as it is, or scaled like a beta with more on lr (default: kept)")


def forms(options: argparse.Namespace) -> tuple[DecayForm, MomentumForm, bool]:
    """What ``scale`` takes after the target, and checks."""
    return options.decay_form, options.momentum_form, options.correct_lr


def base(options: argparse.Namespace) -> Base:
    """The base configuration of a command without a task: from a file, from options, or from both."""
    source = getattr(options, "source", None)
    missing = [flag for name, flag in NEEDED.items() if getattr(options, name, "") is None and (name == "target" or not source)]
    if missing:
        raise BadInput(f"sqrtscale {options.command}: the following arguments are required: {', '.join(missing)} "
                       f"(see sqrtscale {options.command} --help)")
    parts = _parts(options)
    if source:
        return _from_file(options)
    values = _given(options) | _fields(options)
    run = {name: values.pop(name) for name in RUN_FIELDS if name in values}
    return Base(TrainingConfig(family(options.optimizer).name, options.batch, values, run=run), parts=parts)


def over(start: TrainingConfig, options: argparse.Namespace) -> TrainingConfig:
    """``start`` with the options in place of single values; another optimizer starts from its own defaults."""
    name = start.optimizer if options.optimizer is None else options.optimizer
    values: dict[str, Any] = dict(start.hyperparameters) if family(name).name == start.optimizer else {}
    given = _given(options) | _fields(options)
    run = start.of_the_run() | {name: given.pop(name) for name in RUN_FIELDS if name in given}
    return TrainingConfig(name, start.batch_size if options.batch is None else options.batch, values | given, run=run)


def _parts(options: argparse.Namespace) -> Batch | None:
    """The base batch in parts, where the options say all of them. Raises BadInput where they do not make ``--batch``."""
    given = {name: getattr(options, name) for name in PARTS if getattr(options, name, None) is not None}
    if not given or options.batch is None:
        return None
    batch, made = whole("batch_size", options.batch, 1, 256, LARGEST_BATCH), Batch(**dict.fromkeys(PARTS, 1) | given)
    every = len(given) == len(PARTS)
    if batch % made.size or (every and batch != made.size):
        product = " x ".join(f"--{name.replace('_', '-')} {value}" for name, value in given.items())
        raise BadInput(f"--batch = {batch} is {'not' if every else 'no multiple of'} {product}"
                       + (f" = {made.size}" if len(given) > 1 else "")
                       + ": the global batch is the product of all three, so correct one of them")
    return made if batch == made.size else None


def _from_file(options: argparse.Namespace) -> Base:
    path = Path(options.source)
    text = _text_of(path)
    imported = read(text, path.name, options.format, options.function)
    parts = {"devices": options.devices, "per_device": options.per_device, "accumulation": options.accumulation,
             "batch_size": options.batch, "optimizer": options.optimizer}
    answers = {**_given(options), **_fields(options), **{name: value for name, value in parts.items() if value is not None}}
    try:
        return Base(imported.config(answers), text.decode(), imported, imported.parts(answers))
    except FieldError as error:
        raise _with_its_option(error, imported, answers) from error


def _text_of(path: Path) -> bytes:
    """A configuration's own text; of a checkpoint its parameter groups, read by a process that loads torch."""
    content = "a configuration"
    if path.suffix.lower() in CHECKPOINTS:
        with ordinary_file("--from", path, content):
            from ..runner import read_checkpoint

            return read_checkpoint(path).encode()
    return file_bytes("--from", path, LARGEST_FILE, content)


def _with_its_option(error: FieldError, imported: Imported, answers: dict[str, Any]) -> Exception:
    """A question that was not answered, with the options that answer it."""
    unanswered = [question for question in imported.questions if question.required and answers.get(question.field) is None]
    if error.field not in [question.field for question in unanswered]:
        return error
    flags = {"batch_size": "--batch", "beta1": "--betas", "beta2": "--betas", "total_steps": "--steps",
             "warmup_steps": "--warmup"}
    own = ("devices", "per_device", "accumulation", "optimizer", "lr", "alpha", "eps", "weight_decay", "momentum")
    flags |= {name: f"--{name.replace('_', '-')}" for name in own}
    needed = dict.fromkeys(flags.get(question.field, f"--set {question.field}=...") for question in unanswered)
    questions = " ".join(question.text for question in unanswered)
    return BadInput(f"the file does not say everything: {questions} Give {', '.join(needed)}")


def _given(options: argparse.Namespace) -> dict[str, Any]:
    """The fields that have an option of their own, as far as they were given."""
    given = {"lr": options.lr, "alpha": options.alpha, "eps": options.eps, "weight_decay": options.weight_decay,
             "momentum": options.momentum, "total_steps": options.steps, "warmup_steps": options.warmup}
    if options.betas is not None:
        given["beta1"], given["beta2"] = options.betas
    return {name: value for name, value in given.items() if value is not None}


def _fields(options: argparse.Namespace) -> dict[str, Any]:
    """What ``--set`` says."""
    values: dict[str, Any] = {}
    for text in options.set:
        name, sign, value = text.partition("=")
        if not sign:
            raise BadInput(f"--set = {text!r} sets nothing: give FIELD=VALUE, for example ema_decay=0.9999")
        values[name.strip()] = tuple(map(number, value.split(","))) if name.strip() == "milestones" else number(value)
    return values
