"""How sharply the loss bends in the metric of the optimizer: the preconditioned sharpness, measured beside training.

The largest eigenvalue of P^-1/2 H P^-1/2, with the Hessian H of the loss on a fixed batch and P = diag(sqrt(v_hat) + eps), what a
gradient is divided by (P = 1 where nothing divides it) [Cohen et al. 2022, arXiv 2207.14484; their P has m's bias correction as
well, which is 1 after the first steps]. v is as a step on that batch would leave it: a weight that nothing has touched yet, of a
rare token, is else divided by eps and outshines everything, though the first step that touches it is no longer. By Lanczos'
three-term recurrence, whose largest Ritz value approaches it from below, with Hessian-vector products from central differences
of gradients, so that whatever executes the steps measures them. What a step can bear stands in ``sqrtscale.rules.stability``.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor

from ..rules.stability import stability_limit
from ..tasks import Batch, Data
from .population import Population
from .streams import Stream

STEPS = 7  # of Lanczos, two gradients each: within 1% on the built-in tasks
RADIUS = 1e-3  # length of a difference's step over that of the weights
SHARE = 0.08  # of a run's samples that may be spent on measuring it: 2 to 4% of a calibration of three seeds, less with more
MEASURED = 2  # times in a run
LEAST, MOST = 64, 512  # samples of the batch: a smaller one has a sharper loss than training as a whole
TINY = 1e-30


def sharpness(population: Population, batch: Batch, steps: int = STEPS, radius: float = RADIUS) -> Tensor | None:
    """The preconditioned sharpness of every model on batch [M, n, ...], [M] in double precision; leaves no trace in them.

    None before the first step of an optimizer that divides gradients: it has nothing yet to divide them by. Of the loss alone,
    without weight decay; a network's random numbers are the same in every pass.
    """
    if population.optimizer.second_moment is not None and population.optimizer.denominator() is None:
        return None
    gradient = population.gradients(batch)[1]
    divisor = divisor_after_a_step(population, gradient)
    # A coordinate that nothing has touched yet, divided by 0, is left out.
    root = torch.where(divisor > 0, divisor.rsqrt(), 0.0)
    product = _Product(population, batch, root, radius)
    # A gradient points along the sharpest directions already; chance is there for one that is 0.
    chance = torch.randn(population.flat.shape[1], generator=torch.Generator().manual_seed(0)).to(population.device)
    gradient = root * gradient
    start = gradient / gradient.norm(dim=1, keepdim=True).clamp(min=TINY) + chance / chance.norm()
    return _largest_ritz_value(product, start, steps)


def divisor_after_a_step(population: Population, gradient: Tensor) -> Tensor:
    """What the optimizers would divide a gradient by once they have seen this one, [M, P]; 1 where nothing does."""
    optimizer = copy.deepcopy(population.optimizer)
    optimizer.step(population.flat.clone(), gradient)
    divisor = optimizer.denominator()
    return torch.ones_like(population.flat) if divisor is None else divisor


def limits(population: Population) -> list[float]:
    """The sharpness that every model's next step bears, at the learning rate that it has then."""
    factors = population.lr_factors(1)[0].tolist()
    return [stability_limit(config, factor) for config, factor in zip(population.configs, factors, strict=True)]


