"""The models of a user's file as a stack: with stacked() they train together, on the inputs and targets of pairs(batch)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from ...rules import FieldError
from .._batch import Batch
from .._network import Network
from .._task import Data
from .errors import users_code
from .returned import loss_of, metrics_of
from .running import OwnData, Running

CPU = torch.device("cpu")
SAME = 1e-4  # relative difference of losses and gradients that count as equal
COMPARED = 16  # samples
MODEL = "let model() return as_module(stacked()), of sqrtscale.tasks.module"


def stack_of(running: Running) -> Network:
    """The network that the file's stacked() returns. Raises FieldError for anything else."""
    network = running.call("stacked")
    if not isinstance(network, Network) or not network.stacked:
        raise FieldError("stacked()", type(network).__name__, "is no network of stacked models: return one, for example a "
                                                              "sqrtscale.tasks.transformer.Transformer")
    return network


class StackData(Data):
    """The samples themselves, drawn as ``OwnData`` draws their places."""

    def __init__(self, running: Running, device: torch.device):
        self.running, self.device, self.places = running, device, OwnData(running, CPU)
        self.train_sample, self.validation = self._batch(self.places.train_sample), self._batch(self.places.validation)

    def draw(self, count: int, generator: torch.Generator) -> Batch:
        return self._batch(self.places.draw(count, generator))

    def _batch(self, drawn: Batch) -> Batch:
        places, seeds = drawn.inputs
        return _pairs(self.running, self.running.batch(places, seeds, CPU)).map(self.placed)


def check_stack(running: Running, network: Network, gradients_of: Callable[[Batch], Tensor]) -> None:
    """Raises FieldError where a stack of one is another model than model(), or has another loss, gradient or metric.

    gradients_of: [1, P] as training computes them, by whichever executor, of a batch of the stack at the start of seed 0.
    """
    with users_code(running.file.path):
        if network.buffers(0) or network.frozen(0):
            raise FieldError("stacked()", type(network).__name__, "has buffers or frozen parts: a stack of a file has none")
        module = running.model(0)
        own = dict(module.named_parameters())
        if {name: tuple(p.shape) for name, p in own.items()} != {name: p.shape for name, p in network.parameters().items()}:
            raise FieldError("stacked()", type(network).__name__, f"has other parameters than model(): {MODEL}")
        start = torch.cat([own[name].detach().flatten() for name in network.parameters()])
        if next(module.buffers(), None) is not None or not torch.equal(start, network.initial(0)):
            raise FieldError("stacked()", type(network).__name__, f"starts otherwise than model(): {MODEL}")
        places = torch.arange(min(running.source.micro or COMPARED, running.length("train")))
        batch = running.batch(places, places, CPU)
        pairs = _pairs(running, batch)
        _check_alone(pairs, [_pairs(running, running.batch(half, half, CPU)) for half in places.chunk(2)])
        stack = pairs.map(lambda x: x[None])
        weights = {name: own[name].detach()[None] for name in network.parameters()}
        loss = loss_of(running.call("loss", module, batch))
        _compare("loss", loss, network.losses(network(weights, stack.inputs, {}, True), stack.targets).mean())
        expected = torch.autograd.grad(loss, [own[name] for name in weights], materialize_grads=True)
        gradients = torch.split(gradients_of(stack)[0].cpu(), [gradient.numel() for gradient in expected])
        for name, gradient, wanted in zip(weights, gradients, expected, strict=True):
            _compare(f"gradient of {name}", wanted.flatten(), gradient)
        with torch.no_grad():
            measures = network.measures(network(weights, stack.inputs, {}, False), stack.targets)
            metrics = metrics_of(running.call("metrics", module.eval(), batch)) if "metrics" in running.source.functions else {}
        _compare_metrics(metrics, {name: value for name, value in measures.items() if name != "loss"})


def _pairs(running: Running, batch: Any) -> Batch:
    parts = running.call("pairs", batch)
    if not isinstance(parts, tuple) or len(parts) != 2:
        raise FieldError("pairs(batch)", type(parts).__name__, "is no pair: return the inputs and the targets of the samples")
    return Batch(*parts)


def _check_alone(pairs: Batch, halves: list[Batch]) -> None:
    """Samples are drawn in blocks of another size than the batches that are trained."""
    forms = {tuple(x.shape[1:] for x in part.tensors()) for part in (pairs, *halves)}
    if len(forms) > 1 or not all(x.shape == y.shape and torch.allclose(x, y, equal_nan=True) for x, y in
                                 zip(pairs.tensors(), Batch.joined(halves, torch.cat).tensors(), strict=True)):
        raise FieldError("pairs(batch)", "of a sample", "depends on the samples beside it, or on chance: let it give each by "
                                                        "itself, all of one shape")


def _compare_metrics(metrics: Mapping[str, Tensor], measures: Mapping[str, Tensor]) -> None:
    if set(metrics) != set(measures):
        raise FieldError("metrics", ", ".join(metrics) or "none", f"are others than those of stacked(), "
                                                                  f"{', '.join(measures) or 'none'}: return the same ones")
    for name, value in metrics.items():
        _compare(name, value, measures[name].float().mean())


def _compare(what: str, of_model: Tensor, of_stack: Tensor) -> None:
    if not (of_model - of_stack).norm() <= SAME * (of_model.norm() + of_stack.norm()) + 1e-7:
        raise FieldError("stacked()", what, f"is another one than that of model() and loss() ({of_stack.norm().item():.6g} where "
                                            f"theirs is {of_model.norm().item():.6g}): let both compute the same, or remove it")
