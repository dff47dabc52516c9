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
    them. Slower than a stack by about the number of models on a GPU; on a CPU by little. Raises ValueError for a module whose
    runs would not be those of its own plain loop: with buffers, because what a step leaves in one (a running average, say) would
    be shared by all models; with chance of its own, as in dropout, because a seed would not repeat itself; with frozen
    parameters, because all are trained.
    """

    def __init__(self, make: Callable[[], nn.Module], length: int, width: int):
        self.make, self.length, self.width = make, length, width

    @cached_property
    def module(self) -> nn.Module:
        """The architecture; its own weights are not used."""
        with torch.random.fork_rng(devices=[]):
            found = self.make()
        parts = list(found.named_modules())
        refused = {
            ("buffers", "use layers without running averages, GroupNorm in place of BatchNorm for example"):
                [name for name, _ in found.named_buffers()],
            ("chance of its own", "set dropout to 0, and use layers that do not draw"):
                [name or type(part).__name__ for name, part in parts if _draws(part)],
            ("frozen parameters", "let them be trained"):
                [name for name, p in found.named_parameters() if not p.requires_grad],
        }
        for (what, remedy), names in refused.items():
            if names:
                raise ValueError(f"a module with {what} ({', '.join(names)}) cannot be trained in a population: {remedy}")
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
        # Taken apart once: the backward pass of an index is as large as the whole stack.
        models = zip(*(stacked.unbind() for stacked in p.values()), strict=True)
        return torch.stack([functional_call(self.module, dict(zip(p, model, strict=True)), (one,))
                            for model, one in zip(models, inputs, strict=True)])


def _draws(part: nn.Module) -> bool:
    """Whether a layer is random while it trains: dropout, also inside of attention and recurrent layers, and the like."""
    if isinstance(part, nn.RReLU | nn.FractionalMaxPool2d | nn.FractionalMaxPool3d):
        return True
    found = part.p if isinstance(part, nn.modules.dropout._DropoutNd) else getattr(part, "dropout", 0.0)
    return isinstance(found, float | int) and found > 0
