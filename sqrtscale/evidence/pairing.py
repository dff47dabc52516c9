"""From curves to differences: which runs count, and what is compared of each."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import reduce
from typing import Literal

import numpy as np
import pandas as pd
from scipy import stats

from .estimate import estimate

FunctionalName = Literal["first quarter", "whole curve", "end"]  # declared before any curve is seen
EARLY_SHARE = 0.25
END_SHARE = 0.1  # the end value of a run is its mean over the last tenth of its samples, wherever a verdict is shown
DIFFERENCE_COLUMNS = ["arm", "samples", "difference", "low", "high", "pairs"]
CLEAR = 0.01  # level at which the base curve must rise or fall, for a difference to be read as samples
BLOCKS = 5  # of a single curve's second half; with fewer, a smooth bend passes for noise


@dataclass(frozen=True)
class Contrast:
    """One arm against base, on the points of the curve that both have.

    arm, base: curves of their whole runs [runs, points], row by row of the same seeds where they are paired; samples: [points],
    all above 0; arm_begun, base_begun: runs of each that count, and arm_diverged, base_diverged: those of them that ended without
    a finite value; uneven: whether these leave out more of one than of the other, so that the whole runs alone show no match;
    counted: what ``samples`` counts, in words.
    """

    arm: np.ndarray
    base: np.ndarray
    samples: np.ndarray
    paired: bool
    arm_begun: int
    base_begun: int
    arm_diverged: int
    base_diverged: int
    uneven: bool
    counted: str = "samples"

    @property
    def pairs(self) -> int:
        """Seeds on which both have a whole curve; where runs are not paired, how many whole runs the one with fewer has."""
        return min(len(self.arm), len(self.base))

    @property
    def compared(self) -> tuple[np.ndarray, np.ndarray | None]:
        """Curves of the paired differences and None, or those of the arm and those of base."""
        return (self.arm - self.base, None) if self.paired else (self.arm, self.base)

    @property
    def functionals(self) -> dict[FunctionalName, tuple[np.ndarray, np.ndarray | None]]:
        """The functionals of what is compared, each [runs]; empty where one of the two has no whole run."""
        if not self.pairs:
            return {}
        values, base = self.compared
        of_base = {} if base is None else functionals(base, self.samples)
        return {name: (of_arm, of_base.get(name)) for name, of_arm in functionals(values, self.samples).items()}


def runs_of(curves: pd.DataFrame, metric: str, arm: str) -> pd.DataFrame:
    """Curves of one arm: rows are seeds, columns samples; infinite where a run diverged, NaN where it has no point."""
    chosen = curves[(curves["arm"] == arm) & (curves["metric"] == metric)]
    values = chosen["value"].where(np.isfinite(chosen["value"]), math.inf)
    return chosen.assign(value=values).set_index(["seed", "samples"])["value"].unstack()


def contrast(base: pd.DataFrame, arm: pd.DataFrame, paired: bool = True, counted: str = "samples") -> Contrast:
    """Two arms (as :func:`runs_of` gives them), paired by seed or not; runs that are not yet as far as others are left out."""
    return replace(_by_seed(base, arm) if paired else _apart(base, arm), counted=counted)


def _by_seed(base: pd.DataFrame, arm: pd.DataFrame) -> Contrast:
    seeds = base.index.intersection(arm.index)
    points = base.columns.intersection(arm.columns).sort_values()
    points = points[points.to_numpy() > 0]  # at 0 no step has been made
    base_values, arm_values = (frame.loc[seeds, points].to_numpy() for frame in (base, arm))
    base_gone, arm_gone = (_diverged(frame.loc[seeds]) for frame in (base, arm))
    is_whole = ~(np.isnan(base_values) | np.isnan(arm_values)).any(axis=1)
    whole = is_whole & ~base_gone & ~arm_gone & (len(points) > 0)
    return Contrast(arm_values[whole], base_values[whole], points.to_numpy(float), True, len(seeds), len(seeds),
                    int(arm_gone.sum()), int(base_gone.sum()), bool((arm_gone != base_gone).any()))


def _apart(base: pd.DataFrame, arm: pd.DataFrame) -> Contrast:
    base_whole, arm_whole = whole_runs(base, arm)
    base_gone, arm_gone = (int(_diverged(frame).sum()) for frame in (base, arm))
    return Contrast(arm_whole.to_numpy(), base_whole.to_numpy(), base_whole.columns.to_numpy(float), False, len(arm), len(base),
                    arm_gone, base_gone, arm_gone * len(base) != base_gone * len(arm))


def _diverged(runs: pd.DataFrame) -> np.ndarray:
    """Which runs did [runs]. They say nothing more after their last point, so their whole curves count as diverged."""
    gone: np.ndarray = np.isinf(runs.to_numpy()).any(axis=1)
    return gone


def whole_runs(*arms: pd.DataFrame) -> tuple[pd.DataFrame, ...]:
    """The runs of arms that can be compared without pairs, on the points above 0 that all of them have.

    Whole are those that did not diverge and reach the last tenth of what all arms have.
    """
    kept = [runs[~_diverged(runs)].dropna(axis=1, how="all") for runs in arms]
    points = reduce(pd.Index.intersection, [runs.columns for runs in kept]).sort_values()
    points = points[points.to_numpy(float) > 0]
    if len(points):
        late = points[at_end(points.to_numpy(float))]
        kept = [runs[runs[late].notna().any(axis=1)] for runs in kept]
        points = points[np.logical_and.reduce([runs[points].notna().all().to_numpy() for runs in kept])]
    return tuple(runs[points] if len(points) else runs.iloc[:0, :0] for runs in kept)


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
    last: np.ndarray = samples >= (1 - END_SHARE) * samples[-1:]
    return last


def differences_over_samples(curves: pd.DataFrame, metric: str, level: float, base: str = "base",
                             paired: bool = True) -> pd.DataFrame:
    """The difference of the means of an arm and base at every point, with its t interval of confidence 1 - 2 ``level``.

    curves: columns arm, seed, metric, samples, value; paired: by seed, or Welch's. Columns of the answer: arm, samples,
    difference, low, high (NaN for one run), pairs. Runs and points are those of the verdict, so the mean over the last tenth is
    its difference at the end; the intervals hold point by point, not for a whole curve at once.
    """
    base_runs = runs_of(curves, metric, base)
    tables = []
    for arm in dict.fromkeys(curves["arm"][curves["metric"] == metric]):
        compared = contrast(base_runs, runs_of(curves, metric, arm), paired)
        if arm == base or not compared.pairs:
            continue
        course = estimate(*compared.compared)
        half = course.half_width(level) if compared.pairs > 1 else math.nan
        tables.append(pd.DataFrame({"arm": arm, "samples": compared.samples, "difference": course.difference,
                                    "low": course.difference - half, "high": course.difference + half, "pairs": compared.pairs}))
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=DIFFERENCE_COLUMNS)


def samples_ahead(difference: float, base: np.ndarray, samples: np.ndarray, counted: str = "samples"
                  ) -> tuple[float | None, str]:
    """By how many samples the arm's end is ahead of base (behind where negative), or None and the reason.

    difference: of the end values; base [runs, points]: its curves; counted: what the reason calls samples. The second half of
    the base arm's mean curve is taken as a line of slope r: a difference d is then d / r samples further along it, whether the
    metric falls or rises.
    """
    late = samples >= samples[-1] / 2 if len(samples) else samples
    if not len(base) or late.sum() < (3 if len(base) > 1 else BLOCKS):
        return None, f"base has too few points to say it in {counted}"
    slopes = np.polyfit(samples[late], base[:, late].T, 1)[0]
    if not slopes.mean() or not (_clear(slopes) if len(base) > 1 else _falls_or_rises(base[0, late], samples[late])):
        return None, f"the base curve is too flat to say it in {counted}"
    ahead = difference / slopes.mean()
    if abs(ahead) > samples[-1] / 2:
        return None, f"in {counted} further than half of the base curve"
    return float(ahead), ""


def _clear(slopes: np.ndarray) -> bool:
    """Whether several runs show a slope [runs]."""
    return not np.ptp(slopes) or bool(stats.ttest_1samp(slopes, 0).pvalue <= CLEAR)


def _falls_or_rises(curve: np.ndarray, samples: np.ndarray) -> bool:
    """Whether a single curve [points] has a slope, by the means of a few blocks of it.

    Points of a curve hang together, so the residuals of single points make a line look surer than it is; means of blocks longer
    than that hang together little. A level curve is wrongly given a slope in 1 % where its points are independent, in 1.5 % to
    6 % where neighbours correlate by 0.8 (100 to 12 points), and in up to 13 % of curves that drift like a random walk.
    """
    blocks = np.array_split(np.arange(len(samples)), BLOCKS)
    x, y = ([float(values[block].mean()) for block in blocks] for values in (samples, curve))
    return bool(stats.linregress(x, y).pvalue <= CLEAR)
