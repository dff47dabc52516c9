"""Any torch module as a network, whose models train one after another; and one model of a stacked network as a module."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from ._batch import Batch
from ._network import Network, Parameter

Loss = Callable[[Any, Any], Tensor]
Place = tuple[dict[str, Any], str]  # a module's own parameters or buffers, and the name there


class ModuleNetwork(Network):
    """The network of the modules that ``make`` builds; their call takes the inputs of a batch, a tuple or dict of them unpacked.

    losses: (predictions, targets) -> the loss of each sample, [B]; measures: more of the same, by name; length, width: as for
    ``Network``. What a module holds and does not train is kept model by model: running averages and other buffers, which only
    training changes, and frozen parameters. Dropout and the like draw anew in every call, the same for the same seed and samples.
    A call leaves its weights in the module until the next one, because a checkpointed part is computed again in the backward
    pass. Slower than a stack by about the number of models on a GPU; on a CPU by little.
    """

    stacked = False

    def __init__(self, make: Callable[[], nn.Module], losses: Loss, measures: Mapping[str, Loss] | None = None, *,
                 length: int = 1, width: int = 1):
        self.make, self.length, self.width = make, length, width
        self._losses, self._measures = losses, dict(measures or {})

    @cached_property
    def module(self) -> nn.Module:
        """The architecture, with the weights of the last call."""
        return self._made(0)

    @cached_property
    def _trained(self) -> dict[str, Parameter]:
        return {name: Parameter(tuple(p.shape)) for name, p in self._made(0).named_parameters() if p.requires_grad}

    @cached_property
    def _places(self) -> dict[str, list[Place]]:
        return _places(self.module)

    def parameters(self) -> dict[str, Parameter]:
        return self._trained

    def initial(self, seed: int) -> Tensor:
        return torch.cat([p.detach().flatten() for p in self._made(seed).parameters() if p.requires_grad])

    def buffers(self, seed: int) -> dict[str, Tensor]:
        return dict(self._made(seed).named_buffers())

    def frozen(self, seed: int) -> dict[str, Tensor]:
        return {name: p.detach() for name, p in self._made(seed).named_parameters() if not p.requires_grad}

    def __call__(self, parameters: Mapping[str, Tensor], inputs: Any, buffers: Mapping[str, Tensor], training: bool) -> Any:
        self._put({**parameters, **buffers}, training)
        named = inputs if isinstance(inputs, Mapping) else {}
        placed = () if named else inputs if isinstance(inputs, tuple) else (inputs,)
        predictions = self.module(*placed, **named)
        if training:
            self._take_back(buffers)
        return predictions

    def _put(self, held: Mapping[str, Tensor], training: bool) -> None:
        """These tensors into the module, in every place that shares one."""
        for name, places in self._places.items():
            for tensors, own in places:
                tensors[own] = held[name]
        for part in self.module.modules():
            if isinstance(part, nn.RNNBase):  # it reads a list of its weights
                part._flat_weights = [getattr(part, name) for name in part._flat_weights_names]
        self.module.train(training)

    def _take_back(self, buffers: Mapping[str, Tensor]) -> None:
        """What the module has put in the place of a buffer."""
        for name, buffer in buffers.items():
            if name in self._places:
                (tensors, own), *_ = self._places[name]
                if tensors[own] is not buffer:
                    buffer.copy_(tensors[own])

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


def as_module(network: Network) -> nn.Module:
    """One model of a stacked network as a module, called with inputs as the network takes them, without their first axis.

    Its weights are the network's start from the seed that torch has been given last.
    """
    return _AsModule(network)


class _AsModule(nn.Module):
    def __init__(self, network: Network):
        super().__init__()
        self._network, weights = network, network.initial(torch.initial_seed())
        for name, parameter in network.parameters().items():
            own, weights = weights.tensor_split([math.prod(parameter.shape)])
            *path, last = name.split(".")
            holder: nn.Module = self
            for part in path:
                if part not in holder._modules:
                    holder.add_module(part, nn.Module())
                holder = holder.get_submodule(part)
            holder.register_parameter(last, nn.Parameter(own.view(parameter.shape).clone()))

    def forward(self, inputs: Any) -> Tensor:
        stack = Batch(inputs, ()).map(lambda x: x[None])
        parameters = {name: parameter[None] for name, parameter in self.named_parameters()}
        predictions: Tensor = self._network(parameters, stack.inputs, {}, self.training)[0]
        return predictions


def _places(module: nn.Module) -> dict[str, list[Place]]:
    """Name of a parameter or buffer -> where it lies: once for each module that shares it."""
    names: dict[int, str] = {}
    places: dict[str, list[Place]] = {}
    for prefix, part in module.named_modules():
        tensors: dict[str, Any]
        for tensors in (part._parameters, part._buffers):
            for own, tensor in tensors.items():
                if tensor is not None:
                    name = names.setdefault(id(tensor), f"{prefix}.{own}" if prefix else own)
                    places.setdefault(name, []).append((tensors, own))
    return places
