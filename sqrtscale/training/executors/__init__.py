"""How a population's steps are carried out, and which way when: the one table of it, in docs/executors.md in words.

A new executor is one file here and one name in ``TABLE``.
"""

from __future__ import annotations

import math

import torch

from ...tasks import Network
from ._executor import Executor
from .captured import Captured
from .compiled import Compiled
from .eager import Eager
from .fused import Fused
from .looped import Looped

CPU = torch.device("cpu")
# Floating-point operations of a step of one model up to which the compiled kernels, at some 25 GFLOP/s on a core, take no longer
# than a CUDA graph of 150 operations: 0.44 ms on an H200 [benchmarks/GPU.md].
CPU_WORK = 1e7
TABLE: tuple[type[Executor], ...] = (Compiled, Looped, Fused, Captured, Eager)  # the first that suits


def choose(network: Network, optimizer: str, device: torch.device) -> type[Executor]:
    """The executor that trains this network with this optimizer family on this device."""
    return next(executor for executor in TABLE if executor.suits(network, optimizer, device))


def place_of_one(network: Network, optimizer: str, batch_size: int, device: torch.device) -> torch.device:
    """Where one model of the network trains alone, as a warm start does: on the CPU if it is too small for a GPU."""
    parameters = sum(math.prod(parameter.shape) for parameter in network.parameters().values())
    small = 6 * parameters * batch_size * network.length <= CPU_WORK
    return CPU if device.type == "cuda" and small and choose(network, optimizer, CPU) is Compiled else device


__all__ = ["TABLE", "Captured", "Compiled", "Eager", "Executor", "Fused", "Looped", "choose", "place_of_one"]
