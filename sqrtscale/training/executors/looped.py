"""Networks that have no form for a stack: one module after another."""

from __future__ import annotations

from ...tasks.looped import Looped as LoopedNetwork
from .captured import Captured


class Looped(Captured):
    """Each model has a forward and backward pass of its own, so that only one model's activations are held at once.

    On a GPU the whole round is captured as a CUDA graph where a stack's step would be.
    """

    name = "looped"
    when = "any torch module (`sqrtscale.tasks.looped`)"
    how = "autograd on one module after another; on a GPU as a CUDA graph where that can be had"

    @classmethod
    def suits(cls, network, optimizer, device):
        return isinstance(network, LoopedNetwork)

    def plan_passes(self, population, batch):
        super().plan_passes(population, batch)
        self.passes.at_once[batch.targets.shape[1]] = 1
