"""Is a calibration a test of the rule? The noise scale, and the second moments that the optimizers really held.

The rule is derived where noise dominates a step's gradient: where the larger of the two batches is small against the noise
scale tr(Sigma) / |G|^2 [McCandlish et al. 2018, arXiv 1812.06162]. With v = |G|^2 + tr(Sigma) / batch, summed over coordinates,
v_base / v_target is kappa where noise dominates and 1 where the signal does.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from scipy import stats

from ..rules.signal import WINDOW

CONFIDENCE = 0.95
GROWTH = 3.0  # of the noise scale, by chance and in no time
Values = Sequence[float] | np.ndarray
Dominated = Literal["noise", "signal", "unclear"]


@dataclass(frozen=True)
class Ratio:
    """A ratio of two means with its interval; ``n`` pairs stand behind it. high may be infinite."""

    value: float
    low: float
    high: float
    n: int


@dataclass(frozen=True)
class Regime:
    """What dominates the gradient in a calibration.

    noise_scale: tr(Sigma) / |G|^2 of the base arm, in samples, with its 95 % interval from ``low`` to ``high`` (infinite where
    no signal was seen); second_moment_ratio: mean(v_base) / mean(v_target), None where it was not measured, with its own
    interval; preconditioned: the noise scale with each coordinate divided by sqrt(v_hat) + eps, as the optimizer sees it.
    dominated: "noise" where the interval lies above the larger of the two batches, "signal" where it lies below, else "unclear".
    """

    noise_scale: float
    low: float
    high: float
    second_moment_ratio: float | None
    base_batch: int
    target_batch: int
    kappa: float
    dominated: Dominated
    sentence: str
    ratio_low: float | None = None
    ratio_high: float | None = None
    preconditioned: Ratio | None = None

    @property
    def largest_kappa(self) -> float:
        """kappa at which the target batch reaches the noise scale: noise and signal then weigh the same in v."""
        return self.noise_scale / self.base_batch

    @property
    def expected_ratio(self) -> float:
        """v_base / v_target that the noise scale b predicts: kappa (b + B) / (b + B') for batches B and B'."""
        if math.isinf(self.noise_scale):
            return self.kappa
        return self.kappa * (self.noise_scale + self.base_batch) / (self.noise_scale + self.target_batch)

    def stays_signal(self, before: int, after: int) -> bool:
        """Whether the signal dominates so clearly, measured after ``before`` samples, that it will to the end, ``after`` later.

        The noise scale may grow meanwhile: with the training, and by chance, because one state of the weights has one gradient.
        The upper end of the interval over the whole run was at most 1.7, 2.8, 3.2 and 4.5 times that at the branch point where
        ``after / before`` was up to 1/2, 1, 2 and 4 (median 1.1; 100 calibrations of both tasks, docs/experiments.md); the
        batch must lie beyond ``GROWTH * (1 + after / before)`` times it: 4.5, 6, 9 and 15.
        """
        return max(self.base_batch, self.target_batch) > GROWTH * (1 + after / before) * self.high

    @property
    def signal(self) -> str:
        """Why the signal dominates at the larger of the two batches, in words; "" where that is not shown.

        Shown by the noise scale, or by second moments nearer to 1 than to kappa: half-way lies where a batch equals it.
        """
        largest = max(self.base_batch, self.target_batch)
        if self.dominated == "signal":
            return f"the noise scale is {_samples(self.noise_scale)} (at most {self.high:.3g}), below the batch of {largest}"
        if self.second_moment_ratio is None or self.ratio_low is None or self.ratio_high is None or self.kappa == 1:
            return ""
        nearest_to_noise = self.ratio_high if self.kappa > 1 else 1 / self.ratio_low if self.ratio_low else math.inf
        if nearest_to_noise < (1 + max(self.kappa, 1 / self.kappa)) / 2:
            return (f"second moments differ by {self.second_moment_ratio:.3g}, nearer to 1 (signal alone) than to "
                    f"{self.kappa:.3g} (noise alone)")
        return ""

    @property
    def speed(self) -> float:
        """Distance per sample along the gradient under the rule, over base's: sqrt((b + B) / (b + B')), 1 where noise is all.

        A step moves lr |G| / sqrt(|G|^2 + tr(Sigma) / batch), and the rule has sqrt(kappa) lr in 1 / kappa as many steps
        [derived by us]. What the rule loses by itself as 1 - beta grows comes on top (``sqrtscale.rules.forecast``).
        """
        return math.sqrt(self.expected_ratio / self.kappa)


def ratio_of_means(over: Values, under: Values, points: Values | None = None) -> Ratio:
    """mean(over) / mean(under) of pairs, for quantities that are not negative, with Fieller's 95 % interval (1954).

    points: where in the run each pair was measured. The spread between seeds at one point then makes the interval, and the
    course of the run does not widen it (stratified, with Satterthwaite's degrees of freedom); pairs count as independent, and
    without points, or with one seed, so do the points. Fieller's, for it stays right where the mean below cannot be told from 0:
    then high is infinite. One pair has no interval (0 to infinity). Pairs that are not finite are left out; raises ValueError
    where none is left.
    """
    pairs = np.array([over, under], float)
    finite = np.isfinite(pairs).all(0)
    x, y = pairs[:, finite]
    n = len(x)
    if not n:
        raise ValueError("there is no finite pair")
    value = float(x.mean() / y.mean()) if y.mean() > 0 else math.inf
    if n == 1:
        return Ratio(value, 0.0, math.inf, 1)
    where = np.zeros(n) if points is None else np.asarray(points)[finite]
    strata = [pairs[:, finite][:, where == point] for point in np.unique(where)]
    if min(stratum.shape[1] for stratum in strata) < 2:
        strata = [np.array([x, y])]
    (xx, xy), (_, yy) = _covariance_of_means(strata, n, value)
    # Ratios r with (x - r y)^2 <= t^2 var(x - r y): a r^2 - 2 b r + c <= 0.
    a, b, c = y.mean() ** 2 - yy, x.mean() * y.mean() - xy, x.mean() ** 2 - xx
    root = math.sqrt(max(0.0, b * b - a * c))
    if a > 0:
        low, high = (b - root) / a, (b + root) / a
        # Both below 0: a mean below that chance made negative, of a quantity that is near 0.
        return Ratio(value, max(0.0, low), high, n) if high > 0 else Ratio(math.inf, math.inf, math.inf, n)
    if c < 0:
        return Ratio(value, 0.0, math.inf, n)  # nor can the mean above be told from 0
    return Ratio(value, max((b - root) / a, (b + root) / a), math.inf, n)


def _covariance_of_means(strata: Sequence[np.ndarray], n: int, ratio: float) -> np.ndarray:
    """Covariance [2, 2] of the means over all n pairs, times t^2, from strata [2, pairs] of at least two pairs each."""
    parts = np.stack([stratum.shape[1] * np.cov(stratum) / n**2 for stratum in strata])
    # Degrees of freedom of what the interval is about, the mean of x - r y: strata differ in their spread.
    direction = np.array([1.0, -ratio]) if math.isfinite(ratio) else np.array([0.0, 1.0])
    spread = np.array([direction @ part @ direction for part in parts])
    free = np.array([stratum.shape[1] - 1 for stratum in strata])
    dof = spread.sum() ** 2 / (spread**2 / free).sum() if spread.any() else free.sum()
    covariance: np.ndarray = stats.t.ppf((1 + CONFIDENCE) / 2, dof) ** 2 * parts.sum(0)
    return covariance


def noise_scale(curves: pd.DataFrame, arm: str = "base", preconditioned: bool = False) -> Ratio | None:
    """tr(Sigma) / |G|^2 of an arm in samples, over its seeds and the points where it was measured; None where it was not.

    curves: columns arm, seed, metric, samples, value. A ratio of averages, never an average of ratios.
    """
    suffix = "_pre" if preconditioned else ""
    noise, signal = f"noise{suffix}", f"signal{suffix}"
    return _ratio_of_columns(_metrics(curves, arm, noise, signal), noise, signal)


def noise_scale_course(curves: pd.DataFrame, arm: str = "base", before: int = 0) -> tuple[tuple[int, Ratio], ...]:
    """(samples seen, noise scale) of an arm at every point where signal and noise were measured, in order.

    Each a ratio of averages over the seeds, and over the points of the last ``WINDOW`` in age, which is ``before`` more than
    the samples seen; where the signal cannot be told from 0 its value, or only its interval, is infinite.
    """
    measured = _metrics(curves, arm, "noise", "signal").dropna()
    where = measured.index.get_level_values("samples")
    points = [(int(samples), _ratio_of_columns(measured[(where + before >= (samples + before) / WINDOW) & (where <= samples)],
                                               "noise", "signal")) for samples in sorted(set(where))]
    return tuple((samples, ratio) for samples, ratio in points if ratio is not None)


def noise_by_samples(curves: pd.DataFrame, arm: str = "base") -> dict[int, tuple[float, float]]:
    """Samples seen -> tr(Sigma) and |G|^2 of an arm, means over its seeds, wherever both were measured."""
    measured = _metrics(curves, arm, "noise", "signal").dropna()
    if not len(measured):
        return {}
    means = measured.groupby(level="samples")[["noise", "signal"]].mean()
    return {int(samples): (float(noise), float(signal)) for samples, noise, signal in means.reset_index().to_numpy()}


def _metrics(curves: pd.DataFrame, arm: str, *names: str) -> pd.DataFrame:
    """Those metrics of an arm as columns, a row for every seed and point."""
    chosen = curves[(curves["arm"] == arm) & curves["metric"].isin(names)]
    return chosen.pivot_table(index=["seed", "samples"], columns="metric", values="value")


def second_moment_ratio(curves: pd.DataFrame, arm: str = "scaled", settled: int = 0, base: str = "base") -> Ratio | None:
    """mean(v_base) / mean(v_arm) on the same seeds and points; None where it was not measured.

    settled: samples after the branch point that v needs to forget what it was handed (v' = v / kappa, the prediction itself);
    only later points count, and never the branch point.
    """
    chosen = curves[(curves["metric"] == "second_moment") & (curves["samples"] > settled) & curves["arm"].isin([base, arm])]
    return _ratio_of_columns(chosen.pivot_table(index=["seed", "samples"], columns="arm", values="value"), base, arm)


def _ratio_of_columns(table: pd.DataFrame, over: str, under: str) -> Ratio | None:
    """:func:`ratio_of_means` of two columns, rows being points (seed, samples); None where no row has both."""
    if not {over, under} <= set(table):
        return None
    x, y, points = table[over].to_numpy(), table[under].to_numpy(), table.index.get_level_values("samples").to_numpy()
    return ratio_of_means(x, y, points) if (np.isfinite(x) & np.isfinite(y)).any() else None


def regime(curves: pd.DataFrame, base_batch: int, target_batch: int, *, arm: str = "scaled", settled: int = 0,
           base: str = "base") -> Regime | None:
    """What dominates the gradient in a calibration between those batches; None where it was not measured.

    The noise scale is the base arm's; arm, settled: of the second moments, as in :func:`second_moment_ratio`.
    """
    return regimes(curves, base_batch, {arm: target_batch}, settled=settled, base=base).get(arm)


def regimes(curves: pd.DataFrame, base_batch: int, batches: Mapping[str, int], *, settled: int = 0, base: str = "base"
            ) -> dict[str, Regime]:
    """:func:`regime` of several arms, each at its own batch; the noise scale, base's for all of them, is computed once."""
    scale = noise_scale(curves, base)
    if scale is None:
        return {}
    preconditioned = noise_scale(curves, base, preconditioned=True)
    return {arm: _regime(scale, preconditioned, second_moment_ratio(curves, arm, settled, base), base_batch, batch)
            for arm, batch in batches.items()}


def _regime(scale: Ratio, preconditioned: Ratio | None, moments: Ratio | None, base_batch: int, target_batch: int) -> Regime:
    largest = max(base_batch, target_batch)
    dominated: Dominated = "noise" if scale.low > largest else "signal" if scale.high < largest else "unclear"
    kappa = target_batch / base_batch
    value, low, high = (moments.value, moments.low, moments.high) if moments else (None, None, None)
    return Regime(scale.value, scale.low, scale.high, value, base_batch, target_batch, kappa, dominated,
                  _sentence(scale, moments, base_batch, target_batch, dominated), low, high, preconditioned)


def _sentence(scale: Ratio, moments: Ratio | None, base_batch: int, target_batch: int, dominated: Dominated) -> str:
    size = f"the noise scale is {_samples(scale.value)} (95% interval {scale.low:.3g} to {_bound(scale.high)})"
    largest = max(base_batch, target_batch)
    text = {
        "noise": f"Noise dominates: {size}, above the batch of {largest}.",
        "signal": f"The signal dominates: {size}, below the batch of {largest}; the rule is not derived for this.",
        "unclear": f"What dominates is not clear: {size}, and the batch of {largest} lies within.",
    }[dominated]
    if math.isfinite(scale.value):
        text += f" A target batch reaches it at kappa = {scale.value / base_batch:.3g}."
    if moments is not None:
        text += (f" Second moments differ by {moments.value:.3g} ({moments.low:.3g} to {_bound(moments.high)}), "
                 f"where noise alone gives {target_batch / base_batch:.3g} and signal alone 1.")
    return text


def _samples(value: float) -> str:
    return f"{value:.3g} samples" if math.isfinite(value) else "beyond what was measured"


def _bound(value: float) -> str:
    return f"{value:.3g}" if math.isfinite(value) else "infinity"
