"""Whether the steps of an arm met the curvature of the loss: its measured sharpness against the stability limit of its steps.

Beyond the limit, steps along the sharpest direction overshoot by more than they came with, until the preconditioner or the loss
gives way. Training often settles there (the edge of stability) [Cohen et al. 2022, arXiv 2207.14484], so that it is a reason
why an arm may lag, never a proof that it diverges.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import pandas as pd

from ..rules import TrainingConfig
from ..rules.stability import NEAR, stability_limit
from .verdict import Verdict

METRICS = ["sharpness", "sharpness_limit"]
REMEDIES = "a smaller kappa, or (not measured here) a warm-up by samples after the change of batch"


@dataclass(frozen=True)
class Curvature:
    """An arm's sharpness and what its steps bore, where it came nearest to that: medians over the runs that were measured then.

    samples: when that was.
    """

    sharpness: float
    limit: float
    samples: int

    @property
    def share(self) -> float:
        """Of the limit; above 1 beyond it."""
        return self.sharpness / self.limit

    @property
    def met(self) -> bool:
        """Whether the steps came near the limit."""
        return self.share >= NEAR


def curvatures(curves: pd.DataFrame) -> dict[str, Curvature]:
    """Curvature by arm, of those where it was measured (curves: columns arm, seed, metric, samples, value)."""
    measured = curves[curves["metric"].isin(METRICS)]
    table = measured.pivot_table(index=["arm", "samples"], columns="metric", values="value", aggfunc="median")
    table = table.reindex(columns=METRICS).dropna()
    nearest: dict[str, Curvature] = {}
    if len(table):
        for (arm, samples), sharpness, limit in zip(table.index, table["sharpness"], table["sharpness_limit"], strict=True):
            there = Curvature(float(sharpness), float(limit), int(samples))
            if math.isfinite(there.share) and (arm not in nearest or there.share > nearest[arm].share):
                nearest[arm] = there
    return nearest


def base_sharpness(curves: pd.DataFrame, config: TrainingConfig, base: str = "base") -> float | None:
    """The sharpness of the base arm where it came nearest to its limit; None where it was not measured.

    config: the base arm's. As it counts at its learning rate: lower by a schedule's factor where that was at work.
    """
    own = curvatures(curves).get(base)
    return own.share * stability_limit(config) if own and own.share > 0 else None


def with_curvature(verdicts: Mapping[str, Verdict], curves: pd.DataFrame, configs: Mapping[str, TrainingConfig]
                   ) -> dict[str, Verdict]:
    """The verdicts, where an arm does not match and its steps met curvature with that in its sentence.

    configs: of the arms whose hyperparameters stay the same all along.
    """
    of_arms = curvatures(curves)
    extra = {arm: sentence(arm, of_arms, configs.get(arm)) for arm, verdict in verdicts.items() if verdict.outcome != "matches"}
    return {arm: replace(verdict, sentence=f"{verdict.sentence} {extra[arm]}") if extra.get(arm) else verdict
            for arm, verdict in verdicts.items()}


def sentence(arm: str, of_arms: Mapping[str, Curvature], config: TrainingConfig | None = None, base: str = "base") -> str:
    """That an arm's steps met curvature, and what helps; "" where they did not, or nothing was measured."""
    own, bases = of_arms.get(arm), of_arms.get(base)
    if own is None or not own.met:
        return ""
    values = {} if config is None else config.hyperparameters
    held = [f"{name} {values[name]:.3g}" for name in ("beta1", "momentum", "lr") if values.get(name)] or ["they"]
    bear = "bears" if held[1:] == [] and values else "bear"
    beside = f" (base's is at {bases.share:.0%} of its limit)" if bases else ""
    remedies = f"{REMEDIES}, or beta1 kept higher once the fast start is over" if values.get("beta1") else REMEDIES
    return (f"The steps meet curvature: preconditioned sharpness {own.sharpness:,.0f} after {own.samples:,} samples, of at most "
            f"{own.limit:,.0f} that {' and '.join(held)} {bear}{beside}. Training can go on there, but no longer as base does; "
            f"what may help: {remedies}.")
