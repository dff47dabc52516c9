"""What Adam, AdamW and RMSprop of torch.optim divide a gradient by, read from their state."""

from __future__ import annotations

import torch
from torch import Tensor


def divisor(optimizer: torch.optim.Optimizer, parameter: Tensor) -> Tensor | None:
    """sqrt(v_hat) + eps as Adam, AdamW or RMSprop divide by it; None where that optimizer holds no v for the parameter."""
    second = second_moment(optimizer, parameter)
    if second is None:
        return None
    group = next(group for group in optimizer.param_groups if any(parameter is p for p in group["params"]))
    return second.sqrt() + float(group.get("eps", 0.0))


def second_moment(optimizer: torch.optim.Optimizer, parameter: Tensor) -> Tensor | None:
    """v_hat of a parameter; None before the first step, and where the optimizer holds none."""
    state = optimizer.state.get(parameter, {})
    v: Tensor | None = state.get("exp_avg_sq", state.get("square_avg"))
    if v is None or "exp_avg_sq" not in state:
        return v
    group = next(group for group in optimizer.param_groups if any(parameter is p for p in group["params"]))
    steps = float(state["step"])
    return v / (1 - group["betas"][1] ** steps) if steps > 0 else None
