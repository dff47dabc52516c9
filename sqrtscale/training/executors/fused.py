"""A captured step of fewer operations: torch.compile makes one of what norms, activations and the update do one after another."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ...tasks import Batch, Network
from ..chance import Chance
from .captured import Captured
from .recording import Recording, capture

if TYPE_CHECKING:
    from ..optimizers._optimizer import StackedOptimizer
    from ..population import Population

ASKED = "SQRTSCALE_FUSE"


class Fused(Captured):
    """The step of ``Captured``, its passes and its update compiled by torch, where a trial of it agrees with the ordinary one.

    Asked for by a variable and not chosen by itself: compiling takes some 25 s for each group of models, and no GPU has shown
    yet after how many steps that is paid back [docs/experiments.md].
    """

    name = "fused"
    when = "the same where `SQRTSCALE_FUSE=on` asks for it"
    how = "the captured step, its passes and its update compiled by torch into fewer operations; as it is where that fails"

    backend = "inductor"  # of torch.compile

    @classmethod
    def suits(cls, network: Network, optimizer: str, device: torch.device) -> bool:
        return os.environ.get(ASKED, "").strip().lower() in ("on", "1", "yes") and super().suits(network, optimizer, device)

    def forget(self) -> None:
        super().forget()
        self.compiled: _Compiled | None = None  # a graph calls into it

    def record(self, population: Population, batch: Batch, chance: Chance) -> Recording | None:
        compiled = _Compiled(self.network, self.backend)

        def fused(given: Batch) -> Tensor:
            with compiled.in_place_of(self, population.optimizer):
                return self.step(population, given, chance)

        recording = capture(lambda given: self.step(population, given, chance), population.state, batch, recorded=fused)
        self.compiled = compiled if recording else None
        return recording or super().record(population, batch, chance)

    def carried_out(self) -> str:
        return super().carried_out() + (", fused by torch.compile" if self.compiled else "")


class _Compiled:
    """The passes of a network and any optimizer's update, compiled at their first call; holds no optimizer and its memory."""

    def __init__(self, network: Network, backend: str):
        def losses(parameters: Mapping[str, Tensor], inputs: Any, targets: Any, buffers: Mapping[str, Tensor]) -> Tensor:
            return network.losses(network(parameters, inputs, buffers, True), targets)

        def update(optimizer: StackedOptimizer, *arguments: Tensor) -> None:
            type(optimizer).step(optimizer, *arguments)

        compiled = partial(torch.compile, dynamic=False, fullgraph=True, backend=backend)
        self.losses, self.update = compiled(losses), compiled(update)

    @contextmanager
    def in_place_of(self, executor: Fused, optimizer: StackedOptimizer) -> Iterator[None]:
        """Inside, that executor's passes and that optimizer's update are the compiled ones."""
        def losses(parameters: Mapping[str, Tensor], batch: Batch, buffers: Mapping[str, Tensor], seeds: Iterable[int]) -> Tensor:
            result: Tensor = self.losses(parameters, batch.inputs, batch.targets, buffers)
            return result

        executor.losses, optimizer.step = losses, partial(self.update, optimizer)  # type: ignore[method-assign]
        try:
            yield
        finally:
            del executor.losses, optimizer.step  # those of their classes again
