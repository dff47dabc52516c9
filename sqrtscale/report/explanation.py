"""Why the rule may have failed: what was measured of the run, and what is known of the rule, in words."""

from __future__ import annotations

import math
from collections.abc import Mapping

import pandas as pd

from ..evidence import Regime, Verdict, noise_scale_course
from ..plan import CalibrationPlan
from ..rules import scale
from ..rules.signal import excess
from ..store import CalibrationRecord

EXPLAINS = 0.03  # of the speed per sample; less than that moves no curve visibly


def reasons(record: CalibrationRecord, verdicts: Mapping[str, Verdict], measured: Mapping[str, Regime],
            is_normal: bool | None = None) -> tuple[str, ...]:
    """A sentence for each batch at which the full rule differs from base, in Markdown; none where it nowhere does.

    verdicts: as the function of that name gave them; measured: as ``regimes`` did; is_normal: as ``evidence.passes_for_normal``
    says of the gradient noise, None where its tails were not measured.
    """
    return tuple(_reason(record, name, measured.get(name), is_normal) for _, name in record.plan.frontier
                 if name in verdicts and verdicts[name].outcome == "differs" and verdicts[name].reason != "diverged")


def branching(plan: CalibrationPlan) -> str:
    """How the second moment of each noise-aware arm moves at the branch point, and that of the others; "" without such arms."""
    aware = [arm for arm in plan.arms if arm.group == "noise-aware"]
    if not aware or plan.start == "scratch":
        return ""
    moved = [f"{arm.name} by r = " + ("(1 + b / B') / (1 + b / B) of the noise scale b measured there" if arm.measured
                                      else f"{arm.excess(plan.base.batch_size) / plan.arm_kappa(arm.name):.4g}") for arm in aware]
    return (f"At the branch point the second moment of an arm moves by 1 / kappa, as it does where noise dominates; that of "
            f"{', of '.join(moved)}.")


def followed(plan: CalibrationPlan, curves: pd.DataFrame) -> str:
    """How the lr of each arm that follows the noise scale moved, and how surely that was known; "" without such arms."""
    course = noise_scale_course(curves, before=plan.warm_samples)
    sentences = []
    for arm in plan.arms if course else ():
        factors = curves[(curves["arm"] == arm.name) & (curves["metric"] == "lr_factor")].groupby("samples")["value"].mean()
        if not arm.measured or factors.empty:
            continue
        ratio, batches = course[-1][1], (plan.base.batch_size, plan.config_of(arm.name).batch_size)
        low, high = sorted(math.sqrt(plan.arm_kappa(arm.name) * excess(*batches, end)) if math.isfinite(end)
                           else math.sqrt(plan.arm_kappa(arm.name)) for end in (ratio.low, ratio.high))
        sentences.append(f"The learning rate of {arm.name} went from {factors.iloc[0]:.3g} to {factors.iloc[-1]:.3g} times "
                         f"base's; by the 95% interval of the noise scale at the end it lies between {low:.3g} and "
                         f"{high:.3g} times.")
    return " ".join(sentences)


def _reason(record: CalibrationRecord, name: str, regime: Regime | None, is_normal: bool | None) -> str:
    plan, batch, kappa = record.plan, record.plan.config_of(name).batch_size, record.plan.arm_kappa(name)
    moved = scale(plan.base, batch, plan.decay_form, plan.momentum_form, plan.correct_lr)
    of_the_rule = moved.forecast.drift if moved.forecast and not moved.lr_corrected else 1.0
    parts, speed = [f"at kappa = {kappa:g} the rule itself moves {_change(of_the_rule)} per sample"], of_the_rule
    if regime is not None:
        parts.insert(0, f"batch {batch} is {batch / regime.noise_scale:.0%} of the noise scale, so that signal counts as well "
                        f"and the rule moves {_change(regime.speed)} per sample")
        speed *= regime.speed
    known = f"Why **{name}** may differ: {'; '.join(parts)}."
    expected = f"Expected together: {_change(speed)} per sample than the base run." if abs(speed - 1) >= EXPLAINS \
        else "That does not explain it."
    noise = {True: ". The gradient noise passes for normal", False: ", and gradient noise that is not normal (see its tails)",
             None: ", and gradient noise that may be far from Gaussian, which was not settled here"}
    steps = max(math.sqrt(kappa), 1 / math.sqrt(kappa))
    return (f"{known} {expected} Not in these numbers: steps {steps:.2g} times as {'large' if kappa > 1 else 'small'} meet the "
            "curvature of the loss otherwise, which the rule leaves out (a loss that rises right after the branch point speaks "
            f"for it){noise[is_normal]}.")


def _change(speed: float) -> str:
    if abs(speed - 1) < 0.005:
        return "as far"
    return f"{abs(speed - 1):.1%} {'less' if speed < 1 else 'more'}"
