"""What came out of a calibration, in numbers and in one sentence.

Descriptive only: means, spreads and paired differences with their intervals. It never says that curves
match, because no difference found is no match shown; an equivalence test says that.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd
from scipy import stats

TAIL = 0.1  # the end value of a run is its mean over the last tenth of the samples
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
    tail = chosen[chosen["samples"] >= (1 - TAIL) * last]
    # A NaN in the tail is a run that diverged: it has no end value.
    return tail.pivot_table(index="seed", columns="arm", values="value", aggfunc=_mean_with_nan, dropna=False)


def _mean_with_nan(values: pd.Series) -> float:
    return float(values.mean(skipna=False))


def summarise(curves: pd.DataFrame, metric: str = "val_loss") -> dict[str, ArmSummary]:
    """ArmSummary by arm, from the curves of a calibration (columns arm, seed, metric, samples, value)."""
    ends = end_values(curves, metric)
    found = {}
    for arm in dict.fromkeys(curves["arm"]):  # in the order of the plan
        if arm not in ends:
            continue
        values = _finite(ends[arm])
        paired = _finite(ends[arm] - ends["base"]) if arm != "base" and "base" in ends else pd.Series(dtype=float)
        half_width = math.inf
        if len(paired) > 1:
            half_width = stats.t.ppf((1 + CONFIDENCE) / 2, len(paired) - 1) * paired.std() / math.sqrt(len(paired))
        found[arm] = ArmSummary(
            arm=arm, metric=metric, mean=values.mean(), std=values.std(), n=len(values),
            difference=paired.mean() if len(paired) else math.nan, half_width=float(half_width), pairs=len(paired))
    return found


def _finite(values: pd.Series) -> pd.Series:
    return values[values.map(math.isfinite)]


def describe(summaries: Mapping[str, ArmSummary], unit: str) -> tuple[str, ...]:
    """One honest sentence about the scaled arm, and one about each control; Markdown with the arms in bold."""
    scaled = summaries.get("scaled")
    if "base" not in summaries or scaled is None or not scaled.pairs:
        return ("There are not yet both a base and a scaled run to compare.",)
    controls = [found for found in summaries.values() if found.pairs and found.arm not in ("scaled", "warm start")]
    return tuple(_about(found, unit) for found in (scaled, *controls))


def _about(found: ArmSummary, unit: str) -> str:
    name = f"**{found.arm}**"
    where = "above" if found.difference > 0 else "below"
    size = f"{abs(found.difference):.3g} {unit}"
    seeds = f"{found.pairs} seed" + ("s" if found.pairs > 1 else "")
    if found.pairs < 2:
        return f"{name} ends {size} {where} base on {seeds}: one seed cannot tell a difference from chance."
    interval = f"95% interval {found.difference - found.half_width:+.3g} to {found.difference + found.half_width:+.3g}"
    if found.apart:
        return f"{name} ends {size} {where} base ({interval}, {seeds}): a difference."
    return f"{name} ends {size} {where} base ({interval}, {seeds}): no difference beyond seed noise was seen."
