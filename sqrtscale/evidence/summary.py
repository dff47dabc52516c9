"""What came out of a calibration, in numbers: means, spreads and differences with their intervals.

Descriptive only: that curves match is for the verdict to say, because no difference found is no match shown.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import pandas as pd

from .estimate import estimate
from .pairing import at_end, contrast, runs_of, whole_runs

LEVEL = 0.025  # of either side of a 95 % interval


@dataclass(frozen=True)
class ArmSummary:
    """End values of one arm over its seeds, and its difference to base on the same seeds, or on all where they are not paired.

    mean, std: over the ``n`` seeds that ended with finite values (std is NaN for one seed); samples: where the arm's curve
    stops, less than planned in a run that was cancelled; difference: of the means, this arm - base, at the end of the range
    that both have, NaN for base itself; half_width: of its 95 % t interval (infinite where there are fewer than two pairs);
    pairs: seeds that have both, or runs of the arm that has fewer.
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
        """True when the 95 % interval of the difference excludes zero."""
        return self.pairs > 1 and abs(self.difference) > self.half_width


def end_values(curves: pd.DataFrame, metric: str, paired: bool = True) -> pd.DataFrame:
    """End value of every run, its mean over the last tenth of its arm's samples: rows are seeds, columns arms, NaN without one.

    curves: columns arm, seed, metric, samples, value. The mean takes out the noise of single evaluations [our choice, the same
    for every arm]; a run that diverged, or is not as far as the others of its arm (not paired: does not reach the last tenth, as
    in a verdict), has no end value.
    """
    ends = {}
    for arm in dict.fromkeys(curves["arm"][curves["metric"] == metric]):
        runs = runs_of(curves, metric, arm) if paired else whole_runs(runs_of(curves, metric, arm))[0]
        last = runs.loc[:, at_end(runs.columns.to_numpy(float))].replace(math.inf, math.nan)
        ends[arm] = last.mean(axis=1, skipna=False)
    return pd.DataFrame(ends)


def summarise(curves: pd.DataFrame, metric: str, base: str = "base", paired: bool = True) -> dict[str, ArmSummary]:
    """ArmSummary by arm, from the curves of a calibration (columns arm, seed, metric, samples, value).

    base: the arm that every other one is held against; paired: by seed.
    """
    every_end = end_values(curves, metric, paired)
    if not len(every_end.columns):
        return {}
    summaries = {}
    base_runs = runs_of(curves, metric, base)
    for arm, ends in every_end.items():  # in the order of the plan
        values, runs = ends.dropna(), runs_of(curves, metric, str(arm))
        difference, half_width, pairs = math.nan, math.inf, 0
        if arm != base and (end := contrast(base_runs, runs, paired).functionals.get("end")):
            shown = estimate(*end)
            difference, half_width, pairs = float(shown.difference), float(shown.half_width(LEVEL)), min(shown.runs)
        summaries[str(arm)] = ArmSummary(
            arm=str(arm), metric=metric, mean=values.mean(), std=values.std(), n=len(values), samples=int(runs.columns.max()),
            difference=difference, half_width=half_width, pairs=pairs)
    return summaries
