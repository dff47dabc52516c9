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
        """Infinite only where both indices lie below 2, finite where Hill's lies above: the stable index of a law with a finite
        variance and heavy tails is below 2, too, as long as sums are short."""
        if self.hill is None or self.stable is None:
            return "unclear"
        if self.hill.low > FINITE_VARIANCE:
            return "finite"
        return "infinite" if max(self.hill.high, self.stable.high) < FINITE_VARIANCE else "unclear"


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
    known = [one for one in found if one.variance != "unclear"]
    if not known:
        return ""
    heavy = sorted({one.layer for one in known if one.variance == "infinite"})
    rejected = float(np.nanmean([one.not_normal for one in known]))
    normal = f"{rejected:.0%} of random projections were rejected as normal, where {NORMAL:.0%} would be chance"
    if heavy:
        return (f"The gradient noise of {', '.join(heavy)} looks as if its variance were infinite ({normal}): no SDE driven by "
                "Brownian motion describes it, the rule is not derived for it, and what the curves say is experience alone.")
    lowest = min(known, key=lambda one: one.hill.alpha)
    return (f"The gradient noise has a finite variance in every layer that could be judged (tail index {lowest.hill.alpha:.2g}, "
            f"{lowest.hill.low:.2g} to {lowest.hill.high:.2g}, in {lowest.layer}, the lowest; {normal}): as the rule assumes.")


__all__ = ["Index", "Tail", "anderson_darling", "describe_tails", "hill", "not_normal", "on_one_scale", "stable_index", "tails"]
