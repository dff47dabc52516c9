"""Which device a calibration will occupy, said without loading torch."""

from __future__ import annotations

import functools
import os
import subprocess
from importlib import metadata


@functools.cache
def cuda_devices() -> tuple[str, ...]:
    """Names of the CUDA devices that training can use, for example ``("NVIDIA H200",)``; empty without any."""
    if os.environ.get("CUDA_VISIBLE_DEVICES", "all").strip() in ("", "-1"):  # hidden from torch
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
    return tuple(line.strip() for line in found.stdout.splitlines() if line.strip()) if found.returncode == 0 else ()


def occupied(device: str) -> str:
    """``auto``, ``cuda`` and ``cuda:N`` as the one device that is taken: ``cpu`` or ``cuda:N``."""
    if device == "auto":
        device = "cuda" if cuda_devices() else "cpu"
    return f"cuda:{int(device.partition(':')[2] or 0)}" if device.startswith("cuda") else device
