"""What a hyperparameter *is* decides how it moves with the batch size.

Throughout, kappa = target batch / base batch, a prime marks the target, and the source of the
square-root rule is Malladi, Lyu, Panigrahi, Arora, "On the SDEs and Scaling Rules for Adaptive
Gradient Algorithms", NeurIPS 2022, arXiv 2205.10287 (called "the paper"). Numbers are taken as the
decimal the user typed and scaled as exact fractions where the rule is rational, so 0.9 at kappa = 4
is 0.6 and not 0.6000000000000001.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

from .errors import FieldError, real

PAPER = "Malladi et al. 2022 (arXiv 2205.10287)"

PROVED = "proved in the paper"
FOLLOWS = "follows from the SDE"
CONVENTION = "convention"


@dataclass(frozen=True)
class Kind:
    """How one kind of hyperparameter is checked and scaled. Subclasses hold one rule each."""

    status: str = PROVED
    source: str = PAPER

    def check(self, name: str, value: object) -> float:
        """``value`` as a float, or FieldError."""
        raise NotImplementedError

    def scale(self, value: float, kappa: Fraction) -> float | None:
        """The scaled value, or None where the rule has no number."""
        raise NotImplementedError

    def formula(self, name: str) -> str:
        """The rule as one line of text, with a prime for the target."""
        raise NotImplementedError

    def reason(self, name: str) -> str:
        """Why, in one sentence for a user."""
        raise NotImplementedError


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
        if self.exponent.denominator == 1:
            return float(Fraction(repr(value)) * kappa**self.exponent.numerator)
        return value * math.sqrt(kappa) ** int(2 * self.exponent)

    def formula(self, name):
        return {
            Fraction(1, 2): f"{name}' = sqrt(kappa) * {name}",
            Fraction(-1, 2): f"{name}' = {name} / sqrt(kappa)",
            Fraction(0): f"{name}' = {name}",
        }[self.exponent]

    def reason(self, name):
        return self.why


@dataclass(frozen=True)
class Decay(Kind):
    """A decay per step: 1 - beta' = kappa (1 - beta); half-life form beta' = beta^kappa.

    The linear form has a number while 0 <= 1 - kappa (1 - beta) < 1. The half-life form keeps the
    moment's half-life in samples exactly and agrees with the linear form to first order in 1 - beta.
    """

    def check(self, name, value):
        allowed = "is not a decay rate: give a number in [0, 1), for example 0.999"
        number = real(name, value, allowed)
        if not 0 <= number < 1:
            raise FieldError(name, value, allowed)
        return number

    def scale(self, value, kappa):
        scaled = float(1 - kappa * (1 - Fraction(repr(value))))
        return scaled if 0 <= scaled < 1 else None  # a tiny kappa can round up to 1

    def half_life(self, value: float, kappa: Fraction) -> float | None:
        """beta^kappa [Marek et al. 2025, arXiv 2507.07101, for beta2; the same argument for beta1]."""
        scaled = value ** float(kappa)
        return scaled if scaled < 1 else None

    def largest_kappa(self, value: float) -> float:
        """The largest kappa for which the linear form has a number: 1 / (1 - beta)."""
        return float(1 / (1 - Fraction(repr(value))))

    def formula(self, name):
        return f"{name}' = 1 - kappa * (1 - {name})"

    def half_life_formula(self, name: str) -> str:
        return f"{name}' = {name}^kappa"

    def reason(self, name):
        return "A step covers kappa times as many samples, so it must forget kappa times as much."


RATE = Power(
    exponent=Fraction(1, 2),
    positive=True,
    example="0.001",
    why="The step is a normalised gradient times lr. Its noise adds up like a random walk, so equal "
    "spread per sample needs lr^2 per sample kept.",
)
DECAY = Decay()
ROOT_MAGNITUDE = Power(
    exponent=Fraction(-1, 2),
    example="1e-8",
    why="eps is compared with sqrt(v), the gradient noise's size, and a kappa times larger batch has "
    "sqrt(kappa) times less noise.",
)
DECAY_TIMES_LR = Power(
    status=FOLLOWS,
    source=f"{PAPER}, SDE; Wang & Aitchison 2024; Busbridge et al. 2023 (arXiv 2307.13813)",
    exponent=Fraction(1, 2),
    why="Each step shrinks weights by lr * weight_decay. With kappa times fewer steps and sqrt(kappa) "
    "times the lr, sqrt(kappa) times the decay keeps the shrinkage per sample.",
)
L2_IN_GRADIENT = Power(
    status=FOLLOWS,
    source=f"{PAPER}, SDE",
    exponent=Fraction(0),
    why="The decay is part of the gradient, so it moves with the gradient: unchanged.",
)


@dataclass(frozen=True)
class KeptMomentum(Decay):
    """PyTorch RMSprop's momentum: b = mu b + g / (sqrt(v) + eps), with no factor (1 - mu).

    The effective rate is lr / (1 - mu). Keeping mu and scaling lr by sqrt(kappa) keeps the SDE;
    scaling mu as well would need lr kappa^1.5.
    """

    def scale(self, value, kappa):
        return value

    def formula(self, name):
        return f"{name}' = {name}"

    def reason(self, name):
        return (
            "PyTorch's buffer has no factor (1 - momentum), so the effective rate is lr / (1 - momentum): "
            "with momentum kept, sqrt(kappa) on lr is the whole rule."
        )


MOMENTUM = KeptMomentum(status=FOLLOWS, source=f"{PAPER}, SDE for the effective rate lr / (1 - momentum)")
