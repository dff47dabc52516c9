"""Which device a calibration will occupy, said without loading torch."""

from __future__ import annotations

import functools
import subprocess


@functools.cache
def cuda_devices() -> tuple[str, ...]:
    """Names of the CUDA devices that the driver lists, for example ``("NVIDIA H200",)``; empty without a driver."""
    try:
        query = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
        found = subprocess.run(query, capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):  # no such program, or a driver that hangs
        return ()
    return tuple(line.strip() for line in found.stdout.splitlines() if line.strip()) if found.returncode == 0 else ()


def occupied(device: str) -> str:
    """``auto``, ``cuda`` and ``cuda:N`` as the one device that is taken: ``cpu`` or ``cuda:N``."""
    if device == "auto":
        device = "cuda" if cuda_devices() else "cpu"
    return "cuda:0" if device == "cuda" else device
