"""The fields of a training run beside its optimizer: lengths in steps, schedule, EMA of the weights, clipping.

Everything that is counted in steps is kept at equal samples seen; a schedule is a function of samples seen.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import Any

from .errors import FieldError, choice, real, whole
from .exact import Unrepresentable
from .families._family import Field
from .kind import CONVENTION, FOLLOWS, OURS, PAPER, PUBLISHED, Kind, PerStepFactor, Power
from .kinds import RATE

CLOCK = f"{PAPER}, equal samples seen"
ROUNDING_WORTH_SAYING = 0.01
MOST_STEPS = 10**15
REDUCTIONS = ("mean", "sum")  # of the losses of a global batch; the first where nothing is said
SCHEDULES = ("constant", "linear", "cosine", "wsd", "inverse-sqrt", "exponential", "milestones")


def rounded(steps: int, kappa: Fraction) -> tuple[int, float]:
    """steps / kappa rounded to a whole number (halves up), and how far off that is as a share."""
    exact = steps / kappa
    whole_steps = math.floor(exact + Fraction(1, 2))
    return whole_steps, float(abs(whole_steps - exact) / exact) if exact else 0.0


def _steps(value: int, kappa: Fraction) -> int:
    steps, _ = rounded(value, kappa)
    if steps > MOST_STEPS:
        raise Unrepresentable(f"becomes more than {MOST_STEPS:.0e} steps at kappa = {float(kappa):g}: give a target nearer to "
                              "the base")
    return steps


@dataclass(frozen=True)
class CountedInSteps(Kind):
    """What is counted in steps: kept at equal samples seen."""

    status: str = CONVENTION
    source: str = CLOCK
    reason: str = "Both runs see the same number of samples, and a step covers kappa times as many."
    least: int = 1
    example: int = 1000

    def formula(self, name: str) -> str:
        return f"{name}' = {name} / kappa, rounded"


@dataclass(frozen=True)
class Steps(CountedInSteps):
    """A number of steps, k' = k / kappa, rounded; None where not one step is left of at least ``least``."""

    def check(self, name: str, value: object) -> int:
        return whole(name, value, self.least, self.example, MOST_STEPS)

    def scale(self, value: int, kappa: Fraction) -> int | None:
        steps = _steps(value, kappa)
        return steps if steps >= self.least else None

    def warning(self, name: str, value: int, scaled: int | None, kappa: Fraction) -> str:
        exact = f"{value} / kappa = {float(value / kappa):.6g}"
        if scaled is None:
            return f"{exact} is less than one step of the target batch: give more steps or a smaller target."
        off = rounded(value, kappa)[1]
        return f"{exact} was rounded to {scaled}, {off:.0%} off." if off > ROUNDING_WORTH_SAYING else ""


@dataclass(frozen=True)
class Interval(Steps):
    """Steps between two events that leave the training as it is, so every step is the least and never out of range."""

    def scale(self, value: int, kappa: Fraction) -> int:
        return max(1, _steps(value, kappa))

    def formula(self, name: str) -> str:
        return f"{name}' = {name} / kappa, rounded, at least 1"

    def warning(self, name: str, value: int, scaled: int | None, kappa: Fraction) -> str:
        if value >= kappa:
            return super().warning(name, value, scaled, kappa)
        exact = float(value / kappa)
        return f"{value} / kappa = {exact:.6g} is less than one step of the target batch: it happens at every step."


@dataclass(frozen=True)
class StepList(CountedInSteps):
    """Several numbers of steps in rising order, for example the milestones of a schedule."""

    def check(self, name: str, value: object) -> tuple[int, ...]:
        allowed = "is not a list of steps: give whole numbers in rising order, for example 1000 2000"
        if isinstance(value, (str, bytes)) or not isinstance(value, Iterable):
            raise FieldError(name, value, allowed)
        steps = tuple(whole(name, milestone, self.least, self.example, MOST_STEPS) for milestone in value)
        if not steps or any(later <= earlier for earlier, later in pairwise(steps)):
            raise FieldError(name, list(steps), allowed)
        return steps

    def scale(self, value: tuple[int, ...], kappa: Fraction) -> tuple[int, ...] | None:
        steps = tuple(_steps(milestone, kappa) for milestone in value)
        apart = all(later > earlier for earlier, later in pairwise((self.least - 1, *steps)))
        return steps if apart else None

    def warning(self, name: str, value: tuple[int, ...], scaled: tuple[int, ...] | None, kappa: Fraction) -> str:
        if scaled is None:
            return "Milestones fall together or before the first step of the target batch: give a smaller target."
        off = [(base, new, rounded(base, kappa)[1]) for base, new in zip(value, scaled, strict=True)]
        base, new, worst = max(off, key=lambda row: row[2])
        if worst <= ROUNDING_WORTH_SAYING:
            return ""
        return f"{base} / kappa = {float(base / kappa):.6g} was rounded to {new}, {worst:.0%} off."


