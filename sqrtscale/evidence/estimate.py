"""A difference of means and how well runs know it: of runs that are paired by seed, or of two arms whose runs share nothing.

Paired, the n differences are one sample with standard deviation s: the standard error is s / sqrt(n), with n - 1 degrees of
freedom. Runs of two arms that share neither seed nor data order are two samples, which may scatter differently (the noise of
training depends on the batch), so with v = s^2 / n of either arm the standard error is Welch's (1947), sqrt(v_arm + v_base), and
the degrees of freedom are Satterthwaite's (1946):

    f = (v_arm + v_base)^2 / (v_arm^2 / (n_arm - 1) + v_base^2 / (n_base - 1))

f takes estimated variances for true ones, so a single test may be wrong somewhat too often where the arm with fewer runs scatters
more; what comes out for whole verdicts stands in docs/error_rates.md.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np
from scipy import stats


@dataclass(frozen=True)
class Estimate:
    """A difference of means: a number each, or one for every point of the curves [points].

    sds, runs: standard deviation and number of the paired differences (one of each), or of the arm's runs and of base's (two).
    """

    difference: np.ndarray
    sds: tuple[np.ndarray, ...]
    runs: tuple[int, ...]

    def half_width(self, level: float) -> np.ndarray:
        """Of the t interval with confidence 1 - 2 ``level``; infinite where one run says nothing of its spread."""
        if min(self.runs) < 2:
            return np.full_like(self.difference, math.inf)
        half: np.ndarray = stats.t.isf(level, freedom(self.sds, self.runs)) * standard_error(self.sds, self.runs)
        return half


def estimate(values: np.ndarray, base: np.ndarray | None = None) -> Estimate:
    """From values of runs [runs] or [runs, points]: paired differences, or those of an arm and those of ``base``."""
    samples = (values,) if base is None else (values, base)
    means = [sample.mean(0) if len(sample) else np.full(sample.shape[1:], math.nan) for sample in samples]
    sds = tuple(sample.std(0, ddof=1) if len(sample) > 1 else np.full(sample.shape[1:], math.nan) for sample in samples)
    return Estimate(reduce(np.subtract, means), sds, tuple(len(sample) for sample in samples))


def standard_error(sds: Sequence[np.ndarray | float], runs: Sequence[int]) -> np.ndarray:
    """Of the difference, with at least two runs in each sample."""
    return np.asarray(reduce(np.hypot, _errors(sds, runs)))


def freedom(sds: Sequence[np.ndarray | float], runs: Sequence[int]) -> np.ndarray:
    """Degrees of freedom of the t tests and intervals: Satterthwaite's; n - 1 of paired differences."""
    errors, error = _errors(sds, runs), standard_error(sds, runs)
    if len(runs) == 1:
        return np.full_like(error, runs[0] - 1)
    shares = [np.divide(own, error, out=np.full_like(error, math.sqrt(0.5)), where=error > 0) ** 2 for own in errors]
    return np.asarray(1 / sum(share**2 / (n - 1) for share, n in zip(shares, runs, strict=True)))


def _errors(sds: Sequence[np.ndarray | float], runs: Sequence[int]) -> list[np.ndarray]:
    return [np.asarray(sd) / math.sqrt(n) for sd, n in zip(sds, runs, strict=True)]
