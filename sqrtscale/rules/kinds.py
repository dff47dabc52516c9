"""What a hyperparameter *is* decides how it moves with the batch size.

Throughout, kappa = target batch / base batch, a prime marks the target, and the source of the
square-root rule is Malladi, Lyu, Panigrahi, Arora, "On the SDEs and Scaling Rules for Adaptive
Gradient Algorithms", NeurIPS 2022, arXiv 2205.10287 (called "the paper"). Numbers are taken as the
decimal the user typed and scaled as exact fractions where the rule is rational, so 0.9 at kappa = 4
is 0.6 and not 0.6000000000000001.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, Literal

from .errors import FieldError, real

DecayForm = Literal["linear", "half-life"]
DECAY_FORMS: tuple[DecayForm, ...] = ("linear", "half-life")

PAPER = "Malladi et al. 2022 (arXiv 2205.10287)"
HALF_LIFE_SOURCE = "half-life in samples kept; Marek et al. 2025 (arXiv 2507.07101) for beta2"

PROVED = "proved in the paper"
FOLLOWS = "follows from the SDE"
PUBLISHED = "published elsewhere"
OURS = "derived by us"
CONVENTION = "convention"


class Unrepresentable(ArithmeticError):
    """A scaled value that floating point cannot hold; says what is allowed, as a FieldError does."""


@dataclass(frozen=True)
class Kind:
    """How one kind of hyperparameter is checked and scaled. Subclasses hold one rule each."""

    status: str = PROVED
    source: str = PAPER

    def check(self, name: str, value: object) -> Any:
        """``value`` as this kind holds it, or FieldError."""
        raise NotImplementedError

    def scale(self, value: Any, kappa: Fraction) -> Any:
        """The scaled value, or None where the rule has no number."""
        raise NotImplementedError

    def formula(self, name: str) -> str:
        """The rule as one line of text, with a prime for the target."""
        raise NotImplementedError

    def reason(self, name: str) -> str:
        """Why, in one sentence for a user."""
        raise NotImplementedError

    def warning(self, name: str, value: Any, scaled: Any, kappa: Fraction) -> str:
        """What a user must know about this value at this kappa; mostly nothing."""
        return ""

    def in_form(self, form: DecayForm) -> Kind:
        """This kind as that decay form has it: only decays differ."""
        return self


@dataclass(frozen=True)
class Power(Kind):
    """value' = kappa^exponent value, for a value >= 0 (``positive``: > 0)."""

    exponent: Fraction = Fraction(0)
    positive: bool = False
    example: str = "0.01"
    why: str = ""

    def check(self, name, value):
        bound = "a finite number above 0" if self.positive else "a finite number, 0 or more"
        allowed = f"is not allowed: give {bound}, for example {self.example}"
        number = real(name, value, allowed)
        if number < 0 or (self.positive and number == 0):
            raise FieldError(name, value, allowed)
        return number

    def scale(self, value, kappa):
        whole, half = divmod(self.exponent, 1)
        exact = Fraction(repr(value)) * kappa ** int(whole)
        try:
            scaled = float(exact) * math.sqrt(kappa) if half else float(exact)
        except OverflowError:
            scaled = math.inf
        if not math.isfinite(scaled) or (value > 0 and scaled == 0):
            raise Unrepresentable(f"leaves the range of floating-point numbers at kappa = {float(kappa):g}: "
                                  "give a value of ordinary size")
        return scaled

    def formula(self, name):
        return f"{name}' = " + {
            Fraction(-1): f"{name} / kappa",
            Fraction(-1, 2): f"{name} / sqrt(kappa)",
            Fraction(0): f"{name}",
            Fraction(1, 2): f"sqrt(kappa) * {name}",
            Fraction(1): f"kappa * {name}",
            Fraction(3, 2): f"kappa^1.5 * {name}",
            Fraction(2): f"kappa^2 * {name}",
        }[self.exponent]

    def reason(self, name):
        return self.why


@dataclass(frozen=True)
class PerStepFactor(Kind):
    """A factor applied once a step, value' = value^kappa: the same product over equal samples, exactly."""

    why: str = ""

    def check(self, name, value):
        allowed = "is not a factor per step: give a number above 0 and at most 1, for example 0.9999"
        number = real(name, value, allowed)
        if not 0 < number <= 1:
            raise FieldError(name, value, allowed)
        return number

    def scale(self, value, kappa):
        scaled = value ** float(kappa)
        if scaled == 0 or (scaled == 1 and value < 1):
            raise Unrepresentable(f"rounds to {scaled:g} at kappa = {float(kappa):g}: give a target nearer to the base")
        return scaled

    def formula(self, name):
        return f"{name}' = {name}^kappa"

    def reason(self, name):
        return self.why


@dataclass(frozen=True)
class DecayRate(Kind):
    """A decay rate in [0, 1)."""

    def check(self, name, value):
        allowed = "is not a decay rate: give a number in [0, 1), for example 0.999"
        number = real(name, value, allowed)
        if not 0 <= number < 1:
            raise FieldError(name, value, allowed)
        return number


