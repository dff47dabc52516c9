"""Curves on points that all runs have: runs log at other samples where their batches differ, or simply at other intervals.

Evaluations stand where they were made, and are read in between by a smooth curve, at the points of the run that has the
fewest. A training loss is averaged over bins of samples that are the same for all runs, so that each bin is a mean over as many
samples in every arm: over a bin the mean of the losses, each weighted with the samples of the bin that it stands for.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.interpolate import PchipInterpolator

from ..compared import ImportedPlan, Values

MOST_BINS = 100
SHORT = 0.95  # of its arm's length, below which a run counts as broken off, or as one that begins late
FEWEST_FOR_A_CUBIC = 3  # points
UNALIGNED = ("noise", "signal", "noise_pre", "signal_pre")  # of a NoiseMeter: single measurements, which nobody pairs
SECOND_MOMENT = "second_moment"


@dataclass(frozen=True)
class _Run:
    """samples: [points] at which it was logged; values: [points], all finite; gone: where it diverged, else infinite."""

    arm: str
    seed: int
    samples: np.ndarray
    values: np.ndarray
    gone: float

    @property
    def first(self) -> float:
        """Samples of its first value."""
        return float(self.samples[0]) if len(self.samples) else 0.0

    @property
    def last(self) -> float:
        """Samples of its last value."""
        return float(self.samples[-1]) if len(self.samples) else 0.0

    @property
    def diverged(self) -> bool:
        """Whether it ended without a finite value."""
        return math.isfinite(self.gone)


def on_common_points(curves: pd.DataFrame, plan: ImportedPlan) -> pd.DataFrame:
    """The runs that are compared, at the same samples, counted from where the comparison begins.

    curves: as they were logged, columns arm, seed, metric, samples, value; so has the answer. The points are those of base and of
    the arm that follows the rule, up to the end of the shorter of the two; any other arm has those that lie in its own stretch.
    Runs that were broken off or begin late are left out. What a NoiseMeter measured is kept as it is.
    """
    leading = ("base", plan.rule)
    tables = [*_aligned(_runs(curves, plan.metric), plan.values, plan.since, leading, plan.metric),
              *_aligned(_runs(curves, SECOND_MOMENT), "evaluation", plan.since, leading, SECOND_MOMENT)]
    measured = curves[curves["metric"].isin(UNALIGNED) & (curves["samples"] >= plan.since)]
    tables.append(measured.assign(samples=measured["samples"] - plan.since))
    kept = [table for table in tables if len(table)]
    together = pd.concat(kept, ignore_index=True) if kept else curves.iloc[:0]
    order = {arm.name: place for place, arm in enumerate(plan.arms)}
    return together.sort_values("arm", key=lambda names: names.map(order), kind="stable", ignore_index=True)


def left_out(curves: pd.DataFrame, plan: ImportedPlan) -> tuple[str, ...]:
    """What of the curves is not compared, or not where it was logged, a sentence each."""
    runs = _runs(curves, plan.metric)
    kept, names = _whole(runs), {(run.arm, run.seed): run.name for run in plan.runs}
    sentences = [f"Run {names[run.arm, run.seed]} of {run.arm} has {plan.metric} from {run.first:,.0f} to {run.last:,.0f} "
                 f"{plan.counted}, others of its arm further, and is left out." for run in runs if run not in kept]
    standing = [run for run in kept if not run.diverged]
    ends = {arm: min(run.last for run in standing if run.arm == arm) for arm in dict.fromkeys(run.arm for run in standing)}
    compared = min((ends[arm] for arm in ("base", plan.rule) if arm in ends), default=0.0)
    for arm, end in ends.items():
        if arm in ("base", plan.rule) and end > compared / SHORT:
            sentences.append(f"{arm} ends at {end:,.0f} {plan.counted} and is compared up to {compared:,.0f}, where the shorter "
                             "one ends.")
        elif arm not in ("base", plan.rule) and end < SHORT * compared:
            sentences.append(f"{arm} ends at {end:,.0f} {plan.counted} and is compared up to there.")
    if plan.values == "evaluation" and len({tuple(run.samples[run.samples <= compared]) for run in standing}) > 1:
        sentences.append(f"Not all runs have {plan.metric} at the same {plan.counted}: it is read from a smooth curve through "
                         "a run's points, which few points know poorly. Evaluate at the same ones for a sharper answer.")
    return tuple(sentences)


def _runs(curves: pd.DataFrame, metric: str) -> list[_Run]:
    """The curves of that metric, gaps left out."""
    runs = []
    for _, points in curves[curves["metric"] == metric].groupby(["arm", "seed"], sort=False):
        samples, values = points["samples"].to_numpy(float), points["value"].to_numpy(float)
        finite = np.isfinite(values)
        diverged = bool(len(values)) and not finite[-1]
        first_lost = int(np.flatnonzero(finite)[-1]) + 1 if finite.any() else 0
        gone = samples[first_lost] if diverged else math.inf
        runs.append(_Run(points["arm"].tolist()[0], points["seed"].tolist()[0], samples[finite], values[finite], gone))
    return runs


def _whole(runs: Sequence[_Run]) -> list[_Run]:
    """Without those that end earlier or begin later than others of their arm. What diverged counts."""
    whole = []
    for run in runs:
        others = [other for other in runs if other.arm == run.arm and not other.diverged]
        end, begin = max((other.last for other in others), default=0.0), min((other.first for other in others), default=0.0)
        if run.diverged or (run.last >= SHORT * end and run.first <= begin + (1 - SHORT) * end):
            whole.append(run)
    return whole


def _aligned(runs: Sequence[_Run], values: Values, since: int, leading: tuple[str, ...], metric: str) -> Iterator[pd.DataFrame]:
    """A table for each whole run, at the points after ``since`` that those of the leading arms share."""
    whole = _whole(runs)
    standing = [run for run in whole if not run.diverged]
    known = [run for run in standing if run.arm in leading]
    if not known:
        return
    end, knots = min(run.last for run in known), {(run.arm, run.seed): _knots(run, values) for run in whole}
    if values == "evaluation":
        begin = max(since, *(run.first for run in known))
        edges = points = min((run.samples[(run.samples >= begin) & (run.samples <= end)] for run in known), key=len)
    else:
        begin = max(since, *(knots[run.arm, run.seed][0] for run in known))
        count = min(int(((run.samples > begin) & (run.samples <= end)).sum()) for run in known)
        edges = np.linspace(begin, end, min(max(count, 1), MOST_BINS) + 1) if begin < end else np.empty(1)
        points = edges[1:]
    for run in whole:
        line = _read(run, points) if values == "evaluation" else _means(run, knots[run.arm, run.seed], edges)
        # One that is lost just beyond the end has diverged all the same, and a bin that it does not fill says nothing.
        line = np.where(points >= (min(run.gone, end) if SHORT * run.gone <= end else run.gone), math.inf, line)
        own = [other for other in standing if other.arm == run.arm]
        inside = np.ones(len(points), bool)
        if own and run.arm not in leading:
            inside = (points <= min(other.last for other in own)) & (points >= max(other.first for other in own))
        yield pd.DataFrame({"arm": run.arm, "seed": run.seed, "metric": metric,
                            "samples": np.rint(points[inside] - since).astype(np.int64), "value": line[inside]})


def _read(run: _Run, points: np.ndarray) -> np.ndarray:
    """The values of a run at those points: its own where it has them, between them a monotone cubic (Fritsch & Carlson 1980).

    A straight line lies above a curve that bends, so that runs evaluated at other samples would seem apart.
    """
    if not len(run.values):
        return np.full(len(points), math.inf)
    straight: np.ndarray = np.interp(points, run.samples, run.values)  # exact where it has a value
    if len(run.values) < FEWEST_FOR_A_CUBIC:
        return straight
    cubic = PchipInterpolator(run.samples, run.values)(np.clip(points, run.first, run.last))
    return np.where(np.isin(points, run.samples), straight, cubic)


def _knots(run: _Run, values: Values) -> np.ndarray:
    """Where the stretches that its values stand for begin and end [points + 1].

    Of a mean over a window: from the point before to its own; of a single batch: half-way to both neighbours.
    """
    samples = run.samples
    if len(samples) < 2:
        return np.array([0.0, *samples])
    before = max(0.0, 2 * samples[0] - samples[1])
    if values == "window":
        return np.array([before, *samples])
    return np.array([(before + samples[0]) / 2, *(samples[1:] + samples[:-1]) / 2, samples[-1]])


def _means(run: _Run, knots: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Mean of a run over each bin [bins]: of its values, each weighted with how much of the bin its stretch covers."""
    if not len(run.values):
        return np.full(len(edges) - 1, math.inf)
    area = np.concatenate([[0.0], np.cumsum(run.values * np.diff(knots))])
    means: np.ndarray = np.diff(np.interp(edges, knots, area)) / np.diff(edges)
    return np.where(edges[1:] > knots[-1], math.inf, means) if run.diverged else means
