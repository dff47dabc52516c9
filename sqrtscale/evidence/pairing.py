"""From curves to paired differences: which runs count, and what is compared of each."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from scipy import stats

FunctionalName = Literal["first quarter", "whole curve", "end"]  # declared before any curve is seen
EARLY_SHARE = 0.25
END_SHARE = 0.1  # the end value of a run is its mean over the last tenth of its samples, wherever a verdict is shown
DIFFERENCE_COLUMNS = ["arm", "samples", "difference", "low", "high", "pairs"]
CLEAR = 0.01  # level at which the base curve must rise or fall, for a difference to be read as samples


@dataclass(frozen=True)
class PairedCurves:
    """One arm against base, on the points of the curve that both have.

    course: arm - base, seed by seed [pairs, points]; differences: the functionals of it, [pairs] each; empty without a pair;
    base: curves of the paired base runs [pairs, points]; samples: [points], all above 0; arm_diverged, base_diverged: runs of
    each that ended without a finite value, among ``runs`` seeds that both began; split: seeds on which one of the two diverged
    and the other did not.
    """

    course: np.ndarray
    differences: Mapping[FunctionalName, np.ndarray]
    base: np.ndarray
    samples: np.ndarray
    runs: int
    arm_diverged: int
    base_diverged: int
    split: int

    @property
    def pairs(self) -> int:
        """Seeds on which both arms have a whole curve."""
        return len(self.base)


def runs_of(curves: pd.DataFrame, metric: str, arm: str) -> pd.DataFrame:
    """Curves of one arm: rows are seeds, columns samples; infinite where a run diverged, NaN where it has no point."""
    chosen = curves[(curves["arm"] == arm) & (curves["metric"] == metric)]
    values = chosen["value"].where(np.isfinite(chosen["value"]), math.inf)
    return chosen.assign(value=values).set_index(["seed", "samples"])["value"].unstack()


def pair(base: pd.DataFrame, arm: pd.DataFrame) -> PairedCurves:
    """Pair two arms (as :func:`runs_of` gives them) by seed; runs that are not yet as far as others are left out."""
    seeds = base.index.intersection(arm.index)
    points = base.columns.intersection(arm.columns).sort_values()
    points = points[points.to_numpy() > 0]  # at 0 no step has been made
    base_values, arm_values = (frame.loc[seeds, points].to_numpy() for frame in (base, arm))
    # A diverged run says nothing more after its last point, so its whole curve counts as diverged.
    base_gone, arm_gone = (np.isinf(frame.loc[seeds].to_numpy()).any(axis=1) for frame in (base, arm))
    is_whole = ~(np.isnan(base_values) | np.isnan(arm_values)).any(axis=1)
    paired = is_whole & ~base_gone & ~arm_gone & (len(points) > 0)
    samples = points.to_numpy(float)
    course = arm_values[paired] - base_values[paired]
    differences = functionals(course, samples) if paired.any() else {}
    return PairedCurves(course, differences, base_values[paired], samples, len(seeds), int(arm_gone.sum()), int(base_gone.sum()),
                        int((arm_gone != base_gone).sum()))


def functionals(curves: np.ndarray, samples: np.ndarray) -> dict[FunctionalName, np.ndarray]:
    """One number a run [runs] of each functional: means of its curve over the first quarter, the whole curve, the last tenth.

    curves: [runs, points] at ``samples`` [points].
    """
    last = samples[-1]
    parts: dict[FunctionalName, np.ndarray] = {
        "first quarter": samples <= max(EARLY_SHARE * last, samples[0]),
        "whole curve": samples > 0,
        "end": at_end(samples),
    }
    return {name: curves[:, part].mean(1) for name, part in parts.items()}


def at_end(samples: np.ndarray) -> np.ndarray:
    """Which points [points] of ascending ``samples`` belong to the end: those of the last tenth."""
    last: np.ndarray = samples >= (1 - END_SHARE) * samples[-1]
    return last


def differences_over_samples(curves: pd.DataFrame, metric: str, level: float, base: str = "base") -> pd.DataFrame:
    """The mean of arm - base over paired seeds at every point, with its t interval of confidence 1 - 2 ``level``.

    curves: columns arm, seed, metric, samples, value. Columns of the answer: arm, samples, difference, low, high (NaN for one
    pair), pairs. Pairs and points are those of the verdict, so the mean over the last tenth is its difference at the end; the
    intervals hold point by point, not for a whole curve at once.
    """
    base_runs = runs_of(curves, metric, base)
    tables = []
    for arm in dict.fromkeys(curves["arm"][curves["metric"] == metric]):
        paired = pair(base_runs, runs_of(curves, metric, arm))
        if arm == base or not paired.pairs:
            continue
        mean, n = paired.course.mean(0), paired.pairs
        half = np.full_like(mean, math.nan)
        if n > 1:
            half = stats.t.isf(level, n - 1) * paired.course.std(0, ddof=1) / math.sqrt(n)
        tables.append(pd.DataFrame({"arm": arm, "samples": paired.samples, "difference": mean, "low": mean - half,
                                    "high": mean + half, "pairs": n}))
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=DIFFERENCE_COLUMNS)


def samples_ahead(difference: float, base: np.ndarray, samples: np.ndarray) -> tuple[float | None, str]:
    """By how many samples the arm's end is ahead of base (behind where negative), or None and the reason.

    difference: of the end values; base [runs, points]: its curves. The second half of the base arm's mean curve is taken
    as a line of slope r: a difference d is then d / r samples further along it, whether the metric falls or rises.
    """
    late = samples >= samples[-1] / 2 if len(samples) else samples
    if len(base) < 2 or late.sum() < 3:
        return None, "too few base runs to say it in samples"
    slopes = np.polyfit(samples[late], base[:, late].T, 1)[0]
    if (np.ptp(slopes) and stats.ttest_1samp(slopes, 0).pvalue > CLEAR) or not slopes.mean():
        return None, "the base curve is too flat to say it in samples"
    ahead = difference / slopes.mean()
    if abs(ahead) > samples[-1] / 2:
        return None, "in samples further than half of the base curve"
    return float(ahead), ""
