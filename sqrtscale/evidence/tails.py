"""Is the gradient noise Gaussian enough for an Ito SDE? What the measured tails and skewness of each layer say, and what not.

Ito's picture needs noise of finite variance, and the paper's error bound needs more finite moments; with an infinite variance
the limit would be driven by jumps [Simsekli et al. 2019, arXiv 1901.06053], for which no scaling rule is proved here or in the
paper, which leaves heavy tails open. So tails never change a verdict, which is about curves: light tails say that the rule's
assumption holds, heavy ones that a match is luck or mere experience, and a mismatch may be theirs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from ..diagnostics import TAILS
from ..diagnostics.tails import Index, Skewness, anderson_darling, hill, not_normal, on_one_scale, skewness, stable_index

FINITE_VARIANCE = 2.0
NORMAL = 0.05  # share of projections that a normal law would have rejected
EVERYWHERE = 0.5  # share above which the whole layer's noise is not normal


@dataclass(frozen=True)
class LayerTails:
    """Tails of one layer's gradient noise at one point of a run.

    stable: index of a stable law (2 is Gaussian), hill: Hill's (above 2 the variance is finite), None where too few coordinates
    had noise; not_normal: share of random projections rejected as normal at 5 % (a normal law gives 0.05); skewness: of single
    weights' noise in micro-batches, None as for the indices and in results from before it was measured.
    """

    arm: str
    layer: str
    samples: int
    stable: Index | None
    hill: Index | None
    not_normal: float
    skewness: Skewness | None = None

    @property
    def variance(self) -> Literal["finite", "infinite", "unclear"]:
        """Finite where Hill's index lies above 2, infinite where both lie below and projections are not normal either.

        The stable index alone does not do: heavy tails of a finite variance bring it below 2 as long as sums are short. Nor do
        both: the weights of a rare output are still in most batches and jump in a few, which is sparse and bounded; a law of
        infinite variance would show in nearly every projection.
        """
        if self.hill is None or self.stable is None:
            return "unclear"
        if self.hill.low > FINITE_VARIANCE:
            return "finite"
        return "infinite" if self.bursts and self.not_normal > EVERYWHERE else "unclear"

    @property
    def bursts(self) -> bool:
        """Whether single coordinates jump as those of a law of infinite variance do."""
        return self.hill is not None and self.stable is not None and max(self.hill.high, self.stable.high) < FINITE_VARIANCE


def layer_tails(curves: pd.DataFrame) -> tuple[LayerTails, ...]:
    """Every layer's tails at every point where they were measured; curves: columns arm, seed, metric, samples, value."""
    if curves.empty:
        return ()
    parts = curves["metric"].str.partition("/")
    chosen = curves.assign(name=parts[0], layer=parts[2])[parts[0].isin(list(TAILS)) & (parts[1] == "/")]
    measured = []
    for _, rows in chosen.groupby(["arm", "samples", "layer"], sort=False):
        point, value = rows.iloc[0], rows.groupby("name")["value"].mean()
        stable, hills = (Index(value[name], value[f"{name}_error"]) if name in value else None for name in ("tail", "hill"))
        skewed = "skewness_squared" in value
        measured.append(LayerTails(
            str(point["arm"]), str(point["layer"]), int(point["samples"]), stable, hills, float(value.get("normality", np.nan)),
            Skewness(value["skewness_squared"], value["skewness_squared_error"]) if skewed else None))
    return tuple(measured)


def passes_for_normal(measured: Sequence[LayerTails]) -> bool | None:
    """Whether the noise is as Gaussian as the rule assumes, over the layers that could be judged; None where none could."""
    known = [tails for tails in measured if tails.variance != "unclear"]
    if not known:
        return None
    return all(tails.variance == "finite" for tails in known) and \
        bool(np.nanmean([tails.not_normal for tails in known]) <= 2 * NORMAL)


def most_skewed(measured: Sequence[LayerTails]) -> LayerTails | None:
    """The layer and point of the largest skewness, among those whose tails could be judged; None where none was measured."""
    known = _with_skewness(measured)
    return max(known, key=lambda tails: tails.skewness.low if tails.skewness else 0.0, default=None)


def describe_skewness(measured: Sequence[LayerTails]) -> str:
    """One sentence on the skewness of single weights' noise; "" where no tails were measured or the variance is not finite."""
    if not any(tails.variance == "finite" for tails in measured):
        return ""
    layer = most_skewed(measured)
    if layer is None or layer.skewness is None:
        return "Skewness was not measured."
    size = layer.skewness
    if not size.low:
        return "The noise of single weights is not clearly skewed in any layer."
    return (f"The noise of single weights in micro-batches has a skewness of up to {size.size:.2g} ({size.low:.2g} to "
            f"{size.high:.2g}, in {layer.layer}, the largest of {len(_with_skewness(measured))} measurements), where a symmetric "
            "law has 0 and an exponential one 2; a batch n times as large has 1/sqrt(n) of it.")


def _with_skewness(measured: Sequence[LayerTails]) -> list[LayerTails]:
    return [tails for tails in measured if tails.variance == "finite" and tails.skewness]


def describe_tails(measured: Sequence[LayerTails]) -> str:
    """One honest sentence over all layers and points, and what it means for the rule; "" where nothing was measured."""
    known = [tails for tails in measured if tails.variance != "unclear"]  # what is unclear is not averaged in
    if not known:
        return ""
    heavy = sorted({tails.layer for tails in known if tails.variance == "infinite"})
    judged = [tails for tails in known if tails.variance == "infinite"] if heavy else known
    rejected = float(np.nanmean([tails.not_normal for tails in judged]))
    normal = f"{rejected:.0%} of random projections were rejected as normal, where {NORMAL:.0%} would be chance"
    if heavy:
        return (f"The gradient noise of {', '.join(heavy)} looks as if its variance were infinite ({normal}): no SDE driven by "
                "Brownian motion describes it, the rule is not derived for it, and what the curves say is experience alone.")
    lowest, layer = min(((tails.hill, tails.layer) for tails in known if tails.hill), key=lambda index: index[0].alpha)
    text = (f"The gradient noise has a finite variance in every layer that could be judged, as an Ito SDE needs (tail index "
            f"{lowest.alpha:.2g}, {lowest.low:.2g} to {lowest.high:.2g}, in {layer}, the lowest). ")
    if rare := sorted({tails.layer for tails in measured if tails.bursts}):
        text += (f"Single weights of {', '.join(rare)} jump, but most projections of it are not rejected as normal: rare inputs "
                 "or outputs, rather than an infinite variance. ")
    if passes_for_normal(measured):
        return f"{text}It passes for normal: {normal}."
    stable = min(tails.stable.alpha for tails in known if tails.stable)
    return (f"{text}It is not normal: {normal}, and the stable index goes down to {stable:.2g}. Single batches are burstier than "
            "the paper assumes, whose noise has bounded higher moments; over many steps they add up to normal noise.")


__all__ = [
    "Index", "LayerTails", "Skewness", "anderson_darling", "describe_skewness", "describe_tails", "hill", "layer_tails",
    "most_skewed", "not_normal", "on_one_scale", "passes_for_normal", "skewness", "stable_index",
]
