"""Paired differences against a margin: two one-sided t-tests for "within it", the mirrored test for "beyond it".

n differences with mean d, standard deviation s and standard error e = s / sqrt(n); T has n - 1 degrees of freedom; m is the
margin and delta the true difference.

- within: |delta| >= m is rejected by two one-sided tests (Schuirmann 1987), p = P(T > (m - |d|) / e), at ``level``. It is
  the same as saying that the interval with confidence 1 - 2 level lies between -m and m.
- beyond: |delta| <= m is rejected, p = 2 P(T > (|d| - m) / e). With m = 0 it is the common two-sided t-test.

A margin that holds a standard deviation r, estimated from the n seeds, may be too small by chance: curves that lie apart by the
margin of many seeds would be called "differs" in 27%. So sqrt(e^2 + r^2 / (2 (n - 1))) stands for e in the test for beyond, with
the standard error of r to first order in 1 / n [our choice; limits of a sum from those of its parts, Zou & Donner 2008, were
wrong in under 1% and told only half of the controls]. The rates that come out stand in docs/error_rates.md.

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
from .pairing import FunctionalName

POWER = 0.8
MOST_PAIRS = 1000  # no plan for more seeds than this is worth a number
SPREADS_EVERY = 10  # of these quantiles for a spread that is estimated besides
GRID = (np.arange(400) + 0.5) / 400  # quantiles over which power is averaged


@dataclass(frozen=True)
class Functional:
    """One number per run (say, the end value), compared between an arm and base over ``pairs`` seeds.

    difference: mean of arm - base; low, high: its t interval with confidence 1 - 2 ``level`` (infinite for one pair);
    sd: standard deviation of the paired differences (NaN for one pair); p_within, p_beyond: as in this module, p_beyond
    corrected for the family of functionals; level: what they are held against.
    """

    name: FunctionalName
    difference: float
    low: float
    high: float
    level: float
    sd: float
    pairs: int
    p_within: float
    p_beyond: float

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


def compare(name: FunctionalName, differences: np.ndarray, margin: float, level: float, spread: float = 0.0) -> Functional:
    """The tests of one functional: differences [pairs], all finite; p_beyond is not yet corrected.

    spread: the standard deviation that is part of the margin where it was estimated from as many seeds, else 0.
    """
    n = len(differences)
    d = float(np.mean(differences)) if n else math.nan
    if n < 2:
        return Functional(name, d, -math.inf, math.inf, level, math.nan, n, 1.0, 1.0)
    s = float(np.std(differences, ddof=1))
    e = s / math.sqrt(n)
    half = float(stats.t.isf(level, n - 1)) * e
    return Functional(name, d, d - half, d + half, level, s, n, p_within=_p_greater(margin - abs(d), e, n),
                      p_beyond=min(1.0, 2 * _p_greater(abs(d) - margin, math.hypot(e, spread / math.sqrt(2 * (n - 1))), n)))


def _p_greater(distance: float, error: float, n: int) -> float:
    """P(T > distance / error); differences that are all equal leave no doubt on which side they are."""
    if error == 0:
        return 0.0 if distance > 0 else 1.0
    return float(stats.t.sf(distance / error, n - 1))


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
    largest = np.maximum(margin - stats.t.isf(level, n - 1) * _errors(n, sd), 0)  # mean that is still shown within
    e = sd / math.sqrt(n)
    return float(np.mean(stats.norm.cdf((largest - delta) / e) - stats.norm.cdf((-largest - delta) / e)))


def power_beyond(n: int, delta: float, sd: float, margin: float, level: float, spread: float = 0.0) -> float:
    """P(n pairs show a difference beyond the margin), two-sided at ``level``.

    spread: as for :func:`compare`, its true value, which n seeds then estimate.
    """
    shown = spread * math.sqrt(n) * _unit_errors(n)[SPREADS_EVERY // 2::SPREADS_EVERY, None]  # the spreads that n seeds may show
    error = np.hypot(_errors(n, sd), shown / math.sqrt(2 * (n - 1)))
    smallest = margin - spread + shown + stats.t.isf(level / 2, n - 1) * error  # mean that is shown beyond
    e = sd / math.sqrt(n)
    return float(np.mean(stats.norm.sf((smallest - delta) / e) + stats.norm.cdf((-smallest - delta) / e)))


def _errors(n: int, sd: float) -> np.ndarray:
    """Standard errors that n pairs may show, at the quantiles of GRID."""
    return sd * _unit_errors(n)


@lru_cache(maxsize=2000)
def _unit_errors(n: int) -> np.ndarray:
    return np.sqrt(stats.chi2.ppf(GRID, n - 1) / ((n - 1) * n))


def pairs_needed(functionals: Sequence[Functional], margin: float, alpha: float, spread: float = 0.0) -> int | None:
    """Fewest pairs that decide with power 0.8, taking the measured means and spreads as true; None beyond MOST_PAIRS.

    Where every mean lies within the margin, enough to show each within it; else enough to show one beyond it. spread: as for
    :func:`power_beyond`.
    """
    if all(abs(functional.difference) < margin for functional in functionals):
        counts = [_fewest(partial(power_within, delta=functional.difference, sd=functional.sd, margin=margin, level=alpha))
                  for functional in functionals]
        known = [count for count in counts if count is not None]
        return max(known) if len(known) == len(counts) else None
    level = alpha / len(functionals)
    counts = [_fewest(partial(power_beyond, delta=functional.difference, sd=functional.sd, margin=margin, level=level,
                              spread=spread)) for functional in functionals if abs(functional.difference) > margin]
    return min((count for count in counts if count is not None), default=None)


def _fewest(power: Callable[[int], float]) -> int | None:
    """Smallest n >= 2 with ``power(n)`` of at least POWER; power grows with n."""
    n = 2 + bisect_left(range(2, MOST_PAIRS + 1), POWER, key=power)
    return n if n <= MOST_PAIRS else None