class Meter:
    """Measures the runs of one seed after a quarter of their samples and at their end, on a batch of a stream of its own.

    times: at which runs are measured at all, the last at the end of their budget, from which follows the size of the batch;
    first: the plan's first seed; micro: the samples of a micro-batch, of which the batch is made. A run that cannot afford a
    batch of LEAST is not measured; what is measured of a run does not depend on the runs beside it, on a GPU but for rounding.
    """

    def __init__(self, data: Data, times: Sequence[int], first: int, micro: int | None):
        self.data, self.first = data, first
        last = times[-1] if times else 0
        self.times = {*times[-1:], *sorted(times, key=lambda time: abs(time - last / 4))[:1]}
        affordable = min(MOST, int(SHARE * last / (MEASURED * (2 * STEPS + 1))))
        self.size = affordable - affordable % (micro or 1)

    def chosen(self, runs: Sequence[tuple[str, int]]) -> list[int]:
        """Which of the runs (arm, seed) are measured."""
        return [i for i, (_, seed) in enumerate(runs) if seed == self.first]

    def measure(self, population: Population, runs: Sequence[tuple[str, int]], samples: int) -> list[dict[str, float]]:
        """``sharpness`` and ``sharpness_limit`` of every run (arm, seed) that is measured after so many samples."""
        values: list[dict[str, float]] = [{} for _ in runs]
        chosen = self.chosen(runs)
        if samples not in self.times or self.size < LEAST or not chosen:
            return values
        batch = Stream(self.data, self.first, "curvature").take(self.size)
        bears = limits(population)
        # A GPU waits for launches; on a CPU, where that gains nothing, every number is that of the run alone.
        for rows in [chosen] if population.device.type == "cuda" else [[row] for row in chosen]:
            alone = population.alone(rows)
            measured = sharpness(alone, batch.map(partial(_for_each, models=len(rows))))
            for row, value in zip(rows, () if measured is None else measured.tolist(), strict=False):
                if bears[row] < math.inf:  # not at the end of a schedule that ends at 0
                    values[row] = {"sharpness": value, "sharpness_limit": bears[row]}
        return values


def _for_each(samples: Tensor, models: int) -> Tensor:
    """The same samples [n, ...] for so many models, in one place."""
    return samples.expand(models, *samples.shape)


class _Product:
    """v -> P^-1/2 H P^-1/2 v for every model, rows [M, P]."""

    def __init__(self, population: Population, batch: Batch, root: Tensor, radius: float):
        self.population, self.batch, self.root = population, batch, root
        self.radius = radius * population.flat.norm(dim=1, keepdim=True).clamp(min=1.0)

    def __call__(self, rows: Tensor) -> Tensor:
        direction = self.root * rows
        length = direction.norm(dim=1, keepdim=True)
        size = torch.where(length > 0, self.radius / length, 0.0)
        flat = self.population.flat
        kept = flat.clone()
        try:
            gradients = []
            for sign in (1, -1):
                flat.copy_(kept + sign * size * direction)
                gradients.append(self.population.gradients(self.batch)[1])
        finally:
            flat.copy_(kept)
        return self.root * torch.where(size > 0, (gradients[0] - gradients[1]) / (2 * size), 0.0)


def _largest_ritz_value(product: _Product, start: Tensor, steps: int) -> Tensor:
    """Of a symmetric operator on rows [M, P] after so many steps of Lanczos, [M]; in a space of fewer dimensions, its eigenvalue.

    Rows are not made orthogonal again: that would only copy eigenvalues that have been reached.
    """
    diagonal: list[Tensor] = []
    below: list[Tensor] = []
    before, rows = torch.zeros_like(start), start / start.norm(dim=1, keepdim=True)
    for _ in range(min(steps, start.shape[1])):
        image = product(rows)
        diagonal.append((rows * image).sum(1, dtype=torch.float64))
        image = image - diagonal[-1].to(rows.dtype).unsqueeze(1) * rows
        if below:
            image = image - below[-1].to(rows.dtype).unsqueeze(1) * before
        below.append(image.norm(dim=1).double())
        before, rows = rows, torch.where(below[-1].unsqueeze(1) > 0, image / image.norm(dim=1, keepdim=True), 0.0)
    tridiagonal = torch.diag_embed(torch.stack(diagonal, 1))
    if len(diagonal) > 1:
        beside = torch.stack(below[:-1], 1)
        tridiagonal += torch.diag_embed(beside, 1) + torch.diag_embed(beside, -1)
    finite = torch.isfinite(tridiagonal).flatten(1).all(1)
    values = torch.linalg.eigvalsh(torch.where(finite.view(-1, 1, 1), tridiagonal, 0.0))[:, -1]
    return torch.where(finite, values, torch.nan)
