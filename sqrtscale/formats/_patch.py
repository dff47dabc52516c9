"""Export: which values of a file change, by the map that its reading made."""

from __future__ import annotations

import difflib
import json
import math
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from ..rules import FieldError, ScaledConfig, ScaledField
from ..rules.batch import Batch
from ..rules.run_fields import Interval
from ._batches import BatchParts
from ._document import Document, Path, shown
from ._doubles import double_scaling
from ._edit import edited, has_place
from ._imported import Imported, Patched
from ._numbers import as_list, written
from ._patch_batch import accumulated_as_the_program_can, change_the_batch
from ._reading import PASSES, STEPS, Reading, as_number

WIDEST = 200  # a line longer than that hides in a diff what changed
SHARED = {  # syntax -> what it means there that other places use a value as well
    "yaml": "is a YAML alias of a shared value",
    "python": "belongs to several names or is changed elsewhere in the text",
    "command": "is used in more than one place of the script",
}


def patched(document: Document, reading: Reading, imported: Imported, scaled: ScaledConfig, batch: Batch | None) -> Patched:
    """The file that was imported, with the scaled values under its own names; raises FieldError.

    batch: the target in parts, or None where only its size is known.
    """
    if batch is not None and batch.size != scaled.target_batch:
        raise FieldError("batch", batch, f"is {batch.size}, not the target: give parts whose product is {scaled.target_batch}")
    if reading.optimizer not in (None, scaled.base.optimizer):
        raise FieldError("optimizer", scaled.base.optimizer, f"is not the file's: it has {reading.optimizer}, so scale that")
    if scaled.target_batch % reading.multiple_of:
        raise FieldError("target", scaled.target_batch, f"is no multiple of {reading.multiple_of}, the samples of a pass, which "
                         f"{reading.library} does not divide: give a multiple, or change them first")
    notes: list[str] = []
    if batch is not None:
        batch = accumulated_as_the_program_can(reading, imported, batch, notes)
    changes = _changes(reading, scaled, notes)
    _change_steps(reading, scaled, _ratio_of_a_pass(imported.batch, scaled, batch), changes, notes)
    change_the_batch(reading, imported, scaled.target_batch, batch, changes, notes)
    changes |= reading.settings
    for path in list(changes):
        if path in document.shared:
            value = written(as_list(changes.pop(path)))
            notes.append(f"{shown(path)} = {value} {SHARED[document.syntax]}: write it by hand.")
        elif not has_place(document, path):
            value = written(as_list(changes.pop(path)))
            notes.append(f"{shown(path)} = {value} has no place in the text: add it, or its default stays.")
    after = edited(document, changes) if changes else document.text
    notes += [f"Still to be turned off by hand: {warning}" for warning in double_scaling(document.data)
              if warning in imported.double_scaling]
    return Patched(after, _difference(document.text, after, document.syntax), tuple(notes))


def _difference(before: str, after: str, syntax: str) -> str:
    """A unified diff; of minified JSON, of its indented form."""
    if syntax == "json" and max(map(len, before.splitlines())) > WIDEST:
        before, after = (json.dumps(json.loads(text), indent=2) for text in (before, after))
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), "before", "after", lineterm="")
    return "".join(f"{line}\n" for line in lines)


def _changes(reading: Reading, scaled: ScaledConfig, notes: list[str]) -> dict[Path, Any]:
    """The hyperparameters and fields of the run that change, by place; what has no place becomes a note."""
    changes: dict[Path, Any] = {}
    rows = {row.name: row for row in scaled.fields}
    for row in scaled.fields:
        if not _unchanged(row, {**reading.values, **reading.run}.get(row.name)) or row.name in reading.derived:
            _place(row, reading, changes, notes)
    for path, name in reading.follows.items():
        if name in rows:
            _follow(path, as_number(reading.get(*path)), rows[name], changes)
    for group, places in zip(scaled.groups, reading.group_places, strict=False):
        for row in group.fields:
            if not _unchanged(row, reading.get(*places[row.name])):
                changes[places[row.name]] = row.scaled
    _complete_pairs(reading.document, reading.places, rows, changes)
    return changes


def _follow(path: Path, old: Any, row: ScaledField, changes: dict[Path, Any]) -> None:
    """A number that moves by the same ratio as a field; raises FieldError where it overflows."""
    if row.scaled is None or row.scaled == row.base:
        return
    new = row.scaled if old == row.base else old * (row.scaled / row.base)
    if not math.isfinite(new) or (new == 0) != (old == 0):
        allowed = f"leaves the range of floating-point numbers when it moves with {row.name}: give a value of ordinary size"
        raise FieldError(shown(path), old, allowed)
    if new != old:
        changes[path] = new


def _ratio_of_a_pass(read: BatchParts, scaled: ScaledConfig, batch: Batch | None) -> Fraction | None:
    """How many times more samples one pass of all devices takes, None where the target's parts are not known."""
    if batch is None:
        return None
    return Fraction(batch.per_device * batch.devices * (read.accumulation or 1), scaled.base.batch_size)


def _change_steps(
    reading: Reading, scaled: ScaledConfig, pass_ratio: Fraction | None, changes: dict[Path, Any], notes: list[str]
) -> None:
    """Numbers of optimizer steps, and of passes, that no field of ours holds; raises FieldError where it is no number of them."""
    ratios = {STEPS: Fraction(scaled.target_batch, scaled.base.batch_size), PASSES: pass_ratio}
    for path, name in reading.follows.items():
        if name not in ratios:
            continue
        old, ratio = as_number(reading.get(*path)), ratios[name]
        if ratio is None:
            notes.append(f"{shown(path)} = {old} counts passes: divide it by how much larger a pass of all devices becomes.")
            continue
        new = Interval().scale(int(old), ratio) if old == int(old) and old >= 1 else old
        if new != old:
            changes[path] = new


def _unchanged(row: ScaledField, now: Any) -> bool:
    if row.scaled is None:
        raise FieldError(row.name, row.base, f"has no scaled value: {row.warning}")
    if now is None:
        return row.name != "lr" and row.scaled == row.base
    return bool(as_number(now) == row.scaled)


def _place(row: ScaledField, reading: Reading, changes: dict[Path, Any], notes: list[str]) -> None:
    place, value = reading.places.get(row.name), written(as_list(row.scaled))
    if place is None:
        notes.append(f"{row.name} = {value} has no field in this file: give it where the program sets it.")
    elif row.name in reading.autos:
        notes.append(f'{shown(place)} stays "auto": give {row.name} = {value} to the program that fills it in.')
    else:
        changes[place] = row.scaled


def _complete_pairs(
    document: Document, places: Mapping[str, Path], rows: Mapping[str, ScaledField], changes: dict[Path, Any]
) -> None:
    """A list that the file does not have yet needs all of its members."""
    new = {path[:-1] for path in changes if isinstance(path[-1], int) and not document.has(path)}
    for name, path in places.items():
        if path[:-1] in new and name in rows:
            changes.setdefault(path, rows[name].scaled)
