"""Any torch module as a network: models that have no form for a stack train one after another."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from ._network import Network, Parameter

Loss = Callable[[Any, Any], Tensor]


class ModuleNetwork(Network):
    """The network of the modules that ``make`` builds; their call takes the inputs of a batch, a tuple or dict of them unpacked.

    losses: (predictions, targets) -> the loss of each sample, [B]; measures: more of the same, by name; length, width: as for
    ``Network``. What a module holds and does not train is kept model by model: running averages and other buffers, which only
    training changes, and frozen parameters. Dropout and the like draw anew in every call, the same for the same seed and samples.
    Slower than a stack by about the number of models on a GPU; on a CPU by little.
    """

    stacked = False

    def __init__(self, make: Callable[[], nn.Module], losses: Loss, measures: Mapping[str, Loss] | None = None, *,
                 length: int = 1, width: int = 1):
        self.make, self.length, self.width = make, length, width
        self._losses, self._measures = losses, dict(measures or {})

    @cached_property
    def module(self) -> nn.Module:
        """The architecture; its own weights are not used."""
        return self._made(0)

    def parameters(self) -> dict[str, Parameter]:
        return {name: Parameter(tuple(p.shape)) for name, p in self.module.named_parameters() if p.requires_grad}

    def initial(self, seed: int) -> Tensor:
        return torch.cat([p.detach().flatten() for p in self._made(seed).parameters() if p.requires_grad])

    def buffers(self, seed: int) -> dict[str, Tensor]:
        return dict(self._made(seed).named_buffers())

    def frozen(self, seed: int) -> dict[str, Tensor]:
        return {name: p.detach() for name, p in self._made(seed).named_parameters() if not p.requires_grad}

    def __call__(self, parameters: Mapping[str, Tensor], inputs: Any, buffers: Mapping[str, Tensor], training: bool) -> Any:
        self.module.train(training)
        named = inputs if isinstance(inputs, Mapping) else {}
        placed = () if named else inputs if isinstance(inputs, tuple) else (inputs,)
        held = {**parameters, **buffers}
        predictions = functional_call(self.module, held, placed, dict(named))
        for name, buffer in buffers.items() if training else ():
            if held[name] is not buffer:  # the module has put another tensor in its place
                buffer.copy_(held[name])
        return predictions

    def losses(self, predictions: Any, targets: Any) -> Tensor:
        return self._losses(predictions, targets)

    def measures(self, predictions: Any, targets: Any) -> dict[str, Tensor]:
        """The loss, and the measures that were given."""
        own = {name: measure(predictions, targets) for name, measure in self._measures.items()}
        return {"loss": self._losses(predictions, targets)} | own

    def _made(self, seed: int) -> nn.Module:
        """A module as it starts from that seed."""
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            return self.make()
