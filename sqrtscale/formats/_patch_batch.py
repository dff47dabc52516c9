"""Export of the batch: which of its parts change in a file, under the names that the file has, and what is left to the user."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ..rules.batch import Batch
from ._batches import BatchParts
from ._document import Path, shown
from ._imported import Imported
from ._reading import Reading, as_number

ACCUMULATING = {"accumulation", "process_batch", "global_batch", "passes"}


def accumulated_as_the_program_can(reading: Reading, imported: Imported, batch: Batch, notes: list[str]) -> Batch:
    """The target; for a program that cannot accumulate, what the rule would add in passes goes into the batch of one device."""
    base = imported.batch.accumulation or 1
    if "per_device" not in reading.places or ACCUMULATING & set(reading.places):
        return batch
    if batch.accumulation == base or (batch.per_device * batch.accumulation) % base:
        return batch
    larger = Batch(batch.per_device * batch.accumulation // base, base, batch.devices)
    notes.append(
        f"This program has no key for gradient accumulation, so the batch of one device becomes {larger.per_device}: where "
        "that does not fit the memory, take more devices."
    )
    return larger


def change_the_batch(
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
