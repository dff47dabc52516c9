"""Which devices a calibration will occupy, said without loading torch."""

from __future__ import annotations

import functools
import os
import subprocess
from collections.abc import Iterable
from importlib import metadata
from typing import TYPE_CHECKING

from ..devices import devices

if TYPE_CHECKING:
    from ..store import CalibrationRecord


@functools.cache
def cuda_devices() -> tuple[str, ...]:
    """Names of the CUDA devices that training can use, for example ``("NVIDIA H200",)``; empty without any."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "all").strip()
    if visible in ("", "-1"):  # hidden from torch
        return ()
    try:
        if metadata.version("torch").endswith("+cpu"):  # a torch without CUDA uses none, whatever is there
            return ()
        query = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
        found = subprocess.run(query, capture_output=True, text=True, timeout=20)
    except metadata.PackageNotFoundError:
        return ()
    except (OSError, subprocess.TimeoutExpired):  # no such program, or a driver that hangs
        return ()
    names = tuple(line.strip() for line in found.stdout.splitlines() if line.strip()) if found.returncode == 0 else ()
    numbers = [int(one) for one in visible.split(",") if one.strip().isdecimal()]
    return tuple(names[i] for i in numbers if i < len(names)) if numbers else names  # torch counts the visible ones alone


def occupied(name: str) -> tuple[str, ...]:
    """The devices that a plan's name stands for on this machine, all of which its calibration takes."""
    return devices(name, len(cuda_devices()))


def rivals(queue: Iterable[CalibrationRecord], name: str) -> list[CalibrationRecord]:
    """Those that take one of the devices which ``name`` stands for, in the order of the queue."""
    mine = set(occupied(name))
    return [one for one in queue if not mine.isdisjoint(occupied(one.plan.device))]
