"""A population: M models of one task and one batch size that train together. What they are; an executor takes their steps."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from ..arms import svag_weights
from ..rules import TrainingConfig
from ..tasks import SMALLEST, Batch, Task
from .executors import choose
from .executors.eager import losses_of
from .optimizers import make_optimizer


class Population:
    """M models stacked along the first axis, one configuration each, all at one batch size.

    configs: one per model, same family and batch size; seeds: one per model, for initial weights; svag: 0 for ordinary steps,
    l for steps along r1 g1 + r2 g2 of two batches [Malladi et al. 2022], so that a step takes ``drawn`` = 2 B samples.
    size: of the model, one of the task's. Parameters live in one flat tensor [M, P]; ``views`` are its named pieces
    [M, *shape]. Numbers that a step counts up are tensors: a captured step runs no Python.
    """

    def __init__(self, task: Task, configs: Sequence[TrainingConfig], seeds: Sequence[int], device: torch.device,
                 svag: int = 0, size: str = SMALLEST):
        self.task = task
        self.size = size
        self.device = device
        self.network = task.network(size)
        self.configs = tuple(configs)
        self.batch_size = configs[0].batch_size
        self.weights = svag_weights(svag)
        self.drawn = self.batch_size * len(self.weights)
        self.warmup_steps = torch.tensor([[c.warmup_steps or 0] for c in configs], dtype=torch.float64, device=device)
        self.taken = torch.zeros((), dtype=torch.float64, device=device)
        clips = [c.run.get("clip_norm", math.inf) for c in configs]
        self.clip_norm = torch.tensor(clips, device=device).unsqueeze(1) if min(clips) < math.inf else None
        self.clipped = torch.zeros(len(configs), device=device)  # steps since share_clipped, and how many there were
        self.since = 0
        self.update_rms: Tensor | None = None  # [M], of the last step that was watched
        self.executor = choose(self.network, configs[0].optimizer, device)(self.network, device)
        self._adopt(torch.stack([self.network.initial(seed) for seed in seeds]).to(device))
        self.optimizer = make_optimizer(configs, self.flat)

    def _adopt(self, flat: Tensor) -> None:
        """Take ``flat`` [M, P] as the parameters and cut it into the network's pieces."""
        self.flat, self.views = flat, {}
        self.executor.forget()
        start = 0
        for name, p in self.network.parameters().items():
            size = math.prod(p.shape)
            self.views[name] = flat[:, start : start + size].view(-1, *p.shape).detach().requires_grad_()
            start += size

    def __len__(self) -> int:
        return len(self.flat)

    def rows(self, start: int, end: int) -> dict[str, Tensor]:
        """The parameters of some models, in place."""
        return {name: view[start:end].detach().requires_grad_() for name, view in self.views.items()}

    def branch_from(self, parent: Population, kappa: float) -> None:
        """Start every model from the parent's first one, its optimizer state moved to this batch size."""
        rows = torch.zeros(len(self), dtype=torch.long, device=self.device)
        with torch.no_grad():
            self.flat.copy_(parent.flat[:1].to(self.device))
        self.optimizer.take(parent.optimizer, rows)
        self.executor.forget()
        self.optimizer.move_to_batch(torch.full((len(self), 1), kappa, dtype=torch.float64, device=self.device))
        self.warmup_steps.zero_()  # the warm start has already warmed up

    def alone(self, row: int) -> Population:
        """A copy of one model's weights as a population of its own, with a fresh optimizer."""
        twin = Population(self.task, [self.configs[row]], [0], self.device, size=self.size)
        with torch.no_grad():
            twin.flat.copy_(self.flat[row : row + 1])
        return twin

    def losses(self, batch: Batch) -> Tensor:
        """Mean cross-entropy of each model on its own samples, by autograd: batch [M, B, ...] -> [M]."""
        return losses_of(self.network, self.views, batch).flatten()

    def gradients(self, batch: Batch, weights: Sequence[float] = (1.0,)) -> tuple[Tensor, Tensor]:
        """Losses [M] and gradients [M, P] of every model on batch [M, B, ...]; see ``Executor``."""
        return self.executor.gradients(self, batch, weights)

    def advance(self, samples: Batch, reads: Tensor, count: int, watch: bool = False) -> Tensor:
        """``count`` steps on samples [streams, count * drawn, ...]; the largest loss of each, [M]; see ``Executor``."""
        self.since += count
        return self.executor.advance(self, samples, reads, count, watch)

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
        self.configs = tuple(self.configs[row] for row in rows)
        self._adopt(self.flat[chosen].clone())
        self.warmup_steps = self.warmup_steps[chosen]
        self.clip_norm = None if self.clip_norm is None else self.clip_norm[chosen]
        self.clipped = self.clipped[chosen]
        self.update_rms = None if self.update_rms is None else self.update_rms[chosen]
        self.optimizer.keep(chosen)
