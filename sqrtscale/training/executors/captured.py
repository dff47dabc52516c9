"""Eager autograd as a CUDA graph: a step's hundreds of launches cost one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ...tasks import Batch, Network
from ..chance import Chance
from ..memory import free_bytes
from .eager import Eager
from .recording import Recording, capture

if TYPE_CHECKING:
    from ..population import Population

# Floating-point operations of a step that a GPU does about as fast as Python launches its operations; from figures of an H200,
# not measured. Beyond it a CUDA graph saves little and holds much memory.
LAUNCH_BOUND = 3e10
GRAPH_SHARE = 0.25  # of the free memory that one graph may hold
GRAPH_COPIES = 16  # of the parameters that it and its trial hold beside the passes


class Captured(Eager):
    """The operations of ``Eager``, replayed as one CUDA graph.

    A step that is too large to gain by it, or whose graph would not fit, makes the same operations one by one.
    """

    name = "captured"
    when = "a network of stacked models on a GPU"
    how = "the eager step as a CUDA graph where launching takes longer than the work and memory has room, else one by one"

    def __init__(self, network: Network, device: torch.device):
        super().__init__(network, device)
        self.forget()

    @classmethod
    def suits(cls, network: Network, optimizer: str, device: torch.device) -> bool:
        return network.stacked and device.type == "cuda"

    def forget(self) -> None:
        self.recording: Recording | None = None
        self.may_capture = self.device.type == "cuda"

    def fast_step(self, population: Population, batch: Batch, chance: Chance) -> Tensor:
        if self.may_capture:
            self.may_capture = False
            self.recording = self.capture(population, batch, chance)
        return self.recording(batch) if self.recording else self.step(population, batch, chance)

    def capture(self, population: Population, batch: Batch, chance: Chance) -> Recording | None:
        """A step as a CUDA graph, where launching its operations takes longer than their work and its memory is there."""
        if self.work(population, len(population)) > LAUNCH_BOUND or self.draws(population, batch):
            return None
        self.plan_passes(population, batch)
        if self.graph_bytes(population) > GRAPH_SHARE * free_bytes(self.device):
            return None
        at_once = dict(self.passes.at_once)
        recording = capture(lambda given: self.step(population, given, chance), population.state, batch)
        if recording is None:
            self.passes.at_once = at_once  # what lacked for a recording is there for a plain step
        return recording

    def draws(self, population: Population, batch: Batch) -> bool:
        """Whether the network draws random numbers in training: a graph would draw those of its capture for ever."""
        return False  # a stacked network draws none

    def graph_bytes(self, population: Population) -> int:
        """Memory that a CUDA graph of a step holds for itself."""
        return GRAPH_COPIES * population.flat.nbytes + self.peak_bytes(population)

    def kept_bytes(self, population: Population) -> int:
        return self.graph_bytes(population) if self.recording else 0
