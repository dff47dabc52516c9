"""Eager autograd: all models of a population as one stack, operation by operation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from ...tasks import Batch, Network
from ..chance import Chance
from ..memory import Passes, give_back
from ..out_of_memory import is_out_of_memory
from ..threads import ALL_THREADS, use_threads
from ._executor import Executor

if TYPE_CHECKING:
    from ..population import Population

MEASURE_AT_ONCE = 2**24  # numbers in one layer's output, of all models, of one forward pass when measuring


class Eager(Executor):
    """All models go through one forward and backward pass, or as many at once as memory has room for."""

    name = "eager"
    when = "everything else"
    how = "autograd on all models as one stack, operation by operation"

    def __init__(self, network: Network, device: torch.device):
        super().__init__(network, device)
        self.passes = Passes(device)
        self.called: torch.cuda.Event | None = None  # passed once the GPU has done the last call's work

    @classmethod
    def suits(cls, network: Network, optimizer: str, device: torch.device) -> bool:
        return network.stacked

    def losses(self, parameters: Mapping[str, Tensor], batch: Batch, buffers: Mapping[str, Tensor], seeds: Iterable[int]
               ) -> Tensor:
        """The loss of every sample in training, [M, B, ...]; seeds: of every model's random numbers."""
        return self.network.losses(self.network(parameters, batch.inputs, buffers, True), batch.targets)

    def measures(self, parameters: Mapping[str, Tensor], batch: Batch, buffers: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The network's measures of every sample, each [M, B, ...]."""
        return self.network.measures(self.network(parameters, batch.inputs, buffers, False), batch.targets)

    def gradients(self, population: Population, batch: Batch, weights: Sequence[float], chance: Chance,
                  buffers: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        samples = self.a_pass(population, batch, weights)
        use_threads(self.device, len(population) * samples * self.network.length * self.network.width)
        self.plan_passes(population, batch, samples)
        before = {name: buffer.clone() for name, buffer in buffers.items()}
        while True:
            try:
                return self._gradients(population, batch, weights, chance, buffers)
            except (RuntimeError, MemoryError) as error:
                capturing = self.device.type == "cuda" and torch.cuda.is_current_stream_capturing()
                if capturing or not is_out_of_memory(error) or self.passes.at_once[samples] == 1:
                    raise
            # Here, because the error holds what the failed pass had allocated. No parameter has changed yet: half of it is tried.
            for name, buffer in buffers.items():
                buffer.copy_(before[name])
            self.passes.halve(samples, len(population))
            give_back(self.device)

    def a_pass(self, population: Population, batch: Batch, weights: Sequence[float]) -> int:
        """Samples of each model that go through one pass: of one weight, where a pass has the mean of its losses alone."""
        return population.task.micro or batch.count(1) // (1 if self.network.per_sample else len(weights))

    def plan_passes(self, population: Population, batch: Batch, samples: int) -> None:
        """Count the memory of one model's pass, once for each number of samples, and choose how many models go through one."""
        if samples in self.passes.at_once:
            return
        first, buffers = batch.cut(slice(1), slice(samples)), {name: x[:1].clone() for name, x in population.held.items()}
        self.passes.plan(samples, lambda: self.losses(population.rows(0, 1), first, buffers, [0]), population.flat)

    def _gradients(self, population: Population, batch: Batch, weights: Sequence[float], chance: Chance,
                   buffers: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        samples, pieces = self.a_pass(population, batch, weights), []
        at_once = self.passes.at_once[samples]
        for start in range(0, len(population), at_once):
            rows = slice(start, min(start + at_once, len(population)))
            views = population.views if at_once >= len(population) else population.rows(rows.start, rows.stop)
            held, losses, total = {name: x[rows] for name, x in {**population.frozen, **buffers}.items()}, [], None
            for first in range(0, batch.count(1), samples):
                part = batch.cut(rows, slice(first, first + samples))
                here = chance.later(first)
                seeds = (here.seed(model) for model in range(rows.start, rows.stop))  # made only where they are asked for
                # A piece's loss counts as its share of the batch's, as where gradients are accumulated.
                scale = population.loss_scale.scale[rows] * (samples / batch.count(1)) if population.loss_scale else None
                loss, gradient = _gradient(self.losses(views, part, held, seeds), views,
                                           _weights(weights, batch.count(1), first, samples), scale)
                losses.append(loss)
                total = gradient if total is None else total.add_(gradient)
            assert total is not None
            pieces.append((torch.stack(losses).mean(0), total.div_(len(losses)) if len(losses) > 1 else total))
        if len(pieces) == 1:
            return pieces[0]
        return torch.cat([loss for loss, _ in pieces]), torch.cat([gradient for _, gradient in pieces])

    def advance(self, population: Population, samples: Batch, reads: Tensor, lr_factors: np.ndarray, watch: bool) -> Tensor:
        worst = population.flat.new_zeros(len(population))
        factors = torch.from_numpy(lr_factors).to(self.device).unsqueeze(2)
        for i, factor in enumerate(factors):
            piece = slice(i * population.drawn, (i + 1) * population.drawn)
            batch = samples.cut(reads, piece)
            population.lr_factor.copy_(factor)
            if watch and i == len(factors) - 1:
                before = population.flat.clone()
                losses = self.step(population, batch, population.chance(i))
                population.update_rms = (population.flat - before).square().mean(1).sqrt()
            else:
                losses = self.fast_step(population, batch, population.chance(i))
            worst = torch.maximum(worst, losses)
        self._wait_for_last_call()
        return worst

    def step(self, population: Population, batch: Batch, chance: Chance) -> Tensor:
        """One step in place on tensors that stay where they are; nothing of it waits for a number. Returns the losses [M]."""
        losses, gradients = self.gradients(population, batch, population.weights, chance, population.buffers)
        with torch.no_grad(), _left_out(population, gradients):
            population.optimizer.step(population.flat, _clip(population, gradients), population.lr_factor)
        return losses

    def fast_step(self, population: Population, batch: Batch, chance: Chance) -> Tensor:
        """The same in the fastest way that is known."""
        return self.step(population, batch, chance)

    def _wait_for_last_call(self) -> None:
        """Let a GPU be one call behind at most, so that progress is true, a cancel is quick, and other GPUs get their turn."""
        if self.device.type != "cuda":
            return
        if self.called is not None:
            self.called.synchronize()
        self.called = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]  # other processes need the core as well
        self.called.record(torch.cuda.current_stream(self.device))

    @torch.no_grad()
    def evaluate(self, population: Population, split: Batch) -> dict[str, Tensor]:
        if self.device.type == "cpu":
            torch.set_num_threads(ALL_THREADS)
        models, samples = len(population), split.count()
        # The loss of a sample may depend on its micro-batch: what is left over beside whole ones is not measured.
        at_once = population.task.micro or max(1, MEASURE_AT_ONCE // (models * self.network.length * self.network.width))
        totals: dict[str, Tensor] = {}
        counts: Counter[str] = Counter()
        for start in range(0, samples - samples % at_once if population.task.micro else samples, at_once):
            piece = split.cut(slice(start, start + at_once))
            stack = piece.map(lambda x: x.expand(models, *x.shape))
            for name, values in self.measures(population.views, stack, population.held).items():
                flat = values.reshape(models, -1)
                total = flat.sum(1, dtype=torch.float64)
                totals[name] = totals[name] + total if name in totals else total
                counts[name] += flat.shape[1]
        return {name: total / counts[name] for name, total in totals.items()}

    def forget(self) -> None:
        """Nothing: every step reads the places anew."""

    def peak_bytes(self, population: Population) -> int:
        return self.passes.peak_bytes(len(population))


def _weights(weights: Sequence[float], whole: int, first: int, samples: int) -> Sequence[float]:
    """The weights of the parts of a batch that a piece of it holds: all of the whole batch, else that of the piece's part."""
    return weights if samples >= whole else [len(weights) * weights[first * len(weights) // whole]]


def _gradient(losses: Tensor, views: Mapping[str, Tensor], weights: Sequence[float], scale: Tensor | None
              ) -> tuple[Tensor, Tensor]:
    """Mean losses [M] and gradients [M, P] of the weighted sum of the means of equal parts of losses [M, B, ...].

    scale: [M], what the losses are multiplied by before the backward pass, and the gradients divided by after it.
    """
    parts = losses.reshape(len(losses), len(weights), -1).mean(2)
    scaled = parts if scale is None else parts * scale.unsqueeze(1)
    # The models share no parameter, so the gradient of the sum is each model's own gradient.
    first, *others = (weight * part.sum() for weight, part in zip(weights, scaled.unbind(1), strict=True))
    whole = first + sum(others) if others else first
    gradients = torch.autograd.grad(whole, list(views.values()), materialize_grads=True)  # zero where a pass leaves one out
    joined = torch.cat([gradient.flatten(1) for gradient in gradients], 1)
    return parts.detach().mean(1), joined if scale is None else joined.div_(scale.unsqueeze(1))


@contextmanager
def _left_out(population: Population, gradients: Tensor) -> Iterator[None]:
    """Models whose gradients overflowed are afterwards as before, but for what the pass itself has moved."""
    rows = population.loss_scale.skips(gradients) if population.loss_scale else ()
    changed = [population.flat, *population.optimizer.state.values(), population.optimizer.steps, population.clipped]
    before = [value[rows] for value in changed] if len(rows) else []
    yield
    for value, old in zip(changed, before, strict=False):
        value[rows] = old


def _clip(population: Population, gradients: Tensor) -> Tensor:
    """The gradients scaled down to clip_norm, each model by its own norm, as torch.nn.utils.clip_grad_norm_ does."""
    if population.clip_norm is None:
        return gradients
    factor: Tensor = population.clip_norm / (gradients.norm(dim=1, keepdim=True) + 1e-6)
    population.clipped += factor.flatten() < 1
    return gradients * factor.clamp(max=1)
