"""What came out of a calibration, in numbers: means, spreads and paired differences with their intervals.

Descriptive only: that curves match is for the verdict to say, because no difference found is no match shown.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import pandas as pd
from scipy import stats

END_SHARE = 0.1  # the end value of a run is its mean over the last tenth of the samples
CONFIDENCE = 0.95


@dataclass(frozen=True)
class ArmSummary:
    """End values of one arm over its seeds, and its difference to base on the same seeds.

    mean, std: over the ``n`` seeds that ended with finite values (std is NaN for one seed);
    difference: mean over seeds of (this arm - base), NaN for base itself; half_width: of its 95 %
    t interval (infinite where there are fewer than two pairs); pairs: seeds that have both.
    """

    arm: str
    metric: str
    mean: float
    std: float
    n: int
    difference: float
    half_width: float
    pairs: int

    @property
    def apart(self) -> bool:
        """True when the 95 % interval of the paired difference excludes zero."""
        return self.pairs > 1 and abs(self.difference) > self.half_width


def end_values(curves: pd.DataFrame, metric: str) -> pd.DataFrame:
    """End value of every run: rows are seeds, columns arms, NaN where a run has none.

    curves: columns arm, seed, metric, samples, value. Averaging over the last tenth of the samples
    takes out the noise of single evaluations [our choice, the same for every arm].
    """
    chosen = curves[curves["metric"] == metric]
    if chosen.empty:
        return pd.DataFrame()
    last = chosen.groupby("arm")["samples"].transform("max")
    ends = chosen[chosen["samples"] >= (1 - END_SHARE) * last]
    # A NaN there is a run that diverged: it has no end value.
    return ends.pivot_table(index="seed", columns="arm", values="value", aggfunc=_mean_with_nan, dropna=False)


def _mean_with_nan(values: pd.Series) -> float:
    return float(values.mean(skipna=False))


def summarise(curves: pd.DataFrame, metric: str, base: str = "base") -> dict[str, ArmSummary]:
    """ArmSummary by arm, from the curves of a calibration (columns arm, seed, metric, samples, value).

    base: the arm that every other one is held against.
    """
    ends = end_values(curves, metric)
    summaries = {}
    for arm in dict.fromkeys(curves["arm"]):  # in the order of the plan
        if arm not in ends:
            continue
        values = _finite(ends[arm])
        paired = _finite(ends[arm] - ends[base]) if arm != base and base in ends else pd.Series(dtype=float)
        half_width = math.inf
        if len(paired) > 1:
            half_width = stats.t.ppf((1 + CONFIDENCE) / 2, len(paired) - 1) * paired.std() / math.sqrt(len(paired))
        summaries[arm] = ArmSummary(
            arm=arm, metric=metric, mean=values.mean(), std=values.std(), n=len(values),
            difference=paired.mean() if len(paired) else math.nan, half_width=float(half_width), pairs=len(paired))
    return summaries


def _finite(values: pd.Series) -> pd.Series:
    return values[values.map(math.isfinite)]
