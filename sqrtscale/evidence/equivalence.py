"""Differences against a margin: two one-sided t-tests for "within it", the mirrored test for "beyond it".

A mean difference d with standard error e and the degrees of freedom of T, of n paired runs or by Welch (estimate.py); m is the
margin and delta the true difference.

- within: |delta| >= m is rejected by two one-sided tests (Schuirmann 1987), p = P(T > (m - |d|) / e), at ``level``. It is
  the same as saying that the interval with confidence 1 - 2 level lies between -m and m.
- beyond: |delta| <= m is rejected, p = 2 P(T > (|d| - m) / e). With m = 0 it is the common two-sided t-test.

A margin that holds a standard deviation r, estimated from the n seeds (or base runs), may be too small by chance: curves that lie
apart by the margin of many seeds would be called "differs" in 27%. So sqrt(e^2 + r^2 / (2 (n - 1))) stands for e in the test for
beyond, with the standard error of r to first order in 1 / n, and at most n - 1 degrees of freedom [our choice; limits of a sum
from those of its parts, Zou & Donner 2008, were wrong in under 1% and told only half of the controls]. The rates that come out
stand in docs/error_rates.md.

Both cannot hold at once, and neither holds where the interval straddles the margin.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial

import numpy as np
from scipy import stats

from ..rules import FieldError
from ..rules.errors import real
from .estimate import estimate, freedom, standard_error
from .pairing import FunctionalName

POWER = 0.8
MOST_PAIRS = 1000  # no plan for more seeds than this is worth a number
SPREADS_EVERY = 10  # of these quantiles for a spread that is estimated besides
GRID = (np.arange(400) + 0.5) / 400  # quantiles over which power is averaged


@dataclass(frozen=True)
class Functional:
    """One number per run (say, the end value), compared between an arm and base.

    difference: of the means, arm - base; low, high: its t interval with confidence 1 - 2 ``level`` (infinite where one run says
    nothing of the spread); sds, runs: standard deviation and number of the paired differences, or of the arm's runs and of base's
    (NaN for one run); p_within, p_beyond: as in this module, p_beyond corrected for the family of functionals; level: what they
    are held against.
    """

    name: FunctionalName
    difference: float
    low: float
    high: float
    level: float
    sds: tuple[float, ...]
    runs: tuple[int, ...]
    p_within: float
    p_beyond: float

    @property
    def sd(self) -> float:
        """Standard deviation of the difference between a run of the arm and one of base."""
        return math.hypot(*self.sds)

    @property
    def pairs(self) -> int:
        """Seeds that both arms have; where runs are not paired, how many the arm with fewer has."""
        return min(self.runs)

    @property
    def within(self) -> bool:
        """Shown to lie within the margin."""
        return self.p_within <= self.level

    @property
    def beyond(self) -> bool:
        """Shown to lie beyond the margin."""
        return self.p_beyond <= self.level


def confidence(level: float) -> str:
    """Of the intervals that belong to tests at that level, in words: ``90%`` at 0.05."""
    return f"{100 * (1 - 2 * level):.3g}%"


def rate(field: str, value: object) -> float:
    """``value`` as an error rate; raises FieldError."""
    allowed = "is not an error rate: give a number between 0 and 0.5, for example 0.05"
    share = real(field, value, allowed)
    if not 0 < share < 0.5:
        raise FieldError(field, value, allowed)
    return share


def compare(name: FunctionalName, values: np.ndarray, margin: float, level: float, spread: float = 0.0,
            base: np.ndarray | None = None) -> Functional:
    """The tests of one functional, all values finite; p_beyond is not yet corrected.

    values: paired differences [pairs], or those of the arm's runs [runs] where ``base`` has those of base's; spread: the standard
    deviation that is part of the margin where it was estimated from the base runs among them, else 0.
    """
    shown = estimate(values, base)
    d, runs = float(shown.difference), shown.runs
    if min(runs) < 2:
        return Functional(name, d, -math.inf, math.inf, level, (math.nan,) * len(runs), runs, 1.0, 1.0)
    half = float(shown.half_width(level))
    e, dof = float(standard_error(shown.sds, runs)), float(freedom(shown.sds, runs))
    beyond = _p_greater(abs(d) - margin, math.hypot(e, _spread_error(spread, runs[-1])), _dof_beyond(dof, spread, runs[-1]))
    return Functional(name, d, d - half, d + half, level, tuple(map(float, shown.sds)), runs,
                      p_within=_p_greater(margin - abs(d), e, dof), p_beyond=min(1.0, 2 * beyond))


def _spread_error(spread: float, n: int) -> float:
    """Standard error of a standard deviation that n runs have shown."""
    return spread / math.sqrt(2 * (n - 1))


def _dof_beyond(dof: float, spread: float, n: int) -> float:
    """Degrees of freedom of the test for beyond: the spread of an estimated margin has those of the n base runs."""
    return min(dof, n - 1) if spread else dof


def _p_greater(distance: float, error: float, dof: float) -> float:
    """P(T > distance / error); runs that are all equal leave no doubt on which side they are."""
    if error == 0:
        return 0.0 if distance > 0 else 1.0
    return float(stats.t.sf(distance / error, dof))


def holm(functionals: Sequence[Functional]) -> tuple[Functional, ...]:
    """The family with p_beyond corrected by Holm (1979): any below a level is wrong with at most that probability."""
    count = len(functionals)
    order = sorted(range(count), key=lambda i: functionals[i].p_beyond)
    corrected, largest = [0.0] * count, 0.0
    for rank, i in enumerate(order):
        largest = max(largest, min(1.0, (count - rank) * functionals[i].p_beyond))
        corrected[i] = largest
    return tuple(replace(functional, p_beyond=p) for functional, p in zip(functionals, corrected, strict=True))


def power_within(n: int, delta: float, sd: float, margin: float, level: float) -> float:
    """P(n pairs show a difference within the margin) when it is ``delta`` and the paired spread is ``sd``.

    Exact for normal differences, by averaging over the distribution of their sample standard deviation.
    """
    return _power_within((sd,), (0,), delta, margin, level, n)


def power_beyond(n: int, delta: float, sd: float, margin: float, level: float, spread: float = 0.0) -> float:
    """P(n pairs show a difference beyond the margin), two-sided at ``level``.

    spread: as for :func:`compare`, its true value, which n seeds then estimate.
    """
    return _power_beyond((sd,), (0,), delta, margin, level, spread, n)


def _power_within(sds: Sequence[float], more: Sequence[int], delta: float, margin: float, level: float, n: int) -> float:
    """As :func:`power_within`, of the paired differences or of two arms, with n + ``more`` runs each.

    The error of two arms is taken to scatter as that of one sample with its degrees of freedom.
    """
    runs = [n + extra for extra in more]
    e, shown = standard_error(sds, runs), _unit_errors(float(freedom(sds, runs)))
    largest = np.maximum(margin - stats.t.isf(level, freedom(sds, runs)) * e * shown, 0)  # mean that is still shown within
    return float(np.mean(stats.norm.cdf((largest - delta) / e) - stats.norm.cdf((-largest - delta) / e)))


def _power_beyond(sds: Sequence[float], more: Sequence[int], delta: float, margin: float, level: float, spread: float,
                  n: int) -> float:
    """As :func:`power_beyond`, of the paired differences or of two arms, with n + ``more`` runs each."""
    runs = [n + extra for extra in more]
    e, shown = standard_error(sds, runs), _unit_errors(float(freedom(sds, runs)))
    spreads = spread * _unit_errors(runs[-1] - 1)[SPREADS_EVERY // 2::SPREADS_EVERY, None]  # those that base may show
    error = np.hypot(e * shown, spreads / math.sqrt(2 * (runs[-1] - 1)))
    dof = _dof_beyond(float(freedom(sds, runs)), spread, runs[-1])
    smallest = margin - spread + spreads + stats.t.isf(level / 2, dof) * error  # mean that is shown beyond
    return float(np.mean(stats.norm.sf((smallest - delta) / e) + stats.norm.cdf((-smallest - delta) / e)))


@lru_cache(maxsize=2000)
def _unit_errors(dof: float) -> np.ndarray:
    """What standard errors may come out, in units of the true one, at the quantiles of GRID."""
    return np.sqrt(stats.chi2.ppf(GRID, dof) / dof)


def pairs_needed(functionals: Sequence[Functional], margin: float, alpha: float, spread: float = 0.0) -> int | None:
    """Fewest pairs that decide with power 0.8, taking the measured means and spreads as true; None beyond MOST_PAIRS.

    Where every mean lies within the margin, enough to show each within it; else enough to show one beyond it. spread: as for
    :func:`power_beyond`. Of arms that are not paired it is the number of runs of the one that has fewer, with as many more of
    the other as it has now.
    """
    within = all(abs(functional.difference) < margin for functional in functionals)
    fewest = []
    for functional in functionals:
        more = tuple(runs - functional.pairs for runs in functional.runs)
        if within:
            power = partial(_power_within, functional.sds, more, functional.difference, margin, alpha)
        elif abs(functional.difference) > margin:
            power = partial(_power_beyond, functional.sds, more, functional.difference, margin, alpha / len(functionals), spread)
        else:
            continue
        fewest.append(_fewest(power))
    known = [n for n in fewest if n is not None]
    if within:
        return max(known) if len(known) == len(fewest) else None
    return min(known, default=None)


def _fewest(power: Callable[[int], float]) -> int | None:
    """Smallest n >= 2 with ``power(n)`` of at least POWER; power grows with n."""
    n = 2 + bisect_left(range(2, MOST_PAIRS + 1), POWER, key=power)
    return n if n <= MOST_PAIRS else None
