"""The increments that all of one experiment shares: a Brownian path, a noise law on it, and a path of stable jumps."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np

from .laws import Noise
from .problems import Array

REACH, CELLS = 8.0, 4096  # the table of quantiles goes from -REACH to REACH in that many cells
FINE = 16  # points a cell by which the table is standardised

Draw = Callable[[tuple[int, int]], Array]
Shape = Callable[[Array, float], Array]


def draw_increments(random: np.random.Generator, law: Noise, dt: float) -> Draw:
    """Increments over dt of the path: Brownian, or of the stable Levy process."""
    if law.is_stable:
        alpha = law.parameter
        return lambda size: dt ** (1 / alpha) * stable(random, alpha, size)
    return lambda size: np.sqrt(dt) * random.standard_normal(size)


def stable(random: np.random.Generator, alpha: float, size: tuple[int, ...]) -> Array:
    """Symmetric alpha-stable numbers of scale 1 [Chambers, Mallows & Stuck 1976]."""
    angle = random.uniform(-np.pi / 2, np.pi / 2, size)
    wait = random.exponential(size=size)
    return np.asarray(np.sin(alpha * angle) / np.cos(angle) ** (1 / alpha)
                      * (np.cos((1 - alpha) * angle) / wait) ** ((1 - alpha) / alpha))


def shape(law: Noise) -> Shape:
    """Turns Brownian increments over h into sqrt(h) z with z of that law, one and the same increasing function everywhere."""
    if law.is_stable or law.name == "gauss":
        return lambda increments, h: increments
    table = quantiles(law)
    differences = np.diff(table)

    def shaped(increments: Array, h: float) -> Array:
        place = increments * (CELLS / (2 * REACH) / np.sqrt(h)) + CELLS / 2
        cell = np.clip(place.astype(np.intp), 0, CELLS - 1)
        return np.asarray(np.sqrt(h) * (table[cell] + (place - cell) * differences[cell]))

    return shaped


@cache
def quantiles(law: Noise) -> Array:
    """F^-1(Phi(w)) at CELLS + 1 points w, so that its interpolation has mean 0 and variance 1 exactly under the normal law."""
    from scipy import stats

    normal, distribution = stats.norm, law.distribution()
    w = np.linspace(-REACH, REACH, CELLS + 1)
    table = np.where(w <= 0, distribution.ppf(normal.cdf(w)), distribution.isf(normal.sf(w)))
    points = np.linspace(-REACH, REACH, CELLS * FINE + 1)
    values, weights = np.interp(points, w, table), normal.pdf(points)
    weights /= weights.sum()
    mean = values @ weights
    return np.asarray((table - mean) / np.sqrt((values - mean) ** 2 @ weights))
