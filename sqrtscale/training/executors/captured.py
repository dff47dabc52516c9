"""Eager autograd as a CUDA graph: a step's hundreds of launches cost one."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ...tasks import Batch, Network
from ..chance import Chance
from ..memory import free_bytes
from .eager import Eager
from .recording import Recording, capture, why_not

if TYPE_CHECKING:
    from ..population import Population

# Floating-point operations of a step that a GPU does about as fast as Python launches its operations: on an H200 launching a step
# of the largest model takes 14 ms, and 84 TFLOP/s are reached [benchmarks/GPU.md]. Beyond it a graph saves little and holds much.
LAUNCH_BOUND = 1e12
GRAPH_SHARE = 0.25  # of the free memory that one graph may hold
GRAPH_COPIES = 16  # of the parameters that it and its trial hold beside the passes


def graphs_allowed() -> bool:
    """False where SQRTSCALE_CUDA_GRAPHS is off: a trial has died of them here, or the user wants none."""
    return os.environ.get("SQRTSCALE_CUDA_GRAPHS", "").strip().lower() not in ("off", "0", "no")


class Captured(Eager):
    """The operations of ``Eager``, replayed as one CUDA graph.

    A step that is too large to gain by it, or whose graph would not fit, makes the same operations one by one.
    """

    name = "captured"
    when = "a network of stacked models on a GPU"
    how = "the eager step as a CUDA graph where launching takes longer than the work and memory has room, else one by one"

    why_not = ""  # there is no recording

    def __init__(self, network: Network, device: torch.device):
        super().__init__(network, device)
        self.forget()

    @classmethod
    def suits(cls, network: Network, optimizer: str, device: torch.device) -> bool:
        return network.stacked and device.type == "cuda"

    def forget(self) -> None:
        self.recording: Recording | None = None
        self.may_capture = self.device.type == "cuda" and graphs_allowed()
        self.why_not = "" if self.may_capture else "CUDA graphs are switched off" if self.device.type == "cuda" else "no GPU"

    def fast_step(self, population: Population, batch: Batch, chance: Chance) -> Tensor:
        if self.may_capture:
            self.may_capture = False
            self.recording = self.capture(population, batch, chance)
        return self.recording(batch) if self.recording else self.step(population, batch, chance)

    def capture(self, population: Population, batch: Batch, chance: Chance) -> Recording | None:
        """A step as a CUDA graph, where launching its operations takes longer than their work and its memory is there."""
        self.why_not = self.unfit(population, batch)
        if self.why_not:
            return None
        at_once = dict(self.passes.at_once)
        recording = self.record(population, batch, chance)
        if recording is None:
            self.why_not = why_not() or "the captured step differs from the ordinary one"
            self.passes.at_once = at_once  # what lacked for a recording is there for a plain step
        return recording

    def record(self, population: Population, batch: Batch, chance: Chance) -> Recording | None:
        """The recording of a step, or None where none can be had that makes the same one."""
        return capture(lambda given: self.step(population, given, chance), population.state, batch)

    def unfit(self, population: Population, batch: Batch) -> str:
        """Why a step should not be captured; empty where it should."""
        if not self.network.recordable:
            return "the network's code cannot be recorded"
        if self.work(population, len(population)) > LAUNCH_BOUND:
            return "its work takes longer than launching it"
        if self.draws(population, batch):
            return "the network draws random numbers"
        self.plan_passes(population, batch, self.a_pass(population, batch, population.weights))
        if self.graph_bytes(population) > GRAPH_SHARE * free_bytes(self.device):
            return "its memory would not be there"
        return ""

    def carried_out(self) -> str:
        if self.recording:
            return f"as a CUDA graph of {self.recording.operations} operations"
        return f"operation by operation: {self.why_not or 'too few steps'}"

    def draws(self, population: Population, batch: Batch) -> bool:
        """Whether the network draws random numbers in training: a graph would draw those of its capture for ever."""
        return False  # a stacked network draws none

    def graph_bytes(self, population: Population) -> int:
        """Memory that a CUDA graph of a step holds for itself."""
        return GRAPH_COPIES * population.flat.nbytes + self.peak_bytes(population)

    def kept_bytes(self, population: Population) -> int:
        return self.graph_bytes(population) if self.recording else 0
