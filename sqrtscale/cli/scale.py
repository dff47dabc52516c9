"""``sqrtscale scale`` and ``sqrtscale check``: the rule, from options or a file. Nothing heavy is imported."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from ..formats import patch
from ..formats.snippets import SNIPPETS, remarks, snippet
from ..rules import FieldError, ScaledConfig, ScaledField, scale, stability
from ..rules.batch import Batch, ways_to
from ..rules.forecast import sentence
from ..rules.validity import check
from . import configuration, noise_aware
from .configuration import Base
from .noise_aware import NoiseAware
from .noise_scale import OPTION, noise_scale_of
from .shared import number, table

FILE = "file"
EXPORTS = (*SNIPPETS, FILE)


def add_scale(command: argparse.ArgumentParser) -> None:
    """The options of ``sqrtscale scale``."""
    _what(command)
    command.add_argument("--export", metavar="|".join(EXPORTS), help="print the scaled configuration for that library, or the "
                         "file of --from with the scaled values in it")
    command.add_argument("--json", action="store_true", help="print one JSON object")


def add_check(command: argparse.ArgumentParser) -> None:
    """The options of ``sqrtscale check``."""
    _what(command)
    command.add_argument("--sharpness", type=number, metavar="S", help="preconditioned sharpness of base, as a calibration "
                         "measures it (its curves' sharpness): also say up to which kappa the steps bear that curvature")


def _what(command: argparse.ArgumentParser) -> None:
    configuration.add_file(command)
    configuration.add_arguments(command)
    command.add_argument("--target", type=target, metavar="N", help="target global batch size in samples, also as per device x "
                         "accumulation x devices: 16x8x4")
    configuration.add_forms(command)
    command.add_argument(OPTION, metavar="B|FILE|ID", help="gradient noise scale in samples: the noise-aware transfer beside the "
                         "rule, for batches near it. A number, a CSV or JSON file with its course over samples seen, or a stored "
                         "calibration that has measured it")


def target(text: str) -> Any:
    """A batch size, or its parts: 512, 16x8x4."""
    parts = text.replace("×", "x").split("x")
    return Batch(*map(number, parts)) if len(parts) == 3 else number(text)


def _size(options: argparse.Namespace) -> Any:
    return options.target.size if isinstance(options.target, Batch) else options.target


def run_scale(options: argparse.Namespace) -> int:
    """``sqrtscale scale``"""
    base = configuration.base(options)
    scaled, aware = _transfers(base, options)
    notes: tuple[str, ...] = ()
    if options.export is None:
        text = _json(scaled, aware) if options.json else scaled_text(scaled, aware)
    else:
        exported = aware.transfer if aware else scaled
        parts = options.target if isinstance(options.target, Batch) else _parts(base, exported)
        text, notes = _export(options.export, base, exported, parts)
    _say_what_was_read(base, scaled)
    for note in notes:
        print(f"note: {note}", file=sys.stderr)
    print(text, end="" if options.export == FILE or text.endswith("\n") else "\n")  # a file ends as it did
    return 0


def _transfers(base: Base, options: argparse.Namespace) -> tuple[ScaledConfig, NoiseAware | None]:
    """By the rule and, where a noise scale is given, noise-aware."""
    target_batch, forms = _size(options), configuration.forms(options)
    scaled = scale(base.config, target_batch, *forms)
    if options.noise_scale is None:
        return scaled, None
    given = noise_scale_of(options.noise_scale)
    aware, *ends = (scale(base.config, target_batch, *forms[:2], noise_scale=value) for value in (given.value, *given.ends))
    return scaled, NoiseAware(aware, tuple(ends) if aware.follows_noise_scale else ())


def _json(scaled: ScaledConfig, aware: NoiseAware | None) -> str:
    return json.dumps(scaled.as_dict() | (noise_aware.as_dict(aware) if aware else {}), indent=2)


def run_check(options: argparse.Namespace) -> int:
    """``sqrtscale check``: exit code 1 when the rule is out of its range there."""
    base = configuration.base(options)
    scaled, aware = _transfers(base, options)
    problems = [*check(scaled), *(noise_aware.problems(aware) if aware else ()),
                *(base.imported.problems(scaled) if base.imported else ())]
    limits = noise_aware.limit(aware) if aware else []
    if options.sharpness is not None:
        noise = aware.transfer.noise_scale.get("") if aware else None
        stable = stability.largest_stable_kappa(base.config, options.sharpness, scaled.decay_form, scaled.momentum_form, noise)
        problems += [] if scaled.kappa <= stable else [stability.sentence(base.config, options.sharpness, stable)]
        limits.append(f"curvature: the steps bear a sharpness of {options.sharpness:g} up to kappa = {stable:.4g}")
    _say_what_was_read(base)
    answer = "out of range" if problems else "the rule is in its range"
    print(f"kappa = {_size(options) / base.config.batch_size:.8g}: {answer}")
    for line in (*(f"- {problem}" for problem in problems), *limits):
        print(line)
    return 1 if problems else 0


def scaled_text(scaled: ScaledConfig, aware: NoiseAware | None = None) -> str:
    """The answer as a table with exact digits, the noise-aware transfer beside it where there is one; then the warnings."""
    def digits(value: object) -> str:
        if isinstance(value, tuple):
            return " ".join(map(digits, value))
        return "none" if value is None else f"{value:.8g}" if isinstance(value, float) else str(value)

    def line(name: str, row: ScaledField, other: ScaledField | None) -> tuple[str, ...]:
        return (name, digits(row.base), digits(row.scaled), *((digits(other.scaled),) if other else ()), row.formula, row.status)

    extra = ("noise-aware",) if aware else ()
    others = aware.transfer.rows if aware else [None] * len(scaled.rows)
    names = [row.name for row in scaled.fields] + [f"{group.name}: {row.name}" for group in scaled.groups for row in group.fields]
    target = str(scaled.target_batch)
    rows = [("field", "base", "scaled", *extra, "formula", "status"),
            ("batch_size", str(scaled.base.batch_size), target, *(target for _ in extra), "", ""),
            *map(line, names, scaled.rows, others)]
    lines = [f"kappa = {scaled.kappa:.8g}", "", *table(rows)]
    if aware:
        lines += noise_aware.lines(aware)
    if scaled.forecast and scaled.kappa != 1:
        lines += ["", f"forecast{' where noise dominates' * bool(aware)}: {sentence(scaled.kappa, scaled.forecast)}"]
    return "\n".join(lines + [f"\nwarning: {warning}" for warning in scaled.warnings])


def _say_what_was_read(base: Base, scaled: ScaledConfig | None = None) -> None:
    """On standard error, so that the answer itself can be piped on; with ``scaled`` also why it may not be taken as it is."""
    imported = base.imported
    if imported is None:
        return
    print(f"read as {imported.label}, batch {base.config.batch_size}", file=sys.stderr)
    sections = (("read", imported.lines), ("assumed", imported.assumed), ("not read", imported.unread), ("note", imported.notes),
                ("beware", imported.problems(scaled) if scaled else ()))
    for kind, lines in sections:
        for line in lines:
            print(f"{kind}: {line}", file=sys.stderr)


def _export(name: str, base: Base, scaled: ScaledConfig, parts: Batch | None) -> tuple[str, tuple[str, ...]]:
    """The text of an export, and what it has no place for."""
    if name not in EXPORTS:
        raise FieldError("export", name, f"is not known: give one of {', '.join(EXPORTS)}")
    if name == FILE:
        if base.imported is None:
            raise FieldError("export", name, "needs the file of --from: give that, or the name of a library")
        patched = patch(base.text, base.imported, scaled, parts)
        course = ("lr is that of the course's average: a file has no place for lr over samples seen (--json has it, and the "
                  "code of a library)",) if scaled.course else ()
        return patched.text, (*patched.notes, *course)
    notes = remarks(scaled, name, scaled.course) if SNIPPETS[name].language == "json" and scaled.complete else ()
    return snippet(scaled, name, parts, scaled.course), tuple(notes)


def _parts(base: Base, scaled: ScaledConfig) -> Batch | None:
    """The target batch on the same devices, where the file or the options say how the base batch is made up."""
    if base.parts is None:
        return None
    ways = ways_to(scaled.target_batch, base.parts.per_device, base.parts.devices)
    return ways[-1] if ways and ways[-1].devices == base.parts.devices else None
