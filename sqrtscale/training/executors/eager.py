"""Eager autograd: all models of a population as one stack, operation by operation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from ...tasks import Batch
from .. import is_out_of_memory
from ..memory import Passes, give_back
from ..threads import ALL_THREADS, use_threads
from ._executor import Executor, Network

if TYPE_CHECKING:
    from ..population import Population

MEASURE_AT_ONCE = 2**24  # numbers in one layer's output, of all models, of one forward pass when measuring


def losses_of(network: Network, views: Mapping[str, Tensor], batch: Batch, parts: int = 1) -> Tensor:
    """Mean cross-entropy of each model on each of ``parts`` equal parts of its own samples: batch [M, B, ...] -> [M, parts]."""
    logits = network(views, batch.inputs)
    each = F.cross_entropy(logits.flatten(0, -2), batch.targets.flatten(), reduction="none")
    return each.view(len(batch.targets), parts, -1).mean(2)


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
    def suits(cls, network, optimizer, device):
        return True

    def gradients(self, population, batch, weights):
        samples = batch.targets.shape[1]
        use_threads(self.device, len(population) * samples * self.network.length * self.network.width)
        self.plan_passes(population, batch)
        while True:
            try:
                return self._gradients(population, batch, weights)
            except (RuntimeError, MemoryError) as error:
                capturing = self.device.type == "cuda" and torch.cuda.is_current_stream_capturing()
                if capturing or not is_out_of_memory(error) or self.passes.at_once[samples] == 1:
                    raise
            # Here, because the error holds what the failed pass had allocated. Nothing has changed yet: half of it is tried.
            self.passes.halve(samples, len(population))
            give_back(self.device)

    def plan_passes(self, population: Population, batch: Batch) -> None:
        """Count the memory of one model's pass on so many samples, once, and choose how many models go through one."""
        first = Batch(batch.inputs[:1], batch.targets[:1])
        self.passes.plan(batch.targets.shape[1], lambda: losses_of(self.network, population.rows(0, 1), first), population.flat)

    def _gradients(self, population: Population, batch: Batch, weights: Sequence[float]) -> tuple[Tensor, Tensor]:
        pieces, at_once = [], self.passes.at_once[batch.targets.shape[1]]
        for start in range(0, len(population), at_once):
            rows = slice(start, start + at_once)
            views = population.views if at_once >= len(population) else population.rows(start, start + at_once)
            losses = losses_of(self.network, views, Batch(batch.inputs[rows], batch.targets[rows]), len(weights))
            # The models share no parameter, so the gradient of the sum is each model's own gradient.
            whole = sum(weight * part.sum() for weight, part in zip(weights, losses.unbind(1), strict=True))
            gradients = torch.autograd.grad(whole, list(views.values()))
            pieces.append((losses.detach().mean(1), torch.cat([gradient.flatten(1) for gradient in gradients], 1)))
        return pieces[0] if len(pieces) == 1 else tuple(map(torch.cat, zip(*pieces, strict=True)))

    def advance(self, population, samples, reads, count, watch):
        worst = population.flat.new_zeros(len(population))
        for i in range(count):
            piece = slice(i * population.drawn, (i + 1) * population.drawn)
            batch = Batch(samples.inputs[reads, piece], samples.targets[reads, piece])
            if watch and i == count - 1:
                before = population.flat.clone()
                losses = self.step(population, batch)
                population.update_rms = (population.flat - before).square().mean(1).sqrt()
            else:
                losses = self.fast_step(population, batch)
            worst = torch.maximum(worst, losses)
        self._wait_for_last_call()
        return worst

    def step(self, population: Population, batch: Batch) -> Tensor:
        """One step in place on tensors that stay where they are; nothing of it waits for a number. Returns the losses [M]."""
        losses, gradients = self.gradients(population, batch, population.weights)
        population.taken += 1
        with torch.no_grad():
            # Linear warm-up: the first step of n already moves by lr / n.
            factor = (population.taken / population.warmup_steps.clamp(min=1)).clamp(max=1)
            population.optimizer.step(population.flat, _clip(population, gradients), factor)
        return losses

    def fast_step(self, population: Population, batch: Batch) -> Tensor:
        """The same in the fastest way that is known."""
        return self.step(population, batch)

    def _wait_for_last_call(self) -> None:
        """Let a GPU be one call behind at most, so that progress is true, a cancel is quick, and other GPUs get their turn."""
        if self.device.type != "cuda":
            return
        if self.called is not None:
            self.called.synchronize()
        self.called = torch.cuda.Event(blocking=True)  # other processes need the core as well
        self.called.record(torch.cuda.current_stream(self.device))

    def evaluate(self, population, split):
        if self.device.type == "cpu":
            torch.set_num_threads(ALL_THREADS)
        loss, right, models = 0.0, 0, len(population)
        at_once = max(1, MEASURE_AT_ONCE // (models * self.network.length * self.network.width))
        for start in range(0, len(split.targets), at_once):
            piece = slice(start, start + at_once)
            inputs, targets = (x[piece].expand(models, *x[piece].shape) for x in (split.inputs, split.targets))
            logits = self.network(population.views, inputs)
            each = F.cross_entropy(logits.flatten(0, -2), targets.flatten(), reduction="none")
            loss = loss + each.view(models, -1).sum(1, dtype=torch.float64)
            right = right + (logits.argmax(-1) == targets).view(models, -1).sum(1)
        return loss / split.targets.numel(), right / split.targets.numel()

    def forget(self):
        """Nothing: every step reads the places anew."""

    def peak_bytes(self, population):
        return self.passes.peak_bytes(len(population))


def _clip(population: Population, gradients: Tensor) -> Tensor:
    """The gradients scaled down to clip_norm, each model by its own norm, as torch.nn.utils.clip_grad_norm_ does."""
    if population.clip_norm is None:
        return gradients
    factor = population.clip_norm / (gradients.norm(dim=1, keepdim=True) + 1e-6)
    population.clipped += factor.flatten() < 1
    return gradients * factor.clamp(max=1)
