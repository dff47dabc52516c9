"""signSGD in one dimension without chance: its law on the lattice x0 + sqrt(h) Z, step by step, and the law of its SDE.

The SDE's is that of Euler and Maruyama's scheme by quadrature (every transition is a normal density), with Richardson's
extrapolation over three steps, so that both expectations are known to many digits.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from .experiment import BEGIN, Experiment
from .problems import Array

REACH = 8.0  # of the grid on either side of 0
POINTS = 1601
LEAST = 1e-15  # probability that counts
STEPS = (1 / 128, 1 / 64, 1 / 32)  # of Euler and Maruyama
RICHARDSON = (8 / 3, -2.0, 1 / 3)  # what takes the terms of order dt and dt^2 away


@dataclass(frozen=True)
class Weights:
    """A distribution on points: x [n], probabilities [n]; those of an extrapolation may be slightly below 0."""

    x: Array
    probabilities: Array

    def mean(self, values: Array) -> float:
        """Of a function's values at x."""
        return float(values @ self.probabilities)

    def quantiles(self, levels: Sequence[float]) -> Array:
        """Between the points in proportion, so that a lattice gives no stairs."""
        held = self.probabilities > LEAST
        p = self.probabilities[held]
        return np.asarray(np.interp(levels, np.cumsum(p) - p / 2, self.x[held]))


def discrete(made: Experiment, h: float) -> Iterator[Weights]:
    """The law of signSGD with step h at every checkpoint."""
    _, case, law = made.parts
    width = made.constants(h).lr * math.sqrt(h)
    last = round((made.checkpoints[-1] - BEGIN) / h)
    x = case.START[0] + width * np.arange(-last, last + 1)
    oracle = case.oracle(x[None], np.zeros((1, 1)))
    up = law.distribution().cdf(-math.sqrt(h) * oracle.gradient[0] / (case.NOISE * np.sqrt(oracle.variance[0])))  # of y < 0
    p = np.zeros(len(x))
    p[last] = 1.0
    stops = {round((time - BEGIN) / h) for time in made.checkpoints}
    for k in range(last + 1):
        if k in stops:
            yield Weights(x, p)
        moved = np.zeros(len(x))
        moved[1:] += (p * up)[:-1]
        moved[:-1] += (p * (1 - up))[1:]
        p = moved


def limit(made: Experiment) -> Iterator[Weights]:
    """The law of the SDE at every checkpoint."""
    for parts in zip(*(_euler(made, dt) for dt in STEPS), strict=True):
        yield Weights(parts[0].x, sum(weight * part.probabilities for weight, part in zip(RICHARDSON, parts, strict=True)))


def _euler(made: Experiment, dt: float) -> Iterator[Weights]:
    _, case, _ = made.parts
    x = np.linspace(-REACH, REACH, POINTS)

    def density(start: Array) -> Array:
        oracle = case.oracle(start[None], np.zeros((1, 1)))
        drift = -2 * made.limit.density * oracle.gradient[0] / (case.NOISE * np.sqrt(oracle.variance[0]))
        distance = (x[:, None] - start - dt * drift) / math.sqrt(dt)
        return np.asarray((x[1] - x[0]) / math.sqrt(2 * math.pi * dt) * np.exp(-0.5 * distance**2))

    yield Weights(x, np.eye(POINTS)[np.argmin(np.abs(x - case.START[0]))])
    matrix, p = density(x), density(np.array(case.START))[:, 0]
    between = round((made.checkpoints[1] - made.checkpoints[0]) / dt)
    for k in range(1, round((made.checkpoints[-1] - BEGIN) / dt) + 1):
        if k > 1:
            p = matrix @ p
        if k % between == 0:
            yield Weights(x, p)
