"""What torch can use of a machine's GPUs, found out by using them.

``python -m sqrtscale.training.gpus`` prints it as JSON: processes that load no torch ask it in one of their own, which may hang
or die of a broken driver. Nothing else of ``training`` is loaded by it.
"""

from __future__ import annotations

import ctypes
import json
import os
import sys
import warnings
from collections.abc import Collection
from dataclasses import asdict
from typing import Any

import torch

from ..devices import Card


def cards(asked: Collection[int] | None = None) -> tuple[Card, ...]:
    """Every GPU that torch shows this process, or those of the ones that are asked for; with the error of one that fails.

    Memory is taken on each of them.
    """
    if not torch.cuda.is_available():
        return ()
    return tuple(_card(index) for index in range(torch.cuda.device_count()) if asked is None or index in asked)


def _card(index: int) -> Card:
    """torch counts cards that it has no kernels for, and those that somebody else holds alone."""
    try:
        properties = torch.cuda.get_device_properties(index)
        name, memory = properties.name, properties.total_memory
        # AMD's cards have a name in place of a number; NVIDIA's have the card's name in that field.
        capability = properties.gcnArchName if torch.version.hip else f"{properties.major}.{properties.minor}"
    except (RuntimeError, AssertionError) as error:
        return Card(index, f"GPU {index}", error=_line(error))
    try:
        two = torch.ones(1, device=f"cuda:{index}") + 1
        error_of_it = "" if float(two.cpu()) == 2 else f"1 + 1 = {float(two.cpu())}"
        free = torch.cuda.mem_get_info(index)[0]
    except RuntimeError as error:
        return Card(index, name, capability, memory, error=_line(error))
    return Card(index, name, capability, memory, free, error_of_it)


def _line(error: BaseException) -> str:
    """The first line of what CUDA says: advice on debugging follows."""
    return str(error).strip().partition("\n")[0][:300]


def driver_cuda() -> str:
    """The newest CUDA that the driver knows; empty where there is none."""
    if not torch.version.cuda:
        return ""
    version = ctypes.c_int()  # 13010 is 13.1
    try:
        refused = ctypes.CDLL("nvcuda.dll" if os.name == "nt" else "libcuda.so.1").cuDriverGetVersion(ctypes.byref(version))
    except OSError:  # no driver
        return ""
    return "" if refused else f"{version.value // 1000}.{version.value % 1000 // 10}"


def report() -> dict[str, Any]:
    """The cards, and what of torch and driver says why there are none."""
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        try:
            there, error = cards(), ""
            if not there and torch.version.cuda:
                torch.cuda.init()  # type: ignore[no-untyped-call]  # it says why
        except (RuntimeError, AssertionError) as raised:
            there, error = (), _line(raised)
    if not there and not error and warned:
        error = _line(warned[0].message) if isinstance(warned[0].message, Warning) else str(warned[0].message)
    return {
        "torch": torch.__version__, "cuda": torch.version.cuda or "", "hip": torch.version.hip or "",
        "driver_cuda": driver_cuda(),
        "architectures": torch.cuda.get_arch_list() if there else [], "mps": torch.backends.mps.is_available(),
        "cards": [asdict(card) for card in there], "error": error,
    }


if __name__ == "__main__":
    print(json.dumps(report()), flush=True)
    sys.stdout.flush()
    os._exit(0)  # a broken driver may hang a process that ends in the usual way