@dataclass(frozen=True)
class Decay(DecayRate):
    """A decay per step that the rule moves: 1 - beta' = kappa (1 - beta); half-life form beta' = beta^kappa.

    The linear form has a number while 0 <= 1 - kappa (1 - beta) < 1. The half-life form keeps the
    moment's half-life in samples exactly and agrees with the linear form to first order in 1 - beta.
    """

    def scale(self, value, kappa):
        scaled = float(1 - kappa * (1 - Fraction(repr(value))))
        return scaled if 0 <= scaled < 1 else None  # a tiny kappa can round up to 1

    def half_life(self, value: float, kappa: Fraction) -> float:
        """beta^kappa [Marek et al. 2025, arXiv 2507.07101, for beta2; the same argument for beta1]."""
        scaled = value ** float(kappa)
        if scaled >= 1:
            raise Unrepresentable(f"rounds to 1 at kappa = {float(kappa):g}: give a target nearer to the base")
        return scaled

    def largest_kappa(self, value: float) -> float:
        """The largest kappa for which the linear form has a number: 1 / (1 - beta)."""
        return float(1 / (1 - Fraction(repr(value))))

    def formula(self, name):
        return f"{name}' = 1 - kappa * (1 - {name})"

    def reason(self, name):
        return "A step covers kappa times as many samples, so it must forget kappa times as much."

    def warning(self, name, value, scaled, kappa):
        if scaled is not None:
            return ""
        out = float(1 - kappa * (1 - Fraction(repr(value))))
        return (f"1 - kappa (1 - {name}) = {out:.6g} is not a decay rate. The linear form reaches "
                f"kappa = {self.largest_kappa(value):.6g}; the half-life form {name}^kappa gives "
                f"{self.half_life(value, kappa):.6g}.")

    def in_form(self, form):
        return HALF_LIFE if form == "half-life" else self


@dataclass(frozen=True)
class HalfLife(Decay):
    """The same decay in its half-life form, beta' = beta^kappa."""

    def scale(self, value, kappa):
        return self.half_life(value, kappa)

    def formula(self, name):
        return f"{name}' = {name}^kappa"


HALF_LIFE = HalfLife(status=FOLLOWS, source=HALF_LIFE_SOURCE)


@dataclass(frozen=True)
class Momentum(DecayRate):
    """A momentum whose buffer has no factor (1 - mu), b = mu b + step: kept, because the rate is lr / (1 - mu).

    Scaling mu by the decays' rule instead keeps the buffer's half-life in samples; lr then needs
    kappa (1 - mu) / (1 - mu) = kappa more (``momentum_form="scaled"`` of the transfer).
    """

    def scale(self, value, kappa):
        return value

    def formula(self, name):
        return f"{name}' = {name}"

    def reason(self, name):
        return ("The buffer has no factor (1 - momentum), so the effective rate is lr / (1 - momentum): with momentum kept, "
                "the factor on lr is the whole rule.")


RATE = Power(
    exponent=Fraction(1, 2),
    positive=True,
    example="0.001",
    why="The step is a normalised gradient times lr. Its noise adds up like a random walk, so equal "
    "spread per sample needs lr^2 per sample kept.",
)
SGD_RATE = Power(
    status=PUBLISHED,
    source="Li, Tai, E 2019 (arXiv 1811.01558); Goyal et al. 2017 (arXiv 1706.02677)",
    exponent=Fraction(1),
    positive=True,
    example="0.1",
    why="SGD's step is the gradient itself: drift per sample and noise per sample both keep with lr / batch.",
)
DECAY = Decay()
ROOT_MAGNITUDE = Power(
    exponent=Fraction(-1, 2),
    example="1e-8",
    why="eps is compared with sqrt(v), the gradient noise's size, and a kappa times larger batch has "
    "sqrt(kappa) times less noise.",
)
SQUARE_MAGNITUDE = Power(
    status=FOLLOWS,
    source=f"{PAPER}, SDE with eps inside the root",
    exponent=Fraction(-1),
    example="1e-7",
    why="eps stands inside the root and is compared with v, the noise's variance, which a kappa times larger batch "
    "makes kappa times smaller.",
)
DECAY_TIMES_LR = Power(
    status=FOLLOWS,
    source=f"{PAPER}, SDE; Wang & Aitchison 2024; Busbridge et al. 2023 (arXiv 2307.13813)",
    exponent=Fraction(1, 2),
    why="Each step shrinks weights by lr * weight_decay. With kappa times fewer steps and sqrt(kappa) "
    "times the lr, sqrt(kappa) times the decay keeps the shrinkage per sample.",
)
DECAY_WITHOUT_LR = Power(
    status=FOLLOWS,
    source=f"{PAPER}, SDE",
    exponent=Fraction(1),
    why="Each step shrinks weights by weight_decay, whatever lr is. Kappa times fewer steps need kappa times the decay.",
)
L2_IN_GRADIENT = Power(
    status=FOLLOWS,
    source=f"{PAPER}, SDE",
    exponent=Fraction(0),
    why="The decay is part of the gradient, so it moves with the gradient: unchanged.",
)
RATE_OF_STEPS = Power(
    status=FOLLOWS,
    source=f"{PAPER}, equal samples seen",
    exponent=Fraction(1),
    example="0.004",
    why="It multiplies the number of steps, and a step covers kappa times as many samples.",
)
MOMENTUM = Momentum(status=FOLLOWS, source=f"{PAPER}, SDE for the effective rate lr / (1 - momentum)")
SCALED_MOMENTUM = Decay(status=FOLLOWS, source=MOMENTUM.source)


def with_scaled_momentum(rate: Power) -> Power:
    """The rule of lr when a Momentum is scaled like a decay: kappa times more than when it is kept."""
    return replace(rate, status=FOLLOWS, exponent=rate.exponent + 1, source=MOMENTUM.source,
                   why="momentum is scaled too, so 1 - momentum grows by kappa, and lr / (1 - momentum) must still move by "
                   "the rule.")
