"""The schedule of lr as a function of the step: both runs of a transfer must walk it at equal samples seen.

k counts the steps already taken, so the first step runs at k = 0, as in torch's LambdaLR. W is the warm-up (``warmup_steps``, or
``warmup_fraction`` of the run), N = ``total_steps``, p = (k - W) / (N - W) the share of the run after it. Everything is a
function of k / W, k / N and the like, so step k of the base and step k / kappa of the scaled run agree, up to the rounding of
lengths.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from typing import Any

from .config import TrainingConfig
from .errors import FieldError, real, whole

ENDS = ("linear", "cosine", "wsd")  # shapes that go down to min_lr at the end of the run


def lr_factor(config: TrainingConfig, step: float) -> float:
    """lr after that many steps, over the configuration's lr.

    constant, or no schedule: 1. linear: 1 - p. cosine: (1 + cos(pi p)) / 2. wsd: 1, then linear over the last ``decay_steps``.
    inverse-sqrt: sqrt(W / k). exponential: gamma_per_step^(k - W). milestones: milestone_factor for each milestone reached.
    The first three go down to min_lr / lr, the last three stop there; all rise as k / W before. Raises FieldError for a shape
    that lacks a length.
    """
    allowed = "is not a step: give a number, 0 or more"
    now = real("step", step, allowed)
    if now < 0:
        raise FieldError("step", step, allowed)
    shape = config.run.get("schedule", "constant")
    warmup = warmup_length(config)
    lowest: float = config.run.get("min_lr", 0.0) / config["lr"]
    if math.isinf(lowest):
        raise FieldError("min_lr", config.run["min_lr"], f"is too far from lr = {config['lr']:g}: give a smaller one")
    if now < warmup:
        return now / warmup
    if shape in ENDS:
        down = _ending(shape, config, now, warmup)
        return lowest + (1 - lowest) * down
    return max(_endless(shape, config, now, warmup), min(lowest, 1.0))


def warmup_length(config: TrainingConfig) -> float:
    """Warm-up in steps: ``warmup_steps`` where there are any, else ``warmup_fraction`` of the run, not rounded."""
    share = config.run.get("warmup_fraction", 0.0)
    return float(config.warmup_steps or (share and share * needed(config, "total_steps", "warmup_fraction")))


def curve(config: TrainingConfig, points: int = 200) -> list[tuple[float, float]]:
    """(samples seen, lr) from the first step to the end of the run, for a chart."""
    points = whole("points", points, 2, 200, 10**6)
    total = needed(config, "total_steps", "curve")
    steps = [total * i / (points - 1) for i in range(points)]
    return [(step * config.batch_size, config["lr"] * lr_factor(config, step)) for step in steps]


def needed(config: TrainingConfig, name: str, reason: str) -> Any:
    """A field of the run without which the schedule has no shape, or FieldError."""
    value = config.of_the_run().get(name)
    if value is None:
        raise FieldError(name, value, f"is not given: {reason} needs it, give a number")
    return value


def _ending(shape: str, config: TrainingConfig, step: float, warmup: float) -> float:
    """From 1 down to 0 at the end of the run, and 0 from there on."""
    total = needed(config, "total_steps", shape)
    begin = max(warmup, total - needed(config, "decay_steps", shape)) if shape == "wsd" else warmup
    if step >= total or step <= begin:
        return float(step < total)
    gone = (step - begin) / (total - begin)
    return (1 + math.cos(math.pi * gone)) / 2 if shape == "cosine" else 1 - gone


def _endless(shape: str, config: TrainingConfig, step: float, warmup: float) -> float:
    """From 1 down, whatever the length of the run."""
    if shape == "inverse-sqrt":
        if not warmup:
            raise FieldError("warmup_steps", config.warmup_steps, "is not enough: inverse-sqrt starts from the end of a warm-up")
        return math.sqrt(warmup / step)
    if shape == "exponential":
        gamma: float = needed(config, "gamma_per_step", shape)
        return float(gamma ** (step - warmup))
    if shape == "milestones":
        milestones: tuple[int, ...] = needed(config, "milestones", shape)
        factor: float = needed(config, "milestone_factor", shape)
        return float(factor ** bisect_right(milestones, step))
    return 1.0
