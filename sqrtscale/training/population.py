"""A population: M models of one task and one batch size that train together. What they are; an executor takes their steps."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

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
        self.paces: list[Pace | None] = [None] * len(configs)  # of models whose lr follows more than the schedule
        self.taken = 0  # steps of this stream
        self.lr_factor = torch.ones(len(configs), 1, dtype=torch.float64, device=device)  # of the step that is being made
        clips = _clip_norms(configs)
        self.clip_norm = torch.tensor(clips, device=device).unsqueeze(1) if min(clips) < math.inf else None
        self.clipped = torch.zeros(len(configs), device=device)  # steps since share_clipped, and how many there were
        self.since = 0
        self.update_rms: Tensor | None = None  # [M], of the last step that was watched
        self.executor = choose(self.network, configs[0].optimizer, device)(self.network, device)
        self._adopt(torch.stack([self.network.initial(seed) for seed in seeds]).to(device))
        self.buffers = self._stacked([self.network.buffers(seed) for seed in seeds])
        self.frozen = self._stacked([self.network.frozen(seed) for seed in seeds])
        self.optimizer = make_optimizer(configs, self.flat)

    def _adopt(self, flat: Tensor) -> None:
        """Take ``flat`` [M, P] as the parameters and cut it into the network's pieces."""
        self.flat, self.views = flat, {}
        self.executor.forget()
        start = 0
        for name, parameter in self.network.parameters().items():
            size = math.prod(parameter.shape)
            self.views[name] = flat[:, start : start + size].view(-1, *parameter.shape).detach().requires_grad_()
            start += size

    def _stacked(self, models: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
        return {name: torch.stack([held[name] for held in models]).to(self.device) for name in models[0]}

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
            for name, held in self.held.items():
                held.copy_(parent.held[name][:1].to(self.device))
        self.optimizer.take(parent.optimizer, rows)
        self.executor.forget()
        kappas = torch.full((len(self), 1), kappa, dtype=torch.float64, device=self.device)
        self.optimizer.move_to_batch(kappas, 1.0 if excess is None else kappas.new_tensor(excess).view(-1, 1))
        self.warmup_steps[:] = 0  # the warm start has already warmed up

    def alone(self, row: int) -> Population:
        """A copy of one model's weights as a population of its own, with a fresh optimizer."""
        twin = Population(self.task, [self.configs[row]], [self.seeds[row]], self.device, size=self.size, stream=self.stream)
        with torch.no_grad():
            twin.flat.copy_(self.flat[row : row + 1])
            for name, held in twin.held.items():
                held.copy_(self.held[name][row : row + 1])
        return twin

    def gradients(self, batch: Batch, weights: Sequence[float] = (1.0,), place: int = 0) -> tuple[Tensor, Tensor]:
        """Losses [M] and gradients [M, P] of every model on batch [M, B, ...], which leave no trace in it; see ``Executor``.

        place: of the batch among those that are measured now; its random numbers depend on it.
        """
        chance = Chance(f"{self.stream}, measured after {self.taken} steps", self.seeds, place * batch.count(1))
        return self.executor.gradients(self, batch, weights, chance, {name: held.clone() for name, held in self.buffers.items()})

    def advance(self, samples: Batch, reads: Tensor, count: int, watch: bool = False) -> Tensor:
        """``count`` steps on samples [streams, count * drawn, ...]; the largest loss of each, [M]; see ``Executor``."""
        worst = self.executor.advance(self, samples, reads, self.lr_factors(count), watch)
        self.since += count
        self.taken += count
        return worst

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

    def keep(self, rows: Sequence[int]) -> None:
        """Drop all models but ``rows``, for example the ones that have not diverged."""
        chosen = torch.tensor(rows, dtype=torch.long, device=self.device)
        self.configs, self.seeds = tuple(self.configs[row] for row in rows), tuple(self.seeds[row] for row in rows)
        self.paces = [self.paces[row] for row in rows]
        self._adopt(self.flat[chosen].clone())
        self.buffers, self.frozen = ({name: x[chosen] for name, x in held.items()} for held in (self.buffers, self.frozen))
        self.warmup_steps, self.lr_factor = self.warmup_steps[rows], self.lr_factor[chosen]
        self.clip_norm = None if self.clip_norm is None else self.clip_norm[chosen]
        self.clipped = self.clipped[chosen]
        self.update_rms = None if self.update_rms is None else self.update_rms[chosen]
        self.optimizer.keep(chosen)


def _clip_norms(configs: Sequence[TrainingConfig]) -> list[float]:
    return [config.run.get("clip_norm", math.inf) for config in configs]
