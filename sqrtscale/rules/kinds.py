"""What a hyperparameter *is* decides how it moves with the batch size.

Throughout, kappa = target batch / base batch, a prime marks the target, and the source of the
square-root rule is Malladi, Lyu, Panigrahi, Arora, "On the SDEs and Scaling Rules for Adaptive
Gradient Algorithms", NeurIPS 2022, arXiv 2205.10287 (called "the paper"). Numbers are taken as the
decimal the user typed and scaled as exact fractions where the rule is rational, so 0.9 at kappa = 4
is 0.6 and not 0.6000000000000001.
"""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass, field, replace
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


SAME = 1e-9  # relative: what a transfer there and back may lose
FACTORS = {Fraction(-1): "{} / kappa", Fraction(-1, 2): "{} / sqrt(kappa)", Fraction(0): "{}", Fraction(1, 2): "sqrt(kappa) * {}",
           Fraction(1): "kappa * {}", Fraction(3, 2): "kappa^1.5 * {}", Fraction(2): "kappa^2 * {}"}
SUMMED = {-1: "1 / kappa", 1: "kappa", 2: "kappa^2"}  # gradient_power -> what a summed loss adds to the exponent


class Unrepresentable(ArithmeticError):
    """A scaled value that floating point cannot hold; says what is allowed, as a FieldError does."""


def as_float(exact: Fraction | float) -> float | None:
    """The float next to a number >= 0; None where floats end, or no longer have all their digits."""
    try:
        number = float(exact)
    except OverflowError:
        return None
    return number if exact == 0 or sys.float_info.min <= number <= sys.float_info.max else None


def to_the_kappa(value: float, kappa: Fraction) -> float:
    """value^kappa for a value in [0, 1]; raises Unrepresentable where floats hold too little of it to lead back to the value."""
    power = value ** float(kappa)
    if not math.isclose(power ** float(1 / kappa), value, rel_tol=SAME):
        raise Unrepresentable(f"rounds to {power:.6g} at kappa = {float(kappa):g}, and nothing leads back from there: "
                              "give a target nearer to the base")
    return power


@dataclass(frozen=True)
class Kind:
    """How one kind of hyperparameter is checked and scaled. Subclasses hold one rule each.

    gradient_power: p where the field is compared with the gradient to the power p, or stands for 1 / p of it (SGD's lr, -1):
    a gradient that is c times larger needs c^p times the value for the same run.
    """

    status: str = PROVED
    source: str = PAPER
    gradient_power: int = field(default=0, kw_only=True)

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

    def of_sums(self) -> Kind:
        """This kind where the loss is summed over the global batch: g = B times the averaged one."""
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
        return self.times(value, kappa, 1.0)

    def times(self, value: float, kappa: Fraction, factor: float) -> float:
        """kappa^exponent factor value; raises Unrepresentable."""
        if kappa == 1:
            return value
        whole = int(self.exponent)  # towards 0, so that nothing overflows on the way to a number of ordinary size
        exact = as_float(Fraction(repr(value)) * kappa**whole)
        root = math.sqrt(kappa ** int(2 * (self.exponent - whole)))
        scaled = None if exact is None else as_float(exact * root * factor)
        if scaled is None or (value > 0 and scaled == 0):
            raise Unrepresentable(f"leaves the range of floating-point numbers at kappa = {float(kappa):g}: "
                                  "give a value of ordinary size")
        return scaled

    def formula(self, name):
        return f"{name}' = {FACTORS[self.exponent].format(name)}"

    def reason(self, name):
        return self.why

    def of_sums(self):
        if not self.gradient_power:
            return self
        more = SUMMED[self.gradient_power]
        return replace(self, status=OURS, source=f"{self.source}, for the B times larger gradient of a sum",
                       exponent=self.exponent + self.gradient_power,
                       why=f"{self.why} The loss is summed over the global batch, so the gradient grows by kappa: {more} more.")


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
        return to_the_kappa(value, kappa)

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
        exact = 1 - kappa * (1 - Fraction(repr(value)))
        scaled = float(exact)
        if abs(Fraction(repr(scaled)) - exact) > kappa * Fraction(SAME) and scaled < 1:
            raise Unrepresentable(f"rounds to {scaled!r} at kappa = {float(kappa):g}, and nothing leads back from there: "
                                  "give a target nearer to the base")
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
        return to_the_kappa(value, kappa)

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
    gradient_power=-1,
    status=PUBLISHED,
    source="Li, Tai, E 2019 (arXiv 1811.01558); Goyal et al. 2017 (arXiv 1706.02677)",
    exponent=Fraction(1),
    positive=True,
    example="0.1",
    why="SGD's step is the gradient itself: drift per sample and noise per sample both keep with lr / batch.",
)
DECAY = Decay()
ROOT_MAGNITUDE = Power(
    gradient_power=1,
    exponent=Fraction(-1, 2),
    example="1e-8",
    why="eps is compared with sqrt(v), the gradient noise's size, and a kappa times larger batch has "
    "sqrt(kappa) times less noise.",
)
SQUARE_MAGNITUDE = Power(
    gradient_power=2,
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
    gradient_power=1,
    status=FOLLOWS,
    source=f"{PAPER}, SDE",
    exponent=Fraction(0),
    why="The decay is part of the gradient, so it moves as the gradient's mean does, which no batch size changes.",
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


@dataclass(frozen=True)
class RateBesideHalfLife(Power):
    """lr where momentum' = momentum^kappa: lr / (1 - momentum) moves by the exponent."""

    momentum: float = 0.0

    def scale(self, value, kappa):
        log = math.log(self.momentum)
        after = self.momentum ** float(kappa)
        factor = math.expm1(log * float(kappa)) / math.expm1(log)
        back = math.expm1(math.log(after) / float(kappa)) / math.expm1(math.log(after)) if 0 < after < 1 else 0.0
        if not math.isclose(factor * back, 1, rel_tol=SAME):
            raise Unrepresentable(f"moves with momentum = {self.momentum:g}, which rounds to {after:.6g} at kappa = "
                                  f"{float(kappa):g}, and nothing leads back from there: give a target nearer to the base")
        return self.times(value, kappa, factor)

    def formula(self, name):
        return f"{name}' = {FACTORS[self.exponent].format(f'(1 - momentum^kappa) / (1 - momentum) * {name}')}"


def with_scaled_momentum(rate: Power, momentum: float, form: DecayForm) -> Power:
    """The rule of lr when a Momentum is scaled like a decay, so that lr / (1 - momentum) moves as when it is kept."""
    about = {"status": FOLLOWS, "source": MOMENTUM.source}
    if form == "half-life":
        return RateBesideHalfLife(**about, gradient_power=rate.gradient_power, exponent=rate.exponent, positive=rate.positive,
                                  example=rate.example, momentum=momentum,
                                  why="momentum is scaled too, and lr / (1 - momentum) must still move by the rule.")
    return replace(rate, **about, exponent=rate.exponent + 1,
                   why="momentum is scaled too, so 1 - momentum grows by kappa, and lr / (1 - momentum) must still move by "
                   "the rule.")
