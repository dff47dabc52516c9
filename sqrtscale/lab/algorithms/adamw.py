"""AdamW: Adam with decoupled weight decay lam0 = lambda / eta, multiplied by the learning rate as in torch.optim."""

from __future__ import annotations

from .adam import flow, start, step

TITLE = "AdamW"
BETAS = 2
DECAY = 0.5

__all__ = ["BETAS", "DECAY", "TITLE", "flow", "start", "step"]
