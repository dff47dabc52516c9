"""Networks that have no form for a stack: one model after another."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import nullcontext
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ...tasks import Batch, Network
from ..chance import drawing, generator_states, seed_generators
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

    def __init__(self, network: Network, device: torch.device):
        super().__init__(network, device)
        self.seeded = True

    @classmethod
    def suits(cls, network: Network, optimizer: str, device: torch.device) -> bool:
        return not network.stacked

    def losses(self, parameters: Mapping[str, Tensor], batch: Batch, buffers: Mapping[str, Tensor], seeds: Iterable[int]
               ) -> Tensor:
        losses = []
        # Nothing may be seeded while a graph is captured, and then nothing need be: see ``draws``.
        with drawing(self.device) if self.seeded else nullcontext():
            for model, seed in enumerate(seeds):
                if self.seeded:
                    seed_generators(self.device, seed)
                own, held = _of(model, parameters), _of(model, buffers)
                losses.append(super().losses(own, batch.cut(model), held, ()))
        return torch.stack(losses)

    @torch.no_grad()
    def draws(self, population: Population, batch: Batch) -> bool:
        """By whether a pass has moved a generator. Where it has not, no pass is seeded from now on."""
        first = batch.cut(0, slice(self.a_pass(population, batch, population.weights)))
        held = {name: x.clone() for name, x in _of(0, population.held).items()}
        with drawing(self.device):
            before = generator_states(self.device)
            super().losses(_of(0, population.views), first, held, ())
            after = generator_states(self.device)
        self.seeded = not all(map(torch.equal, before, after))
        return self.seeded

    def measures(self, parameters: Mapping[str, Tensor], batch: Batch, buffers: Mapping[str, Tensor]) -> dict[str, Tensor]:
        models = [super(Looped, self).measures(_of(model, parameters), batch.cut(model), _of(model, buffers))
                  for model in range(batch.count())]
        return {name: torch.stack([measures[name] for measures in models]) for name in models[0]}

    def plan_passes(self, population: Population, batch: Batch, samples: int) -> None:
        super().plan_passes(population, batch, samples)
        self.passes.at_once[samples] = 1


def _of(model: int, stacks: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What belongs to one model."""
    return {name: stack[model] for name, stack in stacks.items()}
