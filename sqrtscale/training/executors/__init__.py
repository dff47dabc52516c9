"""How a population's steps are carried out, and which way when: the one table of it, in docs/executors.md in words.

A new executor is one file here and one name in ``TABLE``.
"""

from __future__ import annotations

import torch

from ...tasks import Network
from ._executor import Executor
from .captured import Captured
from .compiled import Compiled
from .eager import Eager
from .looped import Looped

TABLE: tuple[type[Executor], ...] = (Compiled, Looped, Captured, Eager)  # the first that suits


def choose(network: Network, optimizer: str, device: torch.device) -> type[Executor]:
    """The executor that trains this network with this optimizer family on this device."""
    return next(executor for executor in TABLE if executor.suits(network, optimizer, device))


__all__ = ["TABLE", "Captured", "Compiled", "Eager", "Executor", "Looped", "choose"]
