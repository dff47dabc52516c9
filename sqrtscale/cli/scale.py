"""``sqrtscale scale`` and ``sqrtscale check``: the rule, from options or a file. Nothing heavy is imported."""

from __future__ import annotations

import argparse
import json
import sys

from ..formats import patch
from ..formats.snippets import SNIPPETS, remarks, snippet
from ..rules import FieldError, ScaledConfig, scale
from ..rules.batch import Batch, ways_to
from ..rules.forecast import sentence
from ..rules.validity import check
from . import configuration
from .configuration import Base
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


def _what(command: argparse.ArgumentParser) -> None:
    configuration.add_file(command)
    configuration.add_arguments(command)
    command.add_argument("--target", type=number, metavar="N", help="target global batch size in samples")
    configuration.add_forms(command)


def run_scale(options: argparse.Namespace) -> int:
    """``sqrtscale scale``"""
    base = configuration.base(options)
    scaled = scale(base.config, options.target, *configuration.forms(options))
    _say_what_was_read(base)
    if options.export is not None:
        print(_export(options.export, base, scaled).rstrip("\n"))
    else:
        print(json.dumps(scaled.as_dict(), indent=2) if options.json else scaled_text(scaled))
    return 0


def run_check(options: argparse.Namespace) -> int:
    """``sqrtscale check``: exit code 1 when the rule is out of its range there."""
    base = configuration.base(options)
    problems = [*check(base.config, options.target, *configuration.forms(options))]
    if base.imported is not None:
        problems += base.imported.double_scaling
    said = "out of range" if problems else "the rule is in its range"
    print(f"kappa = {options.target / base.config.batch_size:.8g}: {said}")
    for problem in problems:
        print(f"- {problem}")
    return 1 if problems else 0


def scaled_text(scaled: ScaledConfig) -> str:
    """The answer as a table with exact digits, then the warnings."""
    def digits(value: object) -> str:
        if isinstance(value, tuple):
            return " ".join(map(digits, value))
        return "none" if value is None else f"{value:.8g}" if isinstance(value, float) else str(value)

    rows = [("field", "base", "scaled", "formula", "status"),
            ("batch_size", str(scaled.base.batch_size), str(scaled.target_batch), "", "")]
    rows += [(row.name, digits(row.base), digits(row.scaled), row.formula, row.status) for row in scaled.fields]
    rows += [(f"{group.name}: {row.name}", digits(row.base), digits(row.scaled), row.formula, row.status)
             for group in scaled.groups for row in group.fields]
    lines = [f"kappa = {scaled.kappa:.8g}", "", *table(rows)]
    if scaled.forecast and scaled.kappa != 1:
        lines += ["", f"forecast: {sentence(scaled.kappa, scaled.forecast)}"]
    return "\n".join(lines + [f"\nwarning: {warning}" for warning in scaled.warnings])


def _say_what_was_read(base: Base) -> None:
    """On standard error, so that the answer itself can be piped on."""
    if base.imported is not None:
        print(f"read as {base.imported.label}, batch {base.config.batch_size}", file=sys.stderr)
        for kind, notes in (("scaled twice", base.imported.double_scaling), ("note", base.imported.notes)):
            for note in notes:
                print(f"{kind}: {note}", file=sys.stderr)


def _export(name: str, base: Base, scaled: ScaledConfig) -> str:
    if name not in EXPORTS:
        raise FieldError("export", name, f"is not known: give one of {', '.join(EXPORTS)}")
    parts = _parts(base, scaled)
    if name == FILE:
        if base.imported is None:
            raise FieldError("export", name, "needs the file of --from: give that, or the name of a library")
        found = patch(base.text, base.imported, scaled, parts or Batch(scaled.target_batch))
        notes = found.notes
        text = found.text
    else:
        text = snippet(scaled, name, parts)
        notes = remarks(scaled, name) if SNIPPETS[name].language == "json" and scaled.complete else ()
    for note in notes:
        print(f"note: {note}", file=sys.stderr)
    return text


def _parts(base: Base, scaled: ScaledConfig) -> Batch | None:
    """The target batch on the same devices, where the file or the options say how the base batch is made up."""
    found = base.parts
    ways = ways_to(scaled.target_batch, found.per_device, found.devices) if found else ()
    return ways[-1] if ways and ways[-1].devices == found.devices else None