@dataclass(frozen=True)
class Unchanged(Kind):
    """What no step counts and no gradient is compared with."""

    status: str = CONVENTION
    source: str = "not a rate per step"

    def scale(self, value: Any, kappa: Fraction) -> Any:
        return value

    def formula(self, name: str) -> str:
        return f"{name}' = {name}"


@dataclass(frozen=True)
class Share(Unchanged):
    """A share between 0 and 1."""

    def check(self, name: str, value: object) -> float:
        allowed = "is not a share: give a number from 0 to 1, for example 0.1"
        number = real(name, value, allowed)
        if not 0 <= number <= 1:
            raise FieldError(name, value, allowed)
        return number


@dataclass(frozen=True)
class Named(Unchanged):
    """A choice among names, for example the shape of a schedule."""

    names: tuple[str, ...] = ()

    def check(self, name: str, value: object) -> str:
        return choice(name, value, self.names)


_SHAPE = "It is a share of the run or a factor, and both runs are as long in samples."
_NOISE = "It acts on every sample by itself, whatever the batch."

RUN_FIELDS: dict[str, Field] = {
    "total_steps": Field(Steps(example=100_000), None, "Total steps"),
    "warmup_steps": Field(Steps(least=0, example=2_000), None, "Warm-up steps"),
    "schedule": Field(Named(names=SCHEDULES, source=CLOCK, reason="A schedule is a function of samples seen."), None, "Schedule"),
    "warmup_fraction": Field(Share(reason=_SHAPE), None, "Warm-up fraction"),
    "decay_steps": Field(Steps(least=0, example=10_000), None, "Decay steps"),
    "milestones": Field(StepList(), None, "Milestones"),
    "milestone_factor": Field(Share(reason=_SHAPE), None, "Factor at milestones"),
    "gamma_per_step": Field(PerStepFactor(CONVENTION, CLOCK, "The same decay of lr over equal samples."), None,
                            "Gamma per step"),
    "min_lr": Field(Power(status=FOLLOWS, source=PAPER, exponent=RATE.exponent, example="1e-5",
                          reason="It is a learning rate, and moves as lr does."), None, "Minimum lr"),
    "eval_interval": Field(Interval(), None, "Evaluation interval"),
    "log_interval": Field(Interval(), None, "Logging interval"),
    "checkpoint_interval": Field(Interval(), None, "Checkpoint interval"),
    "ema_decay": Field(PerStepFactor(PUBLISHED, "Busbridge et al. 2023 (arXiv 2307.13813)",
                                     "The average of the weights keeps its half-life in samples."), None, "EMA decay"),
    "clip_norm": Field(Power(status=OURS, source="norm of the gradient in the paper's regime", exponent=Fraction(-1, 2),
                             gradient_power=1, noise_power=1, positive=True, example="1.0",
                             reason="Where noise dominates, the gradient's norm is the noise's, and that falls by sqrt(kappa); "
                             "where the signal dominates, keep the threshold."), None, "Gradient clip norm"),
    "loss_reduction": Field(Named(names=REDUCTIONS, source="how the training code adds up the losses of a global batch",
                                  reason="It says what the gradient is of: their mean, or their sum, which grows with the "
                                  "batch."),
                            None, "Loss reduction"),
    "dropout": Field(Share(reason=_NOISE), None, "Dropout"),
    "label_smoothing": Field(Share(reason=_NOISE), None, "Label smoothing"),
}
