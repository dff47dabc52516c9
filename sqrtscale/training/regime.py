"""The regime a run is in, measured beside its training: signal and noise of the gradient, and what the optimizer holds.

Unbiased two-batch estimator [McCandlish et al. 2018, arXiv 1812.06162, appendix A], from k micro-batches of b samples and
their mean, a batch of k b: with g_i the micro-batch gradients and g their mean,

    tr(Sigma) = b (sum |g_i|^2 - k |g|^2) / (k - 1),        |G|^2 = |g|^2 - tr(Sigma) / (k b).

The noise scale is a ratio of their averages, never an average of ratios, so both are given out and neither is divided.
Names and meanings: ``sqrtscale.diagnostics.REGIME``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence

import torch
from torch import Tensor

from ..diagnostics.tails import hill, not_normal, on_one_scale, stable_index
from ..plan import complete_points
from ..tasks import Batch, Data
from .curvature import Meter
from .population import Population
from .streams import Stream

MICRO = 16  # samples of one micro-batch, where the task has no size of its own
SHARE = 0.08  # of a run's samples that may be spent on measuring it
SHARES = (0, 1 / 4, 1 / 2, 3 / 4, 1)  # of a run, at which it is measured
EARLY = (1 / 32, 1 / 16, 1 / 8)  # of a run that others follow: from scratch the noise scale grows from 3 to 70 within a quarter
LEAST, MOST = 8, 64  # micro-batches of one measurement
TAILS_OF = ("base", "scaled")  # arms whose run of the plan's first seed has its tails looked at, at start and end
TAILS_LEAST, TAILS_MOST = 32, 256  # micro-batches for that
COORDINATES, PROJECTIONS = 128, 20  # of every layer
FEWEST = 8  # coordinates of a layer that must be left


def times(points: Sequence[int], followed: bool = False) -> tuple[int, ...]:
    """Those of the evaluation points at which the regime is measured: first, last, and some between.

    followed: of runs that others follow: wherever every metric is measured as well.
    """
    shares = SHARES + EARLY * followed
    chosen = {min(points, key=lambda point: abs(point - share * points[-1])) for share in shares}
    return tuple(sorted(chosen.union(complete_points(points) if followed else ())))


class Probe:
    """Measures a population at its times, on micro-batches from streams of its own, so that training does not notice.

    One stream per seed, the same in every arm; points: where the population is evaluated, the last at the end of its budget,
    from which follows how many micro-batches a measurement may take; first: the plan's first seed; micro: samples of a
    micro-batch; followed: as for ``times``. What is measured of a run depends on the runs beside it by that alone, so that
    stored runs can stand for new ones.
    """

    def __init__(self, data: Data, seeds: Sequence[int], points: Sequence[int], first: int, micro: int | None = None,
                 followed: bool = False):
        self.micro = micro or MICRO
        self.streams = [Stream(data, seed, "regime") for seed in seeds]
        self.tail_streams = [Stream(data, seed, "tails") for seed in seeds]
        self.first = first
        self.times = times(points, followed)
        affordable = int(SHARE * points[-1] / (max(len(self.times), 1) * self.micro))
        self.count = min(MOST, max(LEAST, affordable))
        self.curvature = Meter(data, self.times, first, micro)
        self.tail_count = min(TAILS_MOST, max(TAILS_LEAST, 4 * affordable))

    def batches(self, streams: Sequence[Stream], reads: Tensor, count: int) -> Iterator[Batch]:
        """``count`` fresh micro-batches [M, micro, ...]; model i reads stream ``reads[i]``."""
        for _ in range(count):
            taken = Batch.joined([stream.take(self.micro) for stream in streams], torch.stack)
            yield taken.cut(reads)

    def measure(self, population: Population, runs: Sequence[tuple[str, int]], reads: Tensor, samples: int
                ) -> list[dict[str, float]]:
        """The diagnostics of every run (arm, seed) by name; empty where ``samples`` seen is not one of the times."""
        if samples not in self.times:
            return [{} for _ in runs]
        measured = measure(population, self.batches(self.streams, reads, self.count))
        values = [{name: float(value[i]) for name, value in measured.items()} | curved
                  for i, curved in enumerate(self.curvature.measure(population, runs, samples))]
        if samples in (self.times[0], self.times[-1]):
            for i, (arm, seed) in enumerate(runs):
                if arm in TAILS_OF and seed == self.first:
                    values[i] |= tails(population.alone(i), self.batches(self.tail_streams, reads[i : i + 1], self.tail_count))
        return values


class _Moments:
    """Sums over micro-batch gradients [M, P], without keeping them."""

    def __init__(self) -> None:
        self.count = 0
        self.total = self.squares = torch.zeros(())

    def add(self, gradients: Tensor) -> None:
        square = _square_norm(gradients)
        self.total, self.squares = (self.total + gradients, self.squares + square) if self.count else (gradients, square)
        self.count += 1

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
    A coordinate that is rarely touched, such as a rare byte's embedding, has a small v_hat between two touches and can
    then make up nearly all of the preconditioned noise: those two numbers scatter where inputs are sparse.
    """
    moments, preconditioned, size = _Moments(), _Moments(), 0
    denominator = population.optimizer.denominator()
    for batch in batches:
        size = batch.count(1)
        _, gradients = population.gradients(batch, place=moments.count)
        moments.add(gradients)
        if denominator is not None:
            preconditioned.add(gradients / denominator)
    values = dict(zip(("signal", "noise"), moments.signal_and_noise(size), strict=True))
    if denominator is not None:
        values |= zip(("signal_pre", "noise_pre"), preconditioned.signal_and_noise(size), strict=True)
    return values


