"""Is the gradient noise Gaussian enough for an Ito SDE? What the measured tails of each layer say, and what they do not.

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
from ..diagnostics.tails import Index, anderson_darling, hill, not_normal, on_one_scale, stable_index

FINITE_VARIANCE = 2.0
NORMAL = 0.05  # share of projections that a normal law would have rejected
EVERYWHERE = 0.5  # share above which the whole layer's noise is not normal


@dataclass(frozen=True)
class Tail:
    """Tails of one layer's gradient noise at one point of a run.

    stable: index of a stable law (2 is Gaussian), hill: Hill's (above 2 the variance is finite), None where too few coordinates
    had noise; not_normal: share of random projections rejected as normal at 5 % (a normal law gives 0.05).
    """

    arm: str
    layer: str
    samples: int
    stable: Index | None
    hill: Index | None
    not_normal: float

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
        return bool(self.hill and self.stable) and max(self.hill.high, self.stable.high) < FINITE_VARIANCE


def tails(curves: pd.DataFrame) -> tuple[Tail, ...]:
    """Every layer's tails at every point where they were measured; curves: columns arm, seed, metric, samples, value."""
    parts = curves["metric"].str.partition("/")
    chosen = curves.assign(name=parts[0], layer=parts[2])[parts[0].isin(list(TAILS)) & (parts[1] == "/")]
    found = []
    for (arm, samples, layer), rows in chosen.groupby(["arm", "samples", "layer"], sort=False):
        value = rows.groupby("name")["value"].mean()
        stable, hills = (Index(value[name], value[f"{name}_error"]) if name in value else None for name in ("tail", "hill"))
        found.append(Tail(arm, layer, int(samples), stable, hills, float(value.get("normality", np.nan))))
    return tuple(found)


def describe_tails(found: Sequence[Tail]) -> str:
    """One honest sentence over all layers and points, and what it means for the rule; "" where nothing was measured."""
    known = [one for one in found if one.variance != "unclear"]  # what is unclear is not averaged in
    if not known:
        return ""
    heavy = sorted({one.layer for one in known if one.variance == "infinite"})
    rejected = float(np.nanmean([one.not_normal for one in known]))
    normal = f"{rejected:.0%} of random projections were rejected as normal, where {NORMAL:.0%} would be chance"
    if heavy:
        return (f"The gradient noise of {', '.join(heavy)} looks as if its variance were infinite ({normal}): no SDE driven by "
                "Brownian motion describes it, the rule is not derived for it, and what the curves say is experience alone.")
    lowest = min(known, key=lambda one: one.hill.alpha)
    said = (f"The gradient noise has a finite variance in every layer that could be judged, as an Ito SDE needs (tail index "
            f"{lowest.hill.alpha:.2g}, {lowest.hill.low:.2g} to {lowest.hill.high:.2g}, in {lowest.layer}, the lowest). ")
    if rare := sorted({one.layer for one in found if one.bursts}):
        said += (f"Single weights of {', '.join(rare)} jump, but projections of it are near normal: rare inputs or outputs, "
                 "rather than an infinite variance. ")
    if rejected <= 2 * NORMAL:
        return f"{said}It passes for normal: {normal}."
    stable = min(one.stable.alpha for one in known)
    return (f"{said}It is not normal: {normal}, and the stable index goes down to {stable:.2g}. Single batches are burstier than "
            "the paper assumes, whose noise has bounded higher moments; over many steps they add up to normal noise.")


__all__ = ["Index", "Tail", "anderson_darling", "describe_tails", "hill", "not_normal", "on_one_scale", "stable_index", "tails"]
