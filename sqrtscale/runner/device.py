"""Which devices a calibration will occupy, said without loading torch."""

from __future__ import annotations

import functools
import os
import subprocess
from collections.abc import Iterable, Sequence
from importlib import metadata
from typing import TYPE_CHECKING

from ..devices import devices

if TYPE_CHECKING:
    from ..store import CalibrationRecord


@functools.cache
def cuda_devices() -> tuple[str, ...]:
    """Names of the CUDA devices that training can use, for example ``("NVIDIA H200",)``; empty without any."""
    try:
        if metadata.version("torch").endswith("+cpu"):  # a torch without CUDA uses none, whatever is there
            return ()
        query = ["nvidia-smi", "--query-gpu=uuid,name", "--format=csv,noheader"]
        found = subprocess.run(query, capture_output=True, text=True, timeout=20)
    except metadata.PackageNotFoundError:
        return ()
    except (OSError, subprocess.TimeoutExpired):  # no such program, or a driver that hangs
        return ()
    if found.returncode:
        return ()
    cards = [tuple(part.strip() for part in line.split(",", 1)) for line in found.stdout.splitlines() if "," in line]
    return tuple(cards[i][1] for i in _visible(os.environ.get("CUDA_VISIBLE_DEVICES"), [uuid for uuid, _ in cards]))


def _visible(text: str | None, uuids: Sequence[str]) -> list[int]:
    """Which of the cards torch counts, in its order [CUDA C++ Programming Guide, CUDA_VISIBLE_DEVICES].

    The first entry that names no card ends the list; one that comes twice empties it.
    """
    if text is None:
        return list(range(len(uuids)))
    if text.startswith("MIG-"):  # a part of a card; a program can use one of them
        return [0] if uuids else []
    found: list[int] = []
    for one in map(str.strip, text.split(",")):
        named = [i for i, uuid in enumerate(uuids) if one == str(i) or (one.startswith("GPU-") and uuid.startswith(one))]
        if len(named) != 1:
            break
        if named[0] in found:
            return []
        found += named
    return found


def occupied(name: str) -> tuple[str, ...]:
    """The devices that a plan's name stands for on this machine, all of which its calibration takes."""
    return devices(name, len(cuda_devices()))


def rivals(queue: Iterable[CalibrationRecord], record: CalibrationRecord) -> list[CalibrationRecord]:
    """Those of the record's host that take one of its devices, in the order of the queue, itself among them."""
    mine = set(occupied(record.plan.device))
    return [one for one in queue if one.host in ("", record.host) and not mine.isdisjoint(occupied(one.plan.device))]
