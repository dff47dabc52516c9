"""Networks that have no form for a stack: one model after another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ...tasks import Batch, Network
from ..chance import drawing
from .captured import Captured

if TYPE_CHECKING:
    from ..population import Population


class Looped(Captured):
    """Each model has a forward and backward pass of its own, so that only one model's activations are held at once.

    Torch's generators are seeded before every pass in training. On a GPU the whole round is captured as a CUDA graph where a
    stack's step would be, unless the network draws random numbers.
    """

    name = "looped"
    when = "any torch module (`sqrtscale.tasks.module`)"
    how = "autograd on one module after another; on a GPU as a CUDA graph where that can be had"

    @classmethod
    def suits(cls, network: Network, optimizer: str, device: torch.device) -> bool:
        return not network.stacked

    def losses(self, parameters: Mapping[str, Tensor], batch: Batch, buffers: Mapping[str, Tensor], seeds: Sequence[int]
               ) -> Tensor:
        losses = []
        with drawing(self.device):
            for model, seed in enumerate(seeds):
                torch.manual_seed(seed)
                own, held = _of(model, parameters), _of(model, buffers)
                losses.append(super().losses(own, batch.cut(model), held, ()))
        return torch.stack(losses)

    def measures(self, parameters: Mapping[str, Tensor], batch: Batch, buffers: Mapping[str, Tensor]) -> dict[str, Tensor]:
        models = [super(Looped, self).measures(_of(model, parameters), batch.cut(model), _of(model, buffers))
                  for model in range(batch.count())]
        return {name: torch.stack([measures[name] for measures in models]) for name in models[0]}

    def plan_passes(self, population: Population, batch: Batch) -> None:
        super().plan_passes(population, batch)
        self.passes.at_once[self.a_pass(population, batch)] = 1


def _of(model: int, stacks: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What belongs to one model."""
    return {name: stack[model] for name, stack in stacks.items()}
