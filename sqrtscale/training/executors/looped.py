"""Networks that have no form for a stack: one model after another."""

from __future__ import annotations

import torch
from torch import Tensor

from ..chance import drawing
from .captured import Captured


class Looped(Captured):
    """Each model has a forward and backward pass of its own, so that only one model's activations are held at once.

    Torch's generators are seeded before every pass in training. On a GPU the whole round is captured as a CUDA graph where a
    stack's step would be, unless the network draws random numbers.
    """

    name = "looped"
    when = "any torch module (`sqrtscale.tasks.module`)"
    how = "autograd on one module after another; on a GPU as a CUDA graph where that can be had"

    @classmethod
    def suits(cls, network, optimizer, device):
        return not network.stacked

    def losses(self, parameters, batch, buffers, seeds):
        def one(model: int) -> Tensor:
            torch.manual_seed(seeds[model])
            return super(Looped, self).losses(*_of(model, parameters, batch, buffers), seeds)

        with drawing(self.device):
            return torch.stack([one(model) for model in range(len(seeds))])

    def measures(self, parameters, batch, buffers):
        models = [super(Looped, self).measures(*_of(model, parameters, batch, buffers)) for model in range(batch.count())]
        return {name: torch.stack([measures[name] for measures in models]) for name in models[0]}

    def plan_passes(self, population, batch):
        super().plan_passes(population, batch)
        self.passes.at_once[self.a_pass(population, batch)] = 1


def _of(model: int, parameters, batch, buffers):
    """What belongs to one model of a stack."""
    def own(stack: Tensor) -> Tensor:
        return stack[model]

    return {name: own(x) for name, x in parameters.items()}, batch.map(own), {name: own(x) for name, x in buffers.items()}
