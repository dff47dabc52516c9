"""What a hyperparameter *is* decides how it moves with the batch size: the table of kinds.

Throughout, kappa = target batch / base batch, a prime marks the target, and the source of the
square-root rule is Malladi, Lyu, Panigrahi, Arora, "On the SDEs and Scaling Rules for Adaptive
Gradient Algorithms", NeurIPS 2022, arXiv 2205.10287 (called "the paper").
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

from .kind import FOLLOWS, PAPER, PUBLISHED, Decay, DecayForm, Momentum, Power, RateOfHalfLifeMomentum

RATE = Power(
    noise_power=1,
    exponent=Fraction(1, 2),
    positive=True,
    example="0.001",
    reason="The step is a normalised gradient times lr. Its noise adds up like a random walk, so equal "
    "spread per sample needs lr^2 per sample kept.",
)
SGD_RATE = Power(
    gradient_power=-1,
    status=PUBLISHED,
    source="Li, Tai, E 2019 (arXiv 1811.01558); Goyal et al. 2017 (arXiv 1706.02677)",
    exponent=Fraction(1),
    positive=True,
    example="0.1",
    reason="SGD's step is the gradient itself: drift per sample and noise per sample both keep with lr / batch.",
)
DECAY = Decay()
ROOT_MAGNITUDE = Power(
    gradient_power=1,
    noise_power=1,
    exponent=Fraction(-1, 2),
    example="1e-8",
    reason="eps is compared with sqrt(v), the gradient noise's size, and a kappa times larger batch has "
    "sqrt(kappa) times less noise.",
)
SQUARE_MAGNITUDE = Power(
    gradient_power=2,
    noise_power=2,
    status=FOLLOWS,
    source=f"{PAPER}, SDE with eps inside the root",
    exponent=Fraction(-1),
    example="1e-7",
    reason="eps stands inside the root and is compared with v, the noise's variance, which a kappa times larger batch "
    "makes kappa times smaller.",
)
DECAY_TIMES_LR = Power(
    noise_power=-1,
    status=FOLLOWS,
    source=f"{PAPER}, SDE; Wang & Aitchison 2024; Busbridge et al. 2023 (arXiv 2307.13813)",
    exponent=Fraction(1, 2),
    reason="Each step shrinks weights by lr * weight_decay. With kappa times fewer steps and sqrt(kappa) "
    "times the lr, sqrt(kappa) times the decay keeps the shrinkage per sample.",
)
DECAY_WITHOUT_LR = Power(
    status=FOLLOWS,
    source=f"{PAPER}, SDE",
    exponent=Fraction(1),
    reason="Each step shrinks weights by weight_decay, whatever lr is. Kappa times fewer steps need kappa times the decay.",
)
L2_IN_GRADIENT = Power(
    gradient_power=1,
    status=FOLLOWS,
    source=f"{PAPER}, SDE",
    exponent=Fraction(0),
    reason="The decay is part of the gradient, so it moves as the gradient's mean does, which no batch size changes.",
)
RATE_OF_STEPS = Power(
    status=FOLLOWS,
    source=f"{PAPER}, equal samples seen",
    exponent=Fraction(1),
    example="0.004",
    reason="It multiplies the number of steps, and a step covers kappa times as many samples.",
)
MOMENTUM = Momentum(status=FOLLOWS, source=f"{PAPER}, SDE for the effective rate lr / (1 - momentum)")
SCALED_MOMENTUM = Decay(status=FOLLOWS, source=MOMENTUM.source)


def with_scaled_momentum(rate: Power, momentum: float, form: DecayForm) -> Power:
    """The rule of lr when a Momentum is scaled like a decay, so that lr / (1 - momentum) moves as when it is kept."""
    if form == "half-life":
        return RateOfHalfLifeMomentum(
            status=FOLLOWS, source=MOMENTUM.source, gradient_power=rate.gradient_power, exponent=rate.exponent,
            positive=rate.positive, example=rate.example, momentum=momentum, noise_power=rate.noise_power,
            reason="momentum is scaled too, and lr / (1 - momentum) must still move by the rule.")
    return replace(rate, status=FOLLOWS, source=MOMENTUM.source, exponent=rate.exponent + 1,
                   reason="momentum is scaled too, so 1 - momentum grows by kappa, and lr / (1 - momentum) must still move by "
                   "the rule.")
