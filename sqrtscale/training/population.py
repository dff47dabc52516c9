"""A population: M models of one task and one batch size that train together. What they are; an executor takes their steps."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..arms import svag_weights
from ..rules import TrainingConfig
from ..schedules import CONSTANT, Schedule
from ..tasks import SMALLEST, Batch, Task
from .chance import Chance
from .course import Pace
from .executors import choose
from .loss_scale import LossScale
from .optimizers import make_optimizer


class Population:
    """M models stacked along the first axis, one configuration each, all at one batch size.

    configs: one per model, same family and batch size; seeds: one per model, for initial weights and chance; svag: 0 for
    ordinary steps, l for steps along r1 g1 + r2 g2 of two batches [Malladi et al. 2022], so that a step takes ``drawn`` = 2 B
    samples; size: of the model, one of the task's. Parameters live in one flat tensor [M, P]; ``views`` are its named pieces
    [M, *shape]; ``buffers`` and ``frozen`` [M, *shape] are what models hold and do not train. Tensors that a step reads and
    writes stay where they are, because a captured step runs no Python.
    """

    def __init__(self, task: Task, configs: Sequence[TrainingConfig], seeds: Sequence[int], device: torch.device,
                 svag: int = 0, size: str = SMALLEST, stream: str = "branch"):
        self.task = task
        self.size = size
        self.device = device
        self.stream = stream
        self.network = task.network(size)
        self.configs, self.seeds = tuple(configs), tuple(seeds)
        self.batch_size = configs[0].batch_size
        self.weights = svag_weights(svag)
        self.drawn = self.batch_size * len(self.weights)
        self.warmup_steps = np.array([float(config.warmup_steps or 0) for config in configs])
        self.schedule = CONSTANT
        self.share_of_a_step = 0.0
        self.copied = 1  # of each model, one behind the other: see ``copies``
        self.paces: list[Pace | None] = [None] * len(configs)  # of models whose lr follows more than the schedule
        self.taken = 0  # steps of this stream
        self.lr_factor = torch.ones(len(configs), 1, dtype=torch.float64, device=device)  # of the step that is being made
        clips = _clip_norms(configs)
        self.clip_norm = torch.tensor(clips, device=device).unsqueeze(1) if min(clips) < math.inf else None
        self.clipped = torch.zeros(len(configs), device=device)  # steps since share_clipped, and how many there were
        self.since = 0
        self.update_rms: Tensor | None = None  # [M], of the last step that was watched
        self.loss_scale = LossScale(len(configs), device) if self.network.scaled else None
        self.executor = choose(self.network, configs[0].optimizer, device)(self.network, device)
        starts = {seed: (self.network.initial(seed), self.network.buffers(seed)) for seed in dict.fromkeys(seeds)}
        self._adopt(torch.stack([starts[seed][0] for seed in seeds]).to(device))
        self.buffers = self._stacked([starts[seed][1] for seed in seeds])
        self.frozen = self._frozen()
        self.optimizer = make_optimizer(configs, self.flat, self._group_of())

    def _adopt(self, flat: Tensor) -> None:
        """Take ``flat`` [M, P] as the parameters and cut it into the network's pieces."""
        self.flat, self.views = flat, self._pieces(flat)
        self.executor.forget()

    def _pieces(self, flat: Tensor) -> dict[str, Tensor]:
        pieces, start = {}, 0
        for name, parameter in self.network.parameters().items():
            size = math.prod(parameter.shape)
            pieces[name] = flat[:, start : start + size].view(-1, *parameter.shape).detach().requires_grad_()
            start += size
        return pieces

    def _group_of(self) -> Tensor | None:
        """Of each parameter [P] the number of its group in the configurations, 0 for none; None where these have no groups."""
        numbers = {group.name: i for i, group in enumerate(self.configs[0].groups, 1)}
        sizes = [(numbers.get(self.network.groups.get(name, ""), 0), view[0].numel()) for name, view in self.views.items()]
        return torch.cat([torch.full((size,), i, device=self.device) for i, size in sizes]) if numbers else None

    def _stacked(self, models: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
        return {name: torch.stack([held[name] for held in models]).to(self.device) for name in models[0]}

    def _frozen(self) -> dict[str, Tensor]:
        """What nothing changes, [M, *shape]: the same memory for all models where it does not depend on their seeds."""
        first = self.network.frozen(self.seeds[0])
        others = sorted(set(self.seeds) - {self.seeds[0]}) if first else []
        if all(torch.equal(held, first[name]) for seed in others for name, held in self.network.frozen(seed).items()):
            return _shared(self._stacked([first]), len(self))
        return self._stacked([self.network.frozen(seed) for seed in self.seeds])

    def _frozen_of(self, models: Tensor) -> dict[str, Tensor]:
        """What nothing changes, of some models; still in one place where it was."""
        shared = all(held.stride(0) == 0 for held in self.frozen.values())
        return _shared(self.frozen, len(models)) if shared else {name: held[models] for name, held in self.frozen.items()}

    def __len__(self) -> int:
        return len(self.flat)

    def rows(self, start: int, end: int) -> dict[str, Tensor]:
        """The parameters of some models, in place."""
        return {name: view[start:end].detach().requires_grad_() for name, view in self.views.items()}

    @property
    def held(self) -> dict[str, Tensor]:
        """What models hold beside their parameters: buffers, and what is frozen."""
        return {**self.buffers, **self.frozen}

    @property
    def state(self) -> list[Tensor]:
        """Every tensor that a step changes."""
        return [self.flat, *self.buffers.values(), *self.optimizer.state.values(), self.optimizer.steps, self.clipped]

    def follow(self, schedule: Schedule, share_of_a_step: float) -> None:
        """Let the learning rate of every model follow a schedule; each step is that share of the run."""
        self.schedule, self.share_of_a_step = schedule, share_of_a_step

    def lr_factors(self, count: int) -> np.ndarray:
        """What multiplies the learning rates in the next steps, [count, M].

        Linear warm-up, whose first step of n already moves by lr / n, times schedule and pace in the middle of each step.
        """
        steps = self.taken + np.arange(1.0, count + 1)
        factors: np.ndarray = np.minimum(1.0, steps[:, None] / np.maximum(self.warmup_steps, 1.0))
        if self.schedule != CONSTANT:
            factors *= [[self.schedule.factor(min(1.0, (step - 0.5) * self.share_of_a_step))] for step in steps.tolist()]
        for model, pace in enumerate(self.paces):
            if pace is not None:
                factors[:, model] *= pace((steps - 0.5) * self.batch_size)
        return factors

    def retune(self, configs: Sequence[TrainingConfig], paces: Sequence[Pace | None]) -> None:
        """Go on with other hyperparameters; paces: what multiplies a learning rate over the samples seen, None for nothing."""
        self.configs, self.paces = tuple(configs), list(paces)
        self.optimizer.adopt(configs)
        if self.clip_norm is not None:
            self.clip_norm.copy_(torch.tensor(_clip_norms(configs)).unsqueeze(1))

    def chance(self, step: int) -> Chance:
        """Of a training pass, so many steps after those that were taken."""
        return Chance(self.stream, self.seeds, (self.taken + step) * self.drawn)

    def branch_from(self, parent: Population, kappa: float, excess: Sequence[float] | None = None) -> None:
        """Start every model from the parent's first one, its optimizer state moved to this batch size.

        excess: for each model, as ``move_to_batch`` takes it; left out: noise dominates.
        """
        rows = torch.zeros(len(self), dtype=torch.long, device=self.device)
        with torch.no_grad():
            self.flat.copy_(parent.flat[:1].to(self.device))
            for name, held in self.buffers.items():
                held.copy_(parent.buffers[name][:1].to(self.device))
        self.frozen = _shared({name: held.to(self.device) for name, held in parent.frozen.items()}, len(self))
        self.optimizer.take(parent.optimizer, rows)
        if self.loss_scale and parent.loss_scale:
            self.loss_scale.take(parent.loss_scale, rows)
        self.executor.forget()
        kappas = torch.full((len(self), 1), kappa, dtype=torch.float64, device=self.device)
        self.optimizer.move_to_batch(kappas, 1.0 if excess is None else kappas.new_tensor(excess).view(-1, 1))
        self.warmup_steps[:] = 0  # the warm start has already warmed up

    def alone(self, rows: Sequence[int]) -> Population:
        """A copy of some models and their optimizer's state as a population of its own."""
        chosen = torch.tensor(rows, device=self.device)
        twin = Population(self.task, [self.configs[row] for row in rows], [self.seeds[row] for row in rows], self.device,
                          size=self.size, stream=self.stream)
        with torch.no_grad():
            twin.flat.copy_(self.flat[chosen])
            for name, held in twin.buffers.items():
                held.copy_(self.buffers[name][chosen])
        twin.frozen = self._frozen_of(chosen)
        twin.optimizer.take(self.optimizer, chosen)
        if twin.loss_scale and self.loss_scale:
            twin.loss_scale.take(self.loss_scale, chosen)
        return twin

    def copies(self, count: int, models: slice = slice(None)) -> Population:
        """Some models, each so many times, of which nothing but gradients is asked; their chance is that before a first step.

        Copies of one model lie in one place.
        """
        twin = copy.copy(self)
        twin.configs, twin.seeds = self.configs[models], self.seeds[models]
        twin.copied, twin.taken = count, 0
        twin.flat = _repeated(self.flat[models], count)
        twin.views = self._pieces(twin.flat)
        twin.buffers = {name: _repeated(held[models], count) for name, held in self.buffers.items()}
        chosen = torch.arange(len(self), device=self.device)[models]
        twin.frozen = self._frozen_of(chosen.repeat_interleave(count))
        if self.loss_scale:
            twin.loss_scale = LossScale(len(twin.seeds), self.device)
            twin.loss_scale.take(self.loss_scale, chosen)
        return twin

    def gradients_of_parts(self, batch: Batch, parts: int, place: int = 0) -> Iterator[Tensor]:
        """Gradients [M, P] of every model on each of so many equal parts of batch [M, parts * b, ...], all from one pass.

        place: of the first part among the batches that are measured now.
        """
        if parts == 1:
            yield self.gradients(batch, place=place)[1]
            return
        twin = self.copies(parts)
        twin.taken = self.taken
        pieces = batch.map(lambda x: x.reshape(len(self) * parts, x.shape[1] // parts, *x.shape[2:]))
        yield from twin.gradients(pieces, place=place)[1].view(len(self), parts, -1).unbind(1)

    def gradients(self, batch: Batch, weights: Sequence[float] = (1.0,), place: int = 0) -> tuple[Tensor, Tensor]:
        """Losses [M] and gradients [M, P] of every model on batch [M, B, ...], which leave no trace in it; see ``Executor``.

        place: of the batch among those that are measured now; its random numbers depend on it.
        """
        samples = batch.count(1)
        chance = Chance(f"{self.stream}, measured after {self.taken} steps", self.seeds, place * samples, self.copied, samples)

        def once() -> tuple[Tensor, Tensor]:
            buffers = {name: held.clone() for name, held in self.buffers.items()}
            return self.executor.gradients(self, batch, weights, chance, buffers)

        return self.loss_scale.lowered(once) if self.loss_scale else once()

    def advance(self, samples: Batch, reads: Tensor, count: int, watch: bool = False) -> Tensor:
        """``count`` steps on samples [streams, count * drawn, ...]; the largest loss of each, [M]; see ``Executor``."""
        worst = self.executor.advance(self, samples, reads, self.lr_factors(count), watch)
        self.since += count
        self.taken += count
        return worst

    def expect(self, samples: Batch, reads: Tensor) -> None:
        """Tell a network that loads its samples that the next steps are on samples [streams, n, ...]."""
        here, size, streams = samples.map(Tensor.cpu), self.task.micro or self.batch_size, dict.fromkeys(reads.tolist())
        self.network.expect(here.cut(stream, slice(first, first + size)).inputs
                            for step in range(0, here.count(1), self.drawn) for stream in streams
                            for first in range(step, step + self.drawn, size))

    def step(self, batch: Batch, watch: bool = False) -> Tensor:
        """One optimizer step of every model on batch [M, drawn, ...]; returns the losses [M] before it."""
        return self.advance(batch, torch.arange(len(self), device=self.device), 1, watch)

    def share_clipped(self) -> Tensor | None:
        """Share of clipped steps of each model [M] since the last call; None where nothing clips or no step was made."""
        if self.clip_norm is None or not self.since:
            return None
        share = self.clipped / self.since
        self.since = 0
        self.clipped.zero_()
        return share

    def snapshot(self) -> dict[str, Any]:
        """What training has changed since the population was made, beside the models that were dropped."""
        return {"flat": self.flat, "buffers": self.buffers, "optimizer": self.optimizer.state, "steps": self.optimizer.steps,
                "clipped": self.clipped, "since": self.since, "taken": self.taken, "update_rms": self.update_rms,
                "loss_scale": self.loss_scale.snapshot() if self.loss_scale else None}

    def restore(self, snapshot: Mapping[str, Any]) -> None:
        """Go on from what a population of the same models had come to."""
        pairs = [(self.flat, snapshot["flat"]), (self.optimizer.steps, snapshot["steps"]), (self.clipped, snapshot["clipped"])]
        for mine, kept in ((self.buffers, snapshot["buffers"]), (self.optimizer.state, snapshot["optimizer"])):
            pairs += [(value, kept[name]) for name, value in mine.items()]
        with torch.no_grad():
            for value, other in pairs:
                value.copy_(other)
        self.since, self.taken = snapshot["since"], snapshot["taken"]
        if self.loss_scale:
            self.loss_scale.restore(snapshot["loss_scale"])
        last = snapshot["update_rms"]
        self.update_rms = None if last is None else last.to(self.device)

    def keep(self, rows: Sequence[int]) -> None:
        """Drop all models but ``rows``, for example the ones that have not diverged."""
        chosen = torch.tensor(rows, dtype=torch.long, device=self.device)
        self.configs, self.seeds = tuple(self.configs[row] for row in rows), tuple(self.seeds[row] for row in rows)
        self.paces = [self.paces[row] for row in rows]
        self._adopt(self.flat[chosen].clone())
        self.buffers = {name: x[chosen] for name, x in self.buffers.items()}
        self.frozen = self._frozen_of(chosen)
        self.warmup_steps, self.lr_factor = self.warmup_steps[rows], self.lr_factor[chosen]
        self.clip_norm = None if self.clip_norm is None else self.clip_norm[chosen]
        self.clipped = self.clipped[chosen]
        self.update_rms = None if self.update_rms is None else self.update_rms[chosen]
        self.optimizer.keep(chosen)
        if self.loss_scale:
            self.loss_scale.keep(chosen)


def _shared(stack: Mapping[str, Tensor], models: int) -> dict[str, Tensor]:
    """What the first model of a stack holds, for so many models in one place."""
    return {name: held[:1].expand(models, *held.shape[1:]) for name, held in stack.items()}


def _repeated(stack: Tensor, count: int) -> Tensor:
    """Every model of a stack [M, ...] so many times, its copies one after another."""
    return stack.unsqueeze(1).expand(-1, count, *stack.shape[1:]).flatten(0, 1)


def _clip_norms(configs: Sequence[TrainingConfig]) -> list[float]:
    return [config.run.get("clip_norm", math.inf) for config in configs]
