"""What the errors of the levels say: the slope, the intercept C0 and the constants C1 and C2, each with its interval.

Errors are arrays [groups, levels]: means of independent groups of chains. Levels share their paths, so they are never taken for
independent: a bootstrap draws whole groups, and the fit of C0 + C1 h + C2 h^2 weighs the levels by their covariance.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

Array = np.ndarray
USED = 4  # smallest steps from which the slope comes
CLEAR = 4.0  # standard errors that an error must have to be a number and no noise
NORMAL = 1.96  # of a 95 % interval
RESAMPLES = 1000
LEAST_MORE = 1.5  # times the chains that were too few
REFUTED = 2.58  # standard errors from 0: 1 in 100 by chance, for several functions are looked at


@dataclass(frozen=True)
class Interval:
    """An estimate with its 95 % interval."""

    value: float
    low: float
    high: float

    @property
    def is_zero(self) -> bool:
        """Whether 0 lies in the interval."""
        return self.low <= 0 <= self.high

    @property
    def is_refuted(self) -> bool:
        """Whether 0 lies so far outside that it is refuted."""
        return abs(self.value) > REFUTED / NORMAL * (self.high - self.value)


def means(errors: Array) -> tuple[Array, Array]:
    """Of every level, with standard errors."""
    return errors.mean(0), errors.std(0, ddof=1) / math.sqrt(len(errors))


def slope(errors: Array, steps: Sequence[float]) -> Interval | None:
    """d log|error| / d log h over the USED smallest steps; None where one is lost in its noise, or where the sign changes."""
    used, logs = errors[:, :USED], np.log(np.array(steps[:USED]))
    mean = used.mean(0)
    if not is_clear(used) or abs(np.sign(mean).sum()) < USED:
        return None
    groups = np.random.default_rng(0).integers(len(used), size=(RESAMPLES, len(used)))
    drawn = _fitted(logs, used[groups].mean(1))
    value = float(_fitted(logs, mean[None])[0])
    spread = NORMAL * float(drawn.std(ddof=1))
    return Interval(value, value - spread, value + spread)


def is_clear(errors: Array) -> bool:
    """Whether the errors of the USED smallest steps all stand out of their noise."""
    mean, error = means(errors[:, :USED])
    return bool((np.abs(mean) > CLEAR * error).all())


def _fitted(logs: Array, errors: Array) -> Array:
    """Least squares of log|errors| [n, levels] on logs [levels]."""
    centred = logs - logs.mean()
    return np.asarray(np.log(np.maximum(np.abs(errors), 1e-300)) @ centred / (centred @ centred))


@dataclass(frozen=True)
class Fit:
    """Coefficients of powers of h with their covariance."""

    powers: tuple[float, ...]
    values: Array
    covariance: Array

    def at(self, i: int) -> Interval:
        """The coefficient of the power at that place."""
        value, spread = float(self.values[i]), NORMAL * math.sqrt(max(float(self.covariance[i, i]), 0.0))
        return Interval(value, value - spread, value + spread)


def fit(errors: Array, steps: Sequence[float], powers: tuple[float, ...]) -> Fit:
    """Generalised least squares of the mean errors on powers of h."""
    mean, _ = means(errors)
    groups, levels = errors.shape
    covariance = np.cov(errors.T) / groups
    covariance += 1e-9 * np.diag(np.diag(covariance)) + np.finfo(float).tiny * np.eye(len(mean))
    rows = np.array(steps)[:, None] ** np.array(powers)
    weights = np.linalg.solve(covariance, rows)
    of_values = np.linalg.inv(rows.T @ weights)
    # The weights are estimated from the same groups, which makes the estimates worse and their formula too sure.
    estimated = ((groups - 1) / (groups - 1 - levels + len(powers))) ** 2
    return Fit(powers, of_values @ (weights.T @ mean), estimated * of_values)


def chains_needed(errors: Array, steps: Sequence[float], power: float, chains: int) -> int | None:
    """How many chains would make the smallest step's error clear; None where the error's constant may be 0."""
    constant = fit(errors, steps, (power, 2 * power)).at(0)
    if constant.is_zero:
        return None
    _, spread = means(errors)
    expected = np.abs(constant.value) * np.array(steps[:USED]) ** power
    factor = float(((CLEAR * spread[:USED] / expected) ** 2).max())
    return round(chains * max(LEAST_MORE, factor))
