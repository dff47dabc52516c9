"""What a kind is, and the laws that kinds follow: how a value is checked and how it moves with the batch size.

Numbers are taken as the decimal the user typed and scaled as exact fractions where the rule is rational, so 0.9 at kappa = 4
is 0.6 and not 0.6000000000000001.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any, Literal

from .errors import FieldError, real
from .exact import SAME, Unrepresentable, as_float, to_the_kappa

DecayForm = Literal["linear", "half-life"]
DECAY_FORMS: tuple[DecayForm, ...] = ("linear", "half-life")

PAPER = "Malladi et al. 2022 (arXiv 2205.10287)"
HALF_LIFE_SOURCE = "half-life in samples kept; Marek et al. 2025 (arXiv 2507.07101) for beta2"

SIGNAL_SOURCE = "lr / (B sqrt(v)) kept per sample, v = G^2 + S / B (docs/theory.md); noise scale b = S / G^2"

PROVED = "proved in the paper"
FOLLOWS = "follows from the SDE"
PUBLISHED = "published elsewhere"
OURS = "derived by us"
CONVENTION = "convention"

FACTORS = {Fraction(-1): "{} / kappa", Fraction(-1, 2): "{} / sqrt(kappa)", Fraction(0): "{}", Fraction(1, 2): "sqrt(kappa) * {}",
           Fraction(1): "kappa * {}", Fraction(3, 2): "kappa^1.5 * {}", Fraction(2): "kappa^2 * {}"}
SIGNAL = {-1: " / sqrt(q)", 1: " * sqrt(q)", 2: " * q"}  # noise_power -> what the signal's excess does to the factor
SUMMED = {-1: "1 / kappa", 1: "kappa", 2: "kappa^2"}  # gradient_power -> what a summed loss adds to the exponent


@dataclass(frozen=True)
class Kind:
    """How one kind of hyperparameter is checked and scaled. Subclasses hold one rule each.

    status, source: how sure the rule is, and from where; reason: why it is so, in one sentence for a user.
    gradient_power: p where the field is compared with the gradient to the power p, or stands for 1 / p of it (SGD's lr, -1):
    a gradient that is c times larger needs c^p times the value for the same run.
    """

    status: str = PROVED
    source: str = PAPER
    reason: str = ""
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

    def warning(self, name: str, value: Any, scaled: Any, kappa: Fraction) -> str:
        """What a user must know about this value at this kappa; mostly nothing."""
        return ""

    def in_form(self, form: DecayForm) -> Kind:
        """This kind as that decay form has it: only decays differ."""
        return self

    def of_sums(self) -> Kind:
        """This kind where the loss is summed over the global batch: g = B times the averaged one."""
        return self

    def with_signal(self, excess: float) -> Kind:
        """This kind where the gradient's mean counts beside its noise; excess: q of ``sqrtscale.rules.signal``."""
        return self


@dataclass(frozen=True)
class Power(Kind):
    """value' = kappa^exponent q^(noise_power / 2) value, for a value >= 0 (``positive``: > 0).

    noise_power: c where the factor follows sqrt(v), the size of a batch's gradient, to the power c. The exponent takes that size
    for 1 / sqrt(kappa) times the base's, as it is where noise dominates; it is sqrt(q) times more (excess: q, 1 there).
    """

    exponent: Fraction = Fraction(0)
    positive: bool = False
    example: str = "0.01"
    noise_power: int = field(default=0, kw_only=True)
    excess: float = field(default=1.0, kw_only=True)

    def check(self, name: str, value: object) -> float:
        bound = "a finite number above 0" if self.positive else "a finite number, 0 or more"
        allowed = f"is not allowed: give {bound}, for example {self.example}"
        number = real(name, value, allowed)
        if number < 0 or (self.positive and number == 0):
            raise FieldError(name, value, allowed)
        return number

    def scale(self, value: float, kappa: Fraction) -> float:
        return self.times(value, kappa, 1.0)

    def times(self, value: float, kappa: Fraction, factor: float) -> float:
        """kappa^exponent q^(noise_power / 2) factor value; raises Unrepresentable."""
        if kappa == 1:
            return value
        factor *= self.excess ** (self.noise_power / 2)
        whole = int(self.exponent)  # towards 0, so that nothing overflows on the way to a number of ordinary size
        exact = as_float(Fraction(repr(value)) * kappa**whole)
        root = math.sqrt(kappa ** int(2 * (self.exponent - whole)))
        scaled = None if exact is None else as_float(exact * root * factor)
        if scaled is None or (value > 0 and scaled == 0):
            raise Unrepresentable(f"leaves the range of floating-point numbers at kappa = {float(kappa):g}: "
                                  "give a value of ordinary size")
        return scaled

    def formula(self, name: str) -> str:
        return f"{name}' = {FACTORS[self.exponent].format(name)}{self._signal}"

    @property
    def _signal(self) -> str:
        return "" if self.excess == 1 else SIGNAL[self.noise_power]

    def with_signal(self, excess: float) -> Power:
        if not self.noise_power:
            return self
        return replace(self, excess=excess, status=OURS, source=SIGNAL_SOURCE,
                       reason=f"{self.reason} Here the gradient's mean counts as well, so the gradient of a larger batch shrinks "
                              "less than that: q = (kappa B + b) / (B + b), with the base batch B and the noise scale b.")

    def of_sums(self) -> Power:
        if not self.gradient_power:
            return self
        more = SUMMED[self.gradient_power]
        return replace(self, status=OURS, source=f"{self.source}, for the B times larger gradient of a sum",
                       exponent=self.exponent + self.gradient_power,
                       reason=f"{self.reason} The loss is summed over the global batch, so the gradient grows by kappa: "
                       f"{more} more.")


@dataclass(frozen=True)
class PerStepFactor(Kind):
    """A factor applied once a step, value' = value^kappa: the same product over equal samples, exactly."""

    def check(self, name: str, value: object) -> float:
        allowed = "is not a factor per step: give a number above 0 and at most 1, for example 0.9999"
        number = real(name, value, allowed)
        if not 0 < number <= 1:
            raise FieldError(name, value, allowed)
        return number

    def scale(self, value: float, kappa: Fraction) -> float:
        return to_the_kappa(value, kappa)

    def formula(self, name: str) -> str:
        return f"{name}' = {name}^kappa"


@dataclass(frozen=True)
class DecayRate(Kind):
    """A decay rate in [0, 1)."""

    def check(self, name: str, value: object) -> float:
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

    reason: str = "A step covers kappa times as many samples, so it must forget kappa times as much."

    def scale(self, value: float, kappa: Fraction) -> float | None:
        exact = 1 - kappa * (1 - Fraction(repr(value)))
        scaled = float(exact)
        if abs(Fraction(repr(scaled)) - exact) > kappa * Fraction(SAME) and scaled < 1:
            raise Unrepresentable(f"rounds to {scaled!r} at kappa = {float(kappa):g}, and nothing leads back from there: "
                                  "give a target nearer to the base")
        return scaled if 0 <= scaled < 1 else None  # a tiny kappa can round up to 1

    def half_life(self, value: float, kappa: Fraction) -> float:
        """beta^kappa [Marek et al. 2025, arXiv 2507.07101, for beta2; the same argument for beta1]."""
        scaled: float = value ** float(kappa)
        if scaled >= 1:
            raise Unrepresentable(f"rounds to 1 at kappa = {float(kappa):g}: give a target nearer to the base")
        return scaled

    def largest_kappa(self, value: float) -> float:
        """The largest kappa for which the linear form has a number: 1 / (1 - beta)."""
        return float(1 / (1 - Fraction(repr(value))))

    def formula(self, name: str) -> str:
        return f"{name}' = 1 - kappa * (1 - {name})"

    def warning(self, name: str, value: float, scaled: float | None, kappa: Fraction) -> str:
        if scaled is not None:
            return ""
        out = float(1 - kappa * (1 - Fraction(repr(value))))
        return (f"1 - kappa (1 - {name}) = {out:.6g} is not a decay rate. The linear form reaches "
                f"kappa = {self.largest_kappa(value):.6g}; the half-life form {name}^kappa gives "
                f"{self.half_life(value, kappa):.6g}.")

    def in_form(self, form: DecayForm) -> Decay:
        return HALF_LIFE if form == "half-life" else self


@dataclass(frozen=True)
class HalfLife(Decay):
    """The same decay in its half-life form, beta' = beta^kappa."""

    def scale(self, value: float, kappa: Fraction) -> float:
        return to_the_kappa(value, kappa)

    def formula(self, name: str) -> str:
        return f"{name}' = {name}^kappa"


HALF_LIFE = HalfLife(status=FOLLOWS, source=HALF_LIFE_SOURCE)


@dataclass(frozen=True)
class Momentum(DecayRate):
    """A momentum whose buffer has no factor (1 - mu), b = mu b + step: kept, because the rate is lr / (1 - mu).

    Scaling mu by the decays' rule instead keeps the buffer's half-life in samples; lr then needs
    kappa (1 - mu) / (1 - mu) = kappa more (``momentum_form="scaled"`` of the transfer).
    """

    reason: str = ("The buffer has no factor (1 - momentum), so the effective rate is lr / (1 - momentum): with momentum kept, "
                   "the factor on lr is the whole rule.")

    def scale(self, value: float, kappa: Fraction) -> float:
        return value

    def formula(self, name: str) -> str:
        return f"{name}' = {name}"


@dataclass(frozen=True)
class RateOfHalfLifeMomentum(Power):
    """lr where momentum' = momentum^kappa: lr / (1 - momentum) moves by the exponent."""

    momentum: float = 0.0

    def scale(self, value: float, kappa: Fraction) -> float:
        log = math.log(self.momentum)
        after = self.momentum ** float(kappa)
        factor = math.expm1(log * float(kappa)) / math.expm1(log)
        back = math.expm1(math.log(after) / float(kappa)) / math.expm1(math.log(after)) if 0 < after < 1 else 0.0
        if not math.isclose(factor * back, 1, rel_tol=SAME):
            raise Unrepresentable(f"moves with momentum = {self.momentum:g}, which rounds to {after:.6g} at kappa = "
                                  f"{float(kappa):g}, and nothing leads back from there: give a target nearer to the base")
        return self.times(value, kappa, factor)

    def formula(self, name: str) -> str:
        return f"{name}' = {FACTORS[self.exponent].format(f'(1 - momentum^kappa) / (1 - momentum) * {name}')}{self._signal}"
