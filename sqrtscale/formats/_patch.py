"""Export: which values of a file change, by the map that its reading made."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

from ..rules import FieldError, ScaledConfig, ScaledField
from ..rules.batch import Batch
from ._document import Document, Path, as_text, parse, shown
from ._doubles import double_scaling
from ._edit import edited, has_room
from ._imported import Imported, Patched
from ._reading import Format, Reading, as_number


def patched(kind: Format, text: str | bytes, imported: Imported, scaled: ScaledConfig, batch: Batch) -> Patched:
    """The file that was imported, with the scaled values under its own names; raises FieldError."""
    if batch.size != scaled.target_batch:
        raise FieldError("batch", batch, f"is {batch.size}, not the target: give parts whose product is {scaled.target_batch}")
    content = as_text(text)
    document = parse(content, imported.syntax)
    reading = kind.read(document)
    if reading.optimizer not in (None, scaled.base.optimizer):
        raise FieldError("optimizer", scaled.base.optimizer, f"is not the file's: it has {reading.optimizer}, so scale that")
    changes, notes = _changes(reading, scaled)
    _batch_changes(reading, batch, changes, notes)
    for path in list(changes):
        if path in document.shared:
            notes.append(f"{shown(path)} = {changes.pop(path)!r} is a YAML alias of a value that others use: write it by hand.")
        elif not has_room(document, path):
            notes.append(f"{shown(path)} = {changes.pop(path)!r} has no place in the text: add it, or its default stays.")
    after = edited(document, changes) if changes else content
    notes += [f"Still to be turned off by hand: {said}" for said in double_scaling(document.data)]
    lines = difflib.unified_diff(content.splitlines(), after.splitlines(), "before", "after", lineterm="")
    return Patched(after, "".join(f"{line}\n" for line in lines), tuple(notes))


def _changes(reading: Reading, scaled: ScaledConfig) -> tuple[dict[Path, Any], list[str]]:
    """The hyperparameters and fields of the run that change, by place, and what has no place."""
    changes: dict[Path, Any] = {}
    notes: list[str] = []
    rows = {row.name: row for row in scaled.fields}
    for row in scaled.fields:
        if not _unchanged(row, {**reading.values, **reading.run}.get(row.name)):
            _place(row, reading, changes, notes)
    for path, name in reading.follows.items():
        row, old = rows[name], as_number(reading.get(*path))
        if row.scaled is not None and row.scaled != row.base:
            changes[path] = row.scaled if old == row.base else old * row.scaled / row.base
    for group, places in zip(scaled.groups, reading.group_places, strict=False):
        for row in group.fields:
            if not _unchanged(row, reading.get(*places[row.name])):
                changes[places[row.name]] = row.scaled
    _complete_pairs(reading.document, reading.places, rows, changes)
    return changes, notes


def _unchanged(row: ScaledField, now: Any) -> bool:
    if row.scaled is None:
        raise FieldError(row.name, row.base, f"has no scaled value: {row.warning}")
    if now is None:
        return row.name != "lr" and row.scaled == row.base
    return as_number(now) == row.scaled


def _place(row: ScaledField, reading: Reading, changes: dict[Path, Any], notes: list[str]) -> None:
    place = reading.places.get(row.name)
    if row.name in reading.autos:
        notes.append(f'{shown(place)} stays "auto": give {row.name} = {row.scaled!r} to the program that fills it in.')
    elif place is None:
        notes.append(f"{row.name} = {row.scaled!r} has no field in this file: give it where the program sets it.")
    else:
        changes[place] = row.scaled


def _complete_pairs(document: Document, places: Mapping[str, Path], rows: Mapping[str, ScaledField],
                    changes: dict[Path, Any]) -> None:
    """A list that the file does not have yet needs all of its members."""
    new = {path[:-1] for path in changes if isinstance(path[-1], int) and not document.has(path)}
    for name, path in places.items():
        if path[:-1] in new and name in rows:
            changes.setdefault(path, rows[name].scaled)


def _batch_changes(reading: Reading, batch: Batch, changes: dict[Path, Any], notes: list[str]) -> None:
    """The parts of the batch, where the file has them or needs them."""
    places = reading.places

    def has(part: str) -> bool:
        return part in places and reading.get(*places[part]) is not None

    wanted = {"per_device": batch.per_device, "accumulation": batch.accumulation, "devices": batch.devices,
              "global_batch": batch.size, "process_batch": batch.per_device * batch.accumulation}
    needed = {
        "per_device": "per_device" in places and not has("global_batch"),
        "accumulation": "accumulation" in places and batch.accumulation != (reading.batch["accumulation"] or 1),
        "devices": "devices" in places and reading.batch["devices"] != batch.devices,
        "global_batch": "global_batch" in places and ("per_device" not in places or (
            batch.accumulation > 1 and "accumulation" not in places)),
    }
    for part, value in wanted.items():
        if part in reading.autos:
            if part != "global_batch":
                notes.append(f'{shown(places[part])} stays "auto": the program that fills it in needs {part} = {value}.')
        elif has(part) and as_number(reading.get(*places[part])) == value:
            continue
        elif has(part) or (needed.get(part) and reading.batch[part] != value):
            changes[places[part]] = value
    if "per_device" in places and "devices" not in places and reading.batch["devices"] != batch.devices:
        notes.append(f"Start it on {batch.devices} data-parallel device{'s' if batch.devices > 1 else ''}.")
    if not {"accumulation", "global_batch", "process_batch"} & set(places) and batch.accumulation > 1:
        notes.append(f"Accumulate {batch.accumulation} passes before each step: this file has no field for it.")
    if not {"per_device", "global_batch"} & set(places):
        notes.append(f"Give the batch, {batch} = {batch.size}, where the data are loaded: this file has no field for it.")
