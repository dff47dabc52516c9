"""The regime a run is in, measured beside its training: signal and noise of the gradient, and what the optimizer holds.

Unbiased two-batch estimator [McCandlish et al. 2018, arXiv 1812.06162, appendix A], from k micro-batches of b samples and
their mean, a batch of k b: with g_i the micro-batch gradients and g their mean,

    tr(Sigma) = b (sum |g_i|^2 - k |g|^2) / (k - 1),        |G|^2 = |g|^2 - tr(Sigma) / (k b).

The noise scale is a ratio of their averages, never an average of ratios, so both are given out and neither is divided.
Names and meanings: ``sqrtscale.diagnostics.REGIME``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence

import torch
from torch import Tensor

from ..diagnostics.tails import hill, not_normal, on_one_scale, skewness, stable_index, touched
from ..points import complete_points
from ..tasks import Batch, Data, Parameter
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
DIRECTED = 2**14  # coordinates of a layer that have directions of their own
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
        self.seeds = list(seeds)
        self.streams = [Stream(data, seed, "regime") for seed in seeds]
        self.tail_streams = [Stream(data, seed, "tails") for seed in seeds]
        self.first = first
        self.times = times(points, followed)
        affordable = int(SHARE * points[-1] / (max(len(self.times), 1) * self.micro))
        self.count = min(MOST, max(LEAST, affordable))
        self.curvature = Meter(data, self.times, first, micro)
        self.tail_count = min(TAILS_MOST, max(TAILS_LEAST, 4 * affordable))

    @property
    def every_stream(self) -> list[Stream]:
        """Every stream that it draws from, and that a measurement moves."""
        return [*self.streams, *self.tail_streams]

    def gradients(self, population: Population, streams: Sequence[Stream], reads: Tensor, count: int) -> Iterator[Tensor]:
        """Gradients [M, P] on ``count`` fresh micro-batches; model i reads stream ``reads[i]``."""
        at_once = population.executor.batches_at_once(population)
        for first in range(0, count, at_once):
            parts = min(at_once, count - first)
            taken = Batch.joined([stream.take(parts * self.micro) for stream in streams], torch.stack)
            yield from population.gradients_of_parts(taken.cut(reads), parts, first)

    def measure(self, population: Population, runs: Sequence[tuple[str, int]], reads: Tensor, samples: int
                ) -> list[dict[str, float]]:
        """The diagnostics of every run (arm, seed) by name; empty where ``samples`` seen is not one of the times."""
        if samples not in self.times:
            return [{} for _ in runs]
        measured = measure(population, self.gradients(population, self.streams, reads, self.count), self.micro)
        values = [{name: float(value[i]) for name, value in measured.items()} | curved
                  for i, curved in enumerate(self.curvature.measure(population, runs, samples))]
        if samples in (self.times[0], self.times[-1]):
            for i, (arm, seed) in enumerate(runs):
                if arm in TAILS_OF and seed == self.first:
                    alone, own = population.copies(1, slice(i, i + 1)), self.tail_streams[self.seeds.index(seed)]
                    rows = self.gradients(alone, [own], torch.zeros_like(reads[:1]), self.tail_count)
                    values[i] |= tails(population.network.parameters(), (row[0] for row in rows))
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


def gradient_noise(population: Population, gradients: Iterable[Tensor], size: int) -> dict[str, Tensor]:
    """signal and noise of every model, and in the metric of the preconditioner once it has one: name -> [M].

    gradients: [M, P] of at least two independent batches of ``size`` samples. Of the loss alone: no weight decay, no clipping.
    A coordinate that is rarely touched, such as a rare byte's embedding, has a small v_hat between two touches and can
    then make up nearly all of the preconditioned noise: those two numbers scatter where inputs are sparse.
    """
    moments, preconditioned = _Moments(), _Moments()
    denominator = population.optimizer.denominator()
    for rows in gradients:
        moments.add(rows)
        if denominator is not None:
            preconditioned.add(rows / denominator)
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
    if population.loss_scale:
        values["skipped"] = population.loss_scale.take_skipped()
    return values if clipped is None else values | {"clipped": clipped}


def measure(population: Population, gradients: Iterable[Tensor], size: int) -> dict[str, Tensor]:
    """Every number of ``REGIME`` that can be measured now, for every model, on the CPU: name -> [M]."""
    values = gradient_noise(population, gradients, size) | optimizer_state(population)
    return {name: value.cpu() for name, value in values.items()}


class _Layer:
    """What is read of one layer's gradient noise: some of its coordinates, and random projections of all of them.

    A layer of more than DIRECTED coordinates is cut into blocks, whose directions differ by random signs alone: their memory
    has a bound, and every direction is still random and reads every coordinate.
    """

    def __init__(self, size: int, generator: torch.Generator, device: torch.device):
        self.chosen = torch.randperm(size, generator=generator)[:COORDINATES].clone().to(device)  # not all of it is kept
        self.block, self.signs = min(size, DIRECTED), None
        self.directions = torch.randn(self.block, PROJECTIONS, generator=generator).to(device)
        if size > DIRECTED:
            signs = torch.randint(2, (-(-size // DIRECTED), PROJECTIONS), generator=generator)
            self.signs = (2.0 * signs - 1).to(device)
        self.coordinates: list[Tensor] = []
        self.projections: list[Tensor] = []

    def read(self, first: Tensor, second: Tensor) -> None:
        """Two draws of the layer's gradient, [size] each: coordinates of both, projections of their difference."""
        noise = first - second
        self.coordinates += first[self.chosen], second[self.chosen]
        self.projections.append(noise @ self.directions if self.signs is None else self._by_blocks(noise, self.signs))

    def _by_blocks(self, noise: Tensor, signs: Tensor) -> Tensor:
        whole = len(noise) // self.block
        blocks = noise[: whole * self.block].view(whole, self.block) @ self.directions
        projection = (blocks * signs[:whole]).sum(0)
        rest = noise[whole * self.block :]
        return projection + (rest @ self.directions[: len(rest)]) * signs[-1] if len(rest) else projection

    def measured(self) -> dict[str, float]:
        """Names of ``TAILS``: what was read. No index and no skewness where few coordinates had noise in every pair."""
        draws = torch.stack(self.coordinates)
        differences = (draws[::2] - draws[1::2]).double().cpu().numpy()
        values = {"normality": not_normal(torch.stack(self.projections).double().cpu().numpy())}
        chosen = touched(differences)
        if chosen.sum() >= FEWEST:
            scaled, skewed = on_one_scale(differences), skewness(draws.double().cpu().numpy()[:, chosen])
            values |= {"skewness_squared": skewed.squared, "skewness_squared_error": skewed.error}
            for name, index in (("tail", stable_index(scaled)), ("hill", hill(scaled))):
                values |= {name: index.alpha, f"{name}_error": index.error}
        return values


def tails(shapes: Mapping[str, Parameter], gradients: Iterable[Tensor]) -> dict[str, float]:
    """Tails and skewness of one model's gradient noise, for every weight matrix: names of ``TAILS`` with the layer's.

    shapes: of its parameters; gradients: [P] of independent micro-batches. Samples are differences of two of them: symmetric, and
    without the mean, which need not be estimated then; skewness alone reads the micro-batches themselves. Indices and skewness
    read up to COORDINATES random coordinates of a layer, each on its own scale; normality reads random projections of the whole
    layer. Nothing is held of a gradient beyond that, and no gradient longer than needed.
    """
    generator = torch.Generator().manual_seed(0)
    layers: dict[str, _Layer] = {}
    remaining = iter(gradients)
    for first in remaining:
        second = next(remaining, None)
        if second is None:
            break
        start = 0
        for name, parameter in shapes.items():
            size = math.prod(parameter.shape)
            if len(parameter.shape) > 1:
                if name not in layers:
                    layers[name] = _Layer(size, generator, first.device)
                layers[name].read(first[start : start + size], second[start : start + size])
            start += size
        del first, second
    return {f"{value}/{name}": number for name, layer in layers.items() for value, number in layer.measured().items()}
