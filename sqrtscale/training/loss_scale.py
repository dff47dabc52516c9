"""Losses in float16 are scaled before the backward pass, so that small gradients are not 0: one scale for each model.

As torch.amp.GradScaler does it [Micikevicius et al. 2018, arXiv 1710.03740, section 3.2]: a step whose gradient overflows is
left out and halves the scale, INTERVAL steps without one double it. A scale that grows leaves steps out by itself, so that arms
begin below the one at their branch point, and theirs grow no more.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

START, INTERVAL = 2.0**16, 2000
BELOW = 4  # an arm's scale under that of its branch point, for batches with larger gradients than the last ones


class LossScale:
    """scale: of every model [M]; since: steps since it changed; skipped: steps that were left out since ``take_skipped``;
    grows: whether steps without an overflow count."""

    def __init__(self, models: int, device: torch.device):
        self.scale = torch.full((models,), START, device=device)
        self.grows = True
        self.since, self.skipped = (torch.zeros(models, dtype=torch.long, device=device) for _ in range(2))

    def skips(self, gradients: Tensor) -> Tensor:
        """Which models leave this step out, their indices; moves the scales. gradients [M, P], unscaled."""
        over = ~gradients.isfinite().all(1)
        self.since = torch.where(over, 0, self.since + self.grows)
        grown = self.since == INTERVAL
        self.since[grown] = 0
        self.scale = torch.where(over, self.scale / 2, torch.where(grown, self.scale * 2, self.scale))
        self.skipped += over
        return over.nonzero().flatten()

    def take_skipped(self) -> Tensor:
        """Steps of each model [M] that were left out since the last call."""
        skipped, self.skipped = self.skipped, torch.zeros_like(self.skipped)
        return skipped

    def lowered(self, gradients: Callable[[], tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
        """Losses and gradients that only measure: at scales that are halved until nothing overflows, and are as before then."""
        before = self.scale
        while True:
            losses, found = gradients()
            over = ~found.isfinite().all(1) & (self.scale > 1)
            if not over.any():
                self.scale = before
                return losses, found
            self.scale = torch.where(over, self.scale / 2, self.scale)

    def take(self, source: LossScale, rows: Tensor) -> None:
        """Begin below the scales of ``source``'s models, and grow no more."""
        here = self.scale.device
        self.scale, self.grows = (source.scale.to(here)[rows] / BELOW).clamp(min=1), False
        self.since, self.skipped = (torch.zeros(len(rows), dtype=torch.long, device=here) for _ in range(2))

    def keep(self, rows: Tensor) -> None:
        """Drop all models but these."""
        self.scale, self.since, self.skipped = self.scale[rows], self.since[rows], self.skipped[rows]

    def snapshot(self) -> dict[str, Any]:
        """All of it."""
        return {"scale": self.scale, "since": self.since, "skipped": self.skipped}

    def restore(self, snapshot: dict[str, Any]) -> None:
        """What ``snapshot`` gave."""
        here = self.scale.device
        self.scale, self.since, self.skipped = (snapshot[name].to(here) for name in ("scale", "since", "skipped"))
