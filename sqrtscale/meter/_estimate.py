"""Signal and noise of a gradient from squared norms at two batch sizes, and their ratio over time with an interval.

Unbiased two-batch estimator [McCandlish et al. 2018, arXiv 1812.06162, appendix A]: E |g_B|^2 = |G|^2 + tr(Sigma) / B, so that

    |G|^2 = (B |g_B|^2 - b |g_b|^2) / (B - b),        tr(Sigma) = (|g_b|^2 - |g_B|^2) / (1 / b - 1 / B).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch

RESAMPLES = 2000
TAIL = 0.025  # on either side of a 95% interval
FEWEST = 4  # measurements that an interval can be made of


class Estimate(NamedTuple):
    """The noise scale in samples with its 95% interval; high is infinite where no signal can be told from none."""

    value: float
    low: float
    high: float


def signal_and_noise(small: tuple[float, float], large: tuple[float, float]) -> tuple[float, float]:
    """|G|^2 and tr(Sigma) from (batch, squared norm of the mean gradient over it) at two sizes; either may come out below 0.

    Raises ValueError where the sizes do not rise.
    """
    (b, at_small), (size, at_large) = small, large
    if not 0 < b < size:
        raise ValueError(f"the two batches must rise, but are {b:g} and {size:g}: give the smaller one first")
    return (size * at_large - b * at_small) / (size - b), (at_small - at_large) / (1 / b - 1 / size)


def ratio(noise: Sequence[float], signal: Sequence[float]) -> Estimate:
    """sum(noise) / sum(signal) of measurements in their order, with an interval by a moving-block bootstrap [Kuensch 1989].

    Blocks of about n^(1/3) neighbours, because what is measured soon after one another hangs together. A ratio of sums, never an
    average of ratios. Raises ValueError without any measurement.
    """
    if not noise:
        raise ValueError("nothing has been measured yet: train on")
    pairs = torch.tensor([noise, signal], dtype=torch.float64)
    value = _divided(*pairs.sum(1).unsqueeze(1)).item()
    count = pairs.shape[1]
    if count < FEWEST:
        return Estimate(value, 0.0, math.inf)
    block = max(1, round(count ** (1 / 3)))
    generator = torch.Generator().manual_seed(0)
    starts = torch.randint(count - block + 1, (RESAMPLES, -(-count // block)), generator=generator)
    places = (starts.unsqueeze(2) + torch.arange(block)).flatten(1)[:, :count]
    ratios = _divided(*pairs[:, places].sum(2)).sort().values
    return Estimate(value, ratios[int(TAIL * RESAMPLES)].item(), ratios[-int(TAIL * RESAMPLES) - 1].item())


def _divided(noise: torch.Tensor, signal: torch.Tensor) -> torch.Tensor:
    """noise / signal, infinite where no signal was seen, 0 where no noise was."""
    return torch.where(signal > 0, noise.clamp(min=0) / signal, torch.full_like(noise, math.inf))
