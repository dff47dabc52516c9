"""Export: which values of a file change, by the map that its reading made."""

from __future__ import annotations

import difflib
import json
import math
from collections.abc import Mapping
from dataclasses import replace
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
from ._reading import PASSES, STEPS, Reading, as_number

ACCUMULATING = {"accumulation", "process_batch", "global_batch", "passes"}
WIDEST = 200  # a line longer than that hides in a diff what changed


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
    if batch is not None and "per_device" in reading.places and not ACCUMULATING & set(reading.places):
        batch = _without_accumulation(imported.batch.accumulation or 1, batch, notes)
    changes = _changes(reading, scaled, notes)
    _change_steps(reading, scaled, _ratio_of_a_pass(imported.batch, scaled, batch), changes, notes)
    _change_the_batch(reading, imported, scaled.target_batch, batch, changes, notes)
    changes |= reading.settings
    for path in list(changes):
        if path in document.shared:
            value = written(as_list(changes.pop(path)))
            notes.append(f"{shown(path)} = {value} is a YAML alias of a shared value: write it by hand.")
        elif not has_place(document, path):
            value = written(as_list(changes.pop(path)))
            notes.append(f"{shown(path)} = {value} has no place in the text: add it, or its default stays.")
    after = edited(document, changes) if changes else document.text
    again = [said for said in double_scaling(document.data) if said in imported.double_scaling]
    notes += [f"Still to be turned off by hand: {said}" for said in again]
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
    return batch and Fraction(batch.per_device * batch.devices * (read.accumulation or 1), scaled.base.batch_size)


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
    return as_number(now) == row.scaled


def _place(row: ScaledField, reading: Reading, changes: dict[Path, Any], notes: list[str]) -> None:
    place, value = reading.places.get(row.name), written(as_list(row.scaled))
    if row.name in reading.autos:
        notes.append(f'{shown(place)} stays "auto": give {row.name} = {value} to the program that fills it in.')
    elif place is None:
        notes.append(f"{row.name} = {value} has no field in this file: give it where the program sets it.")
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


def _change_the_batch(
    reading: Reading, imported: Imported, target: int, batch: Batch | None, changes: dict[Path, Any], notes: list[str]
) -> None:
    """The parts of the batch, where the file has them or its program needs them; never a key that it does not know."""
    places, read = reading.places, imported.batch
    wanted = _under_every_name(read, target, batch)

    def has(part: str) -> bool:
        return part in places and reading.has(*places[part])

    needed = {
        "per_device": "per_device" in places and not has("global_batch"),
        "accumulation": batch is not None and batch.accumulation != (read.accumulation or 1),
        "devices": batch is not None and read.devices != batch.devices,
        "global_batch": "per_device" not in places
        or (batch is not None and batch.accumulation > 1 and "accumulation" not in places),
        "passes": True,
    }
    old = {
        "per_device": read.per_device,
        "accumulation": read.accumulation,
        "devices": read.devices,
        "global_batch": read.total,
        "passes": reading.batch.get("passes"),
    }
    for part, value in wanted.items():
        if part not in places:
            continue
        if part in reading.autos:
            if part != "global_batch":
                notes.append(f'{shown(places[part])} stays "auto": the program that fills it in needs {part} = {value}.')
        elif has(part):
            if as_number(reading.get(*places[part])) != value:
                changes[places[part]] = value
        elif needed.get(part) and old.get(part) != value:
            changes[places[part]] = value
    _notes_on_the_batch(reading, imported, target, batch, notes)


def _under_every_name(read: BatchParts, target: int, batch: Batch | None) -> dict[str, int]:
    """The target under each name that a file may have for it or for a part of it."""
    if batch is not None:
        return {
            "per_device": batch.per_device,
            "accumulation": batch.accumulation,
            "devices": batch.devices,
            "global_batch": target,
            "process_batch": batch.per_device * batch.accumulation,
            "forward_batch": batch.per_device * batch.devices,
            "passes": batch.accumulation * batch.devices,
        }
    return {"global_batch": target, **replace(read, total=target).products}


def _without_accumulation(base: int, batch: Batch, notes: list[str]) -> Batch:
    """The target for a program that cannot accumulate: what the rule would add in passes goes into the batch of one device."""
    if batch.accumulation == base or (batch.per_device * batch.accumulation) % base:
        return batch
    larger = Batch(batch.per_device * batch.accumulation // base, base, batch.devices)
    notes.append(
        f"This program has no key for gradient accumulation, so the batch of one device becomes {larger.per_device}: where "
        "that does not fit the memory, take more devices."
    )
    return larger


def _notes_on_the_batch(reading: Reading, imported: Imported, target: int, batch: Batch | None, notes: list[str]) -> None:
    places, read = reading.places, imported.batch
    if batch is None:
        if not set(_under_every_name(read, target, None)) & (set(places) - set(reading.autos)):
            notes.append(
                f"Give the batch, {target} in all, where the program sets it: this file has no field for it, or not all of it."
            )
        elif "per_device" in places and "passes" not in places:
            notes.append(
                "The batch of one device stays: the program works out its gradient accumulation from the total and the devices."
            )
        return
    before, after = _passes_of_the_base(read, batch), batch.accumulation
    if "passes" in places:  # of all devices
        before, after = read.products.get("passes", 1), batch.accumulation * batch.devices
    if batch.per_device == read.per_device and before != after:
        notes.append(
            f"The batch of one device stays {batch.per_device}, as the memory's limit, and gradient accumulation goes from "
            f"{before} to {after}. Where one device holds more, give the target in parts: per "
            f"device x accumulation x devices, for example {_fewer_passes(batch)}."
        )
    if "per_device" in places and "devices" not in places and read.devices != batch.devices:
        notes.append(f"Start it on {batch.devices} data-parallel device{'s' if batch.devices > 1 else ''}.")
    if not ACCUMULATING & set(places) and batch.accumulation != (read.accumulation or 1):
        notes.append(f"Accumulate {batch.accumulation} passes before each step: this file has no field for it.")
    if not {"per_device", "global_batch", "forward_batch"} & set(places):
        notes.append(f"Give the batch, {batch} = {batch.size}, where the data are loaded: this file has no field for it.")


def _passes_of_the_base(read: BatchParts, batch: Batch) -> int:
    """Gradient accumulation at the base: as read, or on the target's devices up to the total."""
    quotient, rest = divmod(read.total or 0, batch.per_device * batch.devices)
    return read.accumulation or (quotient if quotient and not rest else 1)


def _fewer_passes(batch: Batch) -> str:
    if batch.accumulation % 2:
        return f"{batch.per_device * batch.accumulation}x1x{batch.devices}"
    return f"{batch.per_device * 2}x{batch.accumulation // 2}x{batch.devices}"