def optimizer_state(population: Population) -> dict[str, Tensor]:
    """What the optimizers hold and last did: name -> [M]; without what is not there before a first step."""
    optimizer, values = population.optimizer, {}
    second, eps_share, clipped = optimizer.second_moment_hat(), optimizer.eps_share(), population.share_clipped()
    if second is not None:
        values["second_moment"] = second.mean(1)
    if eps_share is not None:
        values["eps_share"] = eps_share.mean(1)
    if population.update_rms is not None:
        values["update_rms"] = population.update_rms
    return values if clipped is None else values | {"clipped": clipped}


def measure(population: Population, batches: Iterable[Batch]) -> dict[str, Tensor]:
    """Every number of ``REGIME`` that can be measured now, for every model, on the CPU: name -> [M]."""
    values = gradient_noise(population, batches) | optimizer_state(population)
    return {name: value.cpu() for name, value in values.items()}


def tails(population: Population, batches: Iterable[Batch]) -> dict[str, float]:
    """How heavy the tails of one model's gradient noise are, for every weight matrix: names of ``TAILS`` with the layer's.

    Samples are differences of two micro-batch gradients: symmetric, and without the mean, which need not be estimated then.
    The indices read up to COORDINATES random coordinates of a layer, each on its own scale; normality reads random
    projections of the whole layer. A layer that few of its coordinates' micro-batches touch has no index.
    """
    shapes = {name: p.shape for name, p in population.network.parameters().items()}
    generator = torch.Generator().manual_seed(0)
    layers, start = {}, 0
    for name, shape in shapes.items():
        size = math.prod(shape)
        if len(shape) > 1:
            chosen = torch.randperm(size, generator=generator)[:COORDINATES].to(population.device)
            layers[name] = (start, size, chosen, torch.randn(size, PROJECTIONS, generator=generator).to(population.device))
        start += size
    coordinates: dict[str, list[Tensor]] = {name: [] for name in layers}
    projections: dict[str, list[Tensor]] = {name: [] for name in layers}
    gradients = (population.gradients(batch, place=i)[1][0] for i, batch in enumerate(batches))
    for first, second in zip(gradients, gradients, strict=False):  # the same iterator twice: pairs
        difference = first - second
        for name, (at, size, chosen, directions) in layers.items():
            piece = difference[at : at + size]
            coordinates[name].append(piece[chosen])
            projections[name].append(piece @ directions)
    values = {}
    for name in layers:
        values[f"normality/{name}"] = not_normal(torch.stack(projections[name]).double().cpu().numpy())
        scaled = on_one_scale(torch.stack(coordinates[name]).double().cpu().numpy())
        if scaled.shape[1] >= FEWEST:
            for index, estimate in (("tail", stable_index(scaled)), ("hill", hill(scaled))):
                values |= {f"{index}/{name}": estimate.alpha, f"{index}_error/{name}": estimate.error}
    return values
