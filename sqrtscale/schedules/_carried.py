"""The schedule that a training configuration carries, as one of a calibration."""

from __future__ import annotations

from ..rules import FieldError, TrainingConfig
from ..rules.clock import warmup_length
from ._schedule import Schedule
from .kinds import Constant, Cosine, InverseSqrt, Linear, Milestones, WarmupStableDecay


def schedule_of(config: TrainingConfig) -> Schedule | None:
    """The schedule that a configuration carries, in shares of its run after the warm-up; None for none, or one of no kind here.

    A setting that the configuration does not decide takes the kind's default. inverse-sqrt is in shares of the whole run, with
    its warm-up, as a calibration from scratch walks it: after a warm start the same function begins anew.
    """
    try:
        return _carried(config)
    except FieldError:  # a learning rate that rises, for example
        return None


def _carried(config: TrainingConfig) -> Schedule | None:
    """``schedule_of``, or FieldError where the configuration's settings are none that the kind can have."""
    run, total = config.run, config.total_steps or 0
    warmup = warmup_length(config) if total else 0.0
    after, final = total - warmup, run.get("min_lr", 0.0) / config["lr"]
    match run.get("schedule"):
        case "constant":
            return Constant()
        case "cosine":
            return Cosine(final)
        case "linear":
            return Linear(final)
        case "wsd":
            decay = run["decay_steps"] / after if after and "decay_steps" in run else WarmupStableDecay.decay
            if not decay:
                return Constant()
            return WarmupStableDecay(decay, final=final) if decay < 1 else Linear(final)
        case "inverse-sqrt":
            return InverseSqrt(warmup / total) if warmup else InverseSqrt()
        case "milestones":
            shares = Milestones.shares
            if after and "milestones" in run:
                shares = tuple((step - warmup) / after for step in run["milestones"] if warmup < step < total)
            return Milestones(shares, run.get("milestone_factor", Milestones.gamma))
    return None
