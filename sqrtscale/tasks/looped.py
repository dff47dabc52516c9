"""Models that have no batched form: any torch module as a network, one model of a population after another."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property

import torch
from torch import Tensor, nn
from torch.func import functional_call

from .transformer import Parameter


class Looped:
    """A network like ``Transformer``, of what ``make`` builds: a module from inputs [B, ...] to logits [B, ..., classes].

    length, width: tokens (or places) of one sample and numbers in each, of the largest layer: threads and memory are judged by
    them. Slower than a stack by about the number of models on a GPU; on a CPU by little. Raises ValueError for a module with
    buffers, because what a step leaves in one (a running average, say) belongs to no parameter and would be shared by all models.
    """

    def __init__(self, make: Callable[[], nn.Module], length: int, width: int):
        self.make, self.length, self.width = make, length, width

    @cached_property
    def module(self) -> nn.Module:
        """The architecture; its own weights are not used."""
        with torch.random.fork_rng(devices=[]):
            found = self.make()
        buffers = [name for name, _ in found.named_buffers()]
        if buffers:
            raise ValueError(f"a module with buffers ({', '.join(buffers)}) cannot be trained in a population: "
                             "use layers without running averages, GroupNorm in place of BatchNorm for example")
        return found

    def parameters(self) -> dict[str, Parameter]:
        """Name -> Parameter: shapes."""
        return {name: Parameter(tuple(p.shape)) for name, p in self.module.named_parameters()}

    def initial(self, seed: int) -> Tensor:
        """Weights [P] of one model as its module starts them."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return nn.utils.parameters_to_vector(self.make().parameters()).detach()

    def __call__(self, p: Mapping[str, Tensor], inputs: Tensor) -> Tensor:
        """Logits [M, B, ..., classes] of every model: p maps names to [M, *shape], inputs are [M, B, ...]."""
        return torch.stack([functional_call(self.module, {name: stacked[i] for name, stacked in p.items()}, (one,))
                            for i, one in enumerate(inputs)])
