"""What came out of a calibration, in numbers: means, spreads and paired differences with their intervals.

Descriptive only: that curves match is for the verdict to say, because no difference found is no match shown.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from .pairing import at_end, pair, runs_of

CONFIDENCE = 0.95


@dataclass(frozen=True)
class ArmSummary:
    """End values of one arm over its seeds, and its difference to base on the same seeds.

    mean, std: over the ``n`` seeds that ended with finite values (std is NaN for one seed); samples: where the arm's curve
    stops, less than planned in a run that was cancelled; difference: mean over seeds of (this arm - base) at the end of the
    range that both have, NaN for base itself; half_width: of its 95 % t interval (infinite where there are fewer than two
    pairs); pairs: seeds that have both.
    """

    arm: str
    metric: str
    mean: float
    std: float
    n: int
    samples: int
    difference: float
    half_width: float
    pairs: int

    @property
    def apart(self) -> bool:
        """True when the 95 % interval of the paired difference excludes zero."""
        return self.pairs > 1 and abs(self.difference) > self.half_width


def end_values(curves: pd.DataFrame, metric: str) -> pd.DataFrame:
    """End value of every run, its mean over the last tenth of its arm's samples: rows are seeds, columns arms, NaN without one.

    curves: columns arm, seed, metric, samples, value. The mean takes out the noise of single evaluations [our choice, the same
    for every arm]; a run that diverged, or is not as far as the others of its arm, has no end value.
    """
    ends = {}
    for arm in dict.fromkeys(curves["arm"][curves["metric"] == metric]):
        runs = runs_of(curves, metric, arm)
        last = runs.loc[:, at_end(runs.columns.to_numpy(float))].replace(math.inf, math.nan)
        ends[arm] = last.mean(axis=1, skipna=False)
    return pd.DataFrame(ends)


def summarise(curves: pd.DataFrame, metric: str, base: str = "base") -> dict[str, ArmSummary]:
    """ArmSummary by arm, from the curves of a calibration (columns arm, seed, metric, samples, value).

    base: the arm that every other one is held against.
    """
    every_end = end_values(curves, metric)
    if every_end.empty:
        return {}
    summaries = {}
    base_runs = runs_of(curves, metric, base)
    for arm, ends in every_end.items():  # in the order of the plan
        values, runs = ends.dropna(), runs_of(curves, metric, str(arm))
        differences = np.empty(0) if arm == base else pair(base_runs, runs).differences.get("end", np.empty(0))
        pairs, half_width = len(differences), math.inf
        if pairs > 1:
            half_width = stats.t.ppf((1 + CONFIDENCE) / 2, pairs - 1) * differences.std(ddof=1) / math.sqrt(pairs)
        summaries[str(arm)] = ArmSummary(
            arm=str(arm), metric=metric, mean=values.mean(), std=values.std(), n=len(values), samples=int(runs.columns.max()),
            difference=float(differences.mean()) if pairs else math.nan, half_width=float(half_width), pairs=pairs)
    return summaries
