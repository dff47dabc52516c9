"""From curves to paired differences: which runs count, and what is compared of each."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from scipy import stats

from .summary import END_SHARE

FunctionalName = Literal["first quarter", "whole curve", "end"]  # declared before any curve is seen
EARLY_SHARE = 0.25
CLEAR = 0.01  # level at which the base curve must rise or fall, for a difference to be read as samples


@dataclass(frozen=True)
class PairedCurves:
    """One arm against base, on the points of the curve that both have.

    differences: of each functional, [pairs], arm - base, seed by seed; empty without a pair; base: curves of the paired base
    runs [pairs, points]; samples: [points], all above 0; arm_diverged, base_diverged: runs of each that ended without a finite
    value, among ``runs`` seeds that both began; split: seeds on which one of the two diverged and the other did not.
    """

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
    differences = functionals(arm_values[paired] - base_values[paired], samples) if paired.any() else {}
    return PairedCurves(differences, base_values[paired], samples, len(seeds), int(arm_gone.sum()), int(base_gone.sum()),
                        int((arm_gone != base_gone).sum()))


def functionals(curves: np.ndarray, samples: np.ndarray) -> dict[FunctionalName, np.ndarray]:
    """One number a run [runs] of each functional: means of its curve over the first quarter, the whole curve, the last tenth.

    curves: [runs, points] at ``samples`` [points].
    """
    last = samples[-1]
    parts: dict[FunctionalName, np.ndarray] = {
        "first quarter": samples <= max(EARLY_SHARE * last, samples[0]),
        "whole curve": samples > 0,
        "end": samples >= (1 - END_SHARE) * last,
    }
    return {name: curves[:, part].mean(1) for name, part in parts.items()}


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
