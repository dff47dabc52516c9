"""Which devices a calibration will occupy, said without loading torch."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from ..devices import devices

if TYPE_CHECKING:
    from ..store import CalibrationRecord

DEV = Path("/dev")
NODES = ("nvidia[0-9]*", "dxg", "kfd")  # what a GPU's driver puts there: NVIDIA's, Windows' for Linux, AMD's
ASK_TORCH = ("import torch.cuda as gpu\n"
             "print(*[gpu.get_device_name(i) for i in range(gpu.device_count())] if gpu.is_available() else [], sep='\\n')")
PATIENCE = 60.0  # seconds


@functools.cache
def cuda_devices() -> tuple[str, ...]:
    """Names of the CUDA devices that training can use, for example ``("NVIDIA H200",)``; empty without any."""
    try:
        if metadata.version("torch").endswith("+cpu"):  # a torch without CUDA uses none, whatever is there
            return ()
    except metadata.PackageNotFoundError:
        return ()
    # The driver answers at once, but knows nothing of what is hidden from torch by a variable.
    names = () if "CUDA_VISIBLE_DEVICES" in os.environ else _lines("nvidia-smi", "--query-gpu=name", "--format=csv,noheader")
    if names or not [path for node in NODES for path in DEV.glob(node)]:
        return names
    return _lines(sys.executable, "-P", "-c", ASK_TORCH)


def _lines(*command: str) -> tuple[str, ...]:
    """What a program prints, by the line; empty where there is no such program, it fails, or it hangs as drivers may."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    except (OSError, subprocess.TimeoutExpired):
        return ()
    return tuple(line.strip() for line in done.stdout.splitlines() if line.strip()) if done.returncode == 0 else ()


def occupied(name: str) -> tuple[str, ...]:
    """The devices that a plan's name stands for on this machine, all of which its calibration takes."""
    return devices(name, len(cuda_devices()))


def rivals(queue: Iterable[CalibrationRecord], record: CalibrationRecord) -> list[CalibrationRecord]:
    """Those of the record's host that take one of its devices, in the order of the queue, itself among them."""
    devices_of_it = set(occupied(record.plan.device))
    return [other for other in queue
            if other.host in ("", record.host) and not devices_of_it.isdisjoint(occupied(other.plan.device))]
