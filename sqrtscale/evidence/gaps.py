"""From curves to paired differences: which runs count, and what is compared of each."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from .summary import TAIL

EARLY = 0.25
NAMES = ("first quarter", "whole curve", "end")  # declared before any curve is seen
CLEAR = 0.01  # level at which the base curve must rise or fall, for a difference to be read as samples


@dataclass(frozen=True)
class Gaps:
    """One arm against base, on the points of the curve that both have.

    differences: [pairs, functionals], arm - base, seed by seed; base: curves of the paired base runs [pairs, points];
    samples: [points], all above 0; arm_diverged, base_diverged: runs of each that ended without a finite value, among
    ``runs`` seeds that both began; split: seeds on which one of the two diverged and the other did not.
    """

    differences: np.ndarray
    base: np.ndarray
    samples: np.ndarray
    runs: int
    arm_diverged: int
    base_diverged: int
    split: int


def runs_of(curves: pd.DataFrame, metric: str, arm: str) -> pd.DataFrame:
    """Curves of one arm: rows are seeds, columns samples; infinite where a run diverged, NaN where it has no point."""
    chosen = curves[(curves["arm"] == arm) & (curves["metric"] == metric)]
    values = chosen["value"].where(np.isfinite(chosen["value"]), math.inf)
    return chosen.assign(value=values).set_index(["seed", "samples"])["value"].unstack()


def gaps(base: pd.DataFrame, arm: pd.DataFrame) -> Gaps:
    """Pair two arms (as :func:`runs_of` gives them) by seed; runs that are not yet as far as others are left out."""
    seeds = base.index.intersection(arm.index)
    samples = base.columns.intersection(arm.columns).sort_values()
    samples = samples[samples > 0]  # at 0 no step has been made
    wide = [frame.loc[seeds, samples] for frame in (base, arm)]
    # A diverged run says nothing more after its last point, so its whole curve counts as diverged.
    gone_base, gone = (np.isinf(frame.loc[seeds]).any(axis=1).to_numpy() for frame in (base, arm))
    there_base, there = (frame.notna().all(axis=1).to_numpy() for frame in wide)
    pairs = there_base & there & ~gone_base & ~gone & (len(samples) > 0)
    values = [frame.to_numpy()[pairs] for frame in wide]
    at = samples.to_numpy(float)
    differences = functionals(values[1] - values[0], at) if pairs.any() else np.empty((0, len(NAMES)))
    return Gaps(differences, values[0], at, len(seeds), int(gone.sum()), int(gone_base.sum()), int((gone != gone_base).sum()))


def functionals(values: np.ndarray, samples: np.ndarray) -> np.ndarray:
    """[runs, points] at ``samples`` [points] -> [runs, 3]: means over the first quarter, the whole curve, the last tenth."""
    last = samples[-1]
    parts = (samples <= max(EARLY * last, samples[0]), samples > 0, samples >= (1 - TAIL) * last)
    return np.stack([values[:, part].mean(1) for part in parts], 1)


def samples_ahead(difference: float, base: np.ndarray, samples: np.ndarray) -> tuple[float | None, str]:
    """By how many samples the arm's end is ahead of base (behind where negative), or None and why not.

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
