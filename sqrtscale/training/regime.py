"""The regime a run is in, measured beside its training: signal and noise of the gradient, and what the optimizer holds.

Unbiased two-batch estimator [McCandlish et al. 2018, arXiv 1812.06162, appendix A], from k micro-batches of b samples and
their mean, a batch of k b: with g_i the micro-batch gradients and g their mean,

    tr(Sigma) = b (sum |g_i|^2 - k |g|^2) / (k - 1),        |G|^2 = |g|^2 - tr(Sigma) / (k b).

The noise scale is a ratio of their averages, never an average of ratios, so both are given out and neither is divided.
Names and meanings: ``sqrtscale.diagnostics.REGIME``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import torch
from torch import Tensor

from ..tasks import Batch, Data
from .population import Population, Stream

MICRO = 16  # samples of one micro-batch
LEAST, MOST = 8, 64  # micro-batches of one measurement
SHARE = 0.08  # of a run's samples that may be spent on measuring it
TIMES = 5  # start, three times during, end


def times(points: Sequence[int]) -> tuple[int, ...]:
    """Those of the evaluation points at which the regime is measured: first, last, and some between."""
    last = len(points) - 1
    return tuple(sorted({points[round(last * i / (TIMES - 1))] for i in range(TIMES)}))


class Probe:
    """Micro-batches for measuring, one stream per seed and none of them trained on, so that training does not notice.

    samples: of one run, from which follows how many micro-batches a measurement takes.
    """

    def __init__(self, data: Data, seeds: Sequence[int], samples: int):
        self.streams = [Stream(data, seed, "regime") for seed in seeds]
        self.count = min(MOST, max(LEAST, int(SHARE * samples / (TIMES * MICRO))))

    def batches(self, reads: Tensor) -> Iterator[Batch]:
        """``count`` fresh micro-batches [M, MICRO, ...]; model i reads stream ``reads[i]``."""
        for _ in range(self.count):
            taken = [stream.take(MICRO) for stream in self.streams]
            yield Batch(torch.stack([x.inputs for x in taken])[reads], torch.stack([x.targets for x in taken])[reads])


class _Moments:
    """Sums over micro-batch gradients [M, P], without keeping them."""

    def __init__(self):
        self.count, self.total, self.squares = 0, 0.0, 0.0

    def add(self, gradients: Tensor) -> None:
        self.count += 1
        self.total = self.total + gradients
        self.squares = self.squares + _square_norm(gradients)

    def signal_and_noise(self, size: int) -> tuple[Tensor, Tensor]:
        """|G|^2 and tr(Sigma) of each model, [M], in double precision."""
        mean = _square_norm(self.total / self.count)
        noise = size * (self.squares - self.count * mean) / (self.count - 1)
        return mean - noise / (self.count * size), noise


def _square_norm(rows: Tensor) -> Tensor:
    return (rows * rows).sum(1, dtype=torch.float64)


def gradient_noise(population: Population, batches: Iterable[Batch]) -> dict[str, Tensor]:
    """signal and noise of every model, and in the metric of the preconditioner once it has one: name -> [M].

    batches: at least two independent ones of one size, [M, b, ...]. Of the loss alone: no weight decay, no clipping.
    """
    plain, scaled, size = _Moments(), _Moments(), 0
    denominator = population.optimizer.denominator()
    for batch in batches:
        size = batch.targets.shape[1]
        _, gradients = population.gradients(batch)
        plain.add(gradients)
        if denominator is not None:
            scaled.add(gradients / denominator)
    found = dict(zip(("signal", "noise"), plain.signal_and_noise(size), strict=True))
    if denominator is not None:
        found |= zip(("signal_pre", "noise_pre"), scaled.signal_and_noise(size), strict=True)
    return found


def optimizer_state(population: Population) -> dict[str, Tensor]:
    """What the optimizers hold and last did: name -> [M]; without what is not there before a first step."""
    optimizer, found = population.optimizer, {}
    second = optimizer.second_moment_hat()
    if second is not None:
        found["second_moment"] = second.mean(1)
        found["eps_share"] = (optimizer.hyper["eps"] / optimizer.denominator()).mean(1)
    if population.update_rms is not None:
        found["update_rms"] = population.update_rms
    clipped = population.share_clipped()
    return found if clipped is None else found | {"clipped": clipped}


def measure(population: Population, batches: Iterable[Batch]) -> dict[str, Tensor]:
    """Every number of ``REGIME`` that can be measured now, for every model, on the CPU: name -> [M]."""
    found = gradient_noise(population, batches) | optimizer_state(population)
    return {name: value.cpu() for name, value in found.items()}
