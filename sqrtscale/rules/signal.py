"""Beyond the noise-dominated limit: how the measured noise scale enters the rule.

Per coordinate let G be the mean gradient and S the variance of one sample's gradient; Adam's second moment holds v = G^2 + S / B
at batch B. In samples tau the SDE reads d theta = -lr / (B sqrt(v)) (G d tau + sqrt(S) dW), so keeping lr / (B sqrt(v)) keeps
drift and diffusion together, whatever dominates. With the noise scale b = S / G^2 [McCandlish et al. 2018, arXiv 1812.06162]

    v' / v = r = (1 + b / (kappa B)) / (1 + b / B) = q / kappa,    q = (kappa B + b) / (B + b),

and whatever the square-root rule moves by a power of sqrt(v) moves by that power of sqrt(q) more: lr' = sqrt(kappa q) lr,
eps' = sqrt(q / kappa) eps, a decoupled decay sqrt(kappa / q), a second moment q / kappa. b >> kappa B gives q = 1, the
square-root rule; b << B gives q = kappa, the linear one. Decays per step keep the samples that they average over, as before.

Source: ours; the same idea with another clock is AdaScale [Johnson et al. 2020, arXiv 2007.05105] for SGD.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

from .errors import FieldError, real

# What was measured counts together from an age (samples since the initialisation) up to so many times that: a single
# measurement scatters widely, and the noise scale grows by factors.
WINDOW = 1.5
WORTH_A_RULE = 0.1  # share of lr by which the square root may be off before it counts as out of range
LARGEST = 1e15  # samples: no batch comes near it
ALLOWED = "is not a noise scale: give a finite number above 0 in the unit of the batch sizes, for example 567"

NO_COURSE = "is no course of a noise scale: give points of samples seen, rising from 0 on, and a noise scale above 0"


def noise_scale(value: object) -> float:
    """``value`` as a noise scale; raises FieldError."""
    number = real("noise_scale", value, ALLOWED)
    if not 0 < number <= LARGEST:
        raise FieldError("noise_scale", value, ALLOWED)
    return number


def excess(base_batch: int, target_batch: int, noise: float) -> float:
    """q: how much larger the target's second moment is than 1 / kappa of the base's; between 1 and kappa."""
    return (target_batch + noise) / (base_batch + noise)


def square_root_share(base_batch: int, target_batch: int, noise: float) -> float:
    """The square-root rule's lr over the noise-aware one, 1 / sqrt(q): its share of the base's drift and noise per sample."""
    return 1 / math.sqrt(excess(base_batch, target_batch, noise))


def reach(base_batch: int, noise: float, off: float = WORTH_A_RULE) -> float:
    """The largest kappa at which the square root's share is 1 - ``off`` at least."""
    return (base_batch + noise) / base_batch / (1 - off) ** 2 - noise / base_batch


def reach_down(base_batch: int, noise: float, off: float = WORTH_A_RULE) -> float:
    """The smallest kappa at which the square root's share is 1 + ``off`` at most; 0 where every smaller batch will do."""
    return max(0.0, (base_batch + noise) / base_batch / (1 + off) ** 2 - noise / base_batch)


def sentence(base_batch: int, target_batch: int, noise: float) -> str:
    """Which of the two rules applies, for a user."""
    share, larger = square_root_share(base_batch, target_batch, noise), max(base_batch, target_batch) / noise
    off = abs(share - 1)
    size = f"{larger:.2g} times" if larger >= 0.1 else f"{larger:.2%} of"
    if off < 0.01:
        return f"The larger batch is {size} your noise scale: the square-root rule is right to within 1%."
    side = "falls short" if share < 1 else "goes too far"
    return f"The larger batch is {size} your noise scale: the square root {side} by {off:.0%}."


@dataclass(frozen=True)
class NoiseScaleCurve:
    """The noise scale as a function of samples seen: between two points its logarithm is a straight line, beyond the ends level.

    points: (samples seen, noise scale), samples rising. Raises FieldError for points that are none.
    """

    points: tuple[tuple[float, float], ...]

    def __post_init__(self) -> None:
        samples = [real("noise_scale", at, NO_COURSE) for at, _ in self.points]
        if not samples or samples[0] < 0 or samples[-1] > LARGEST or any(b <= a for a, b in pairwise(samples)):
            raise FieldError("noise_scale", [list(point) for point in self.points], NO_COURSE)
        object.__setattr__(self, "points", tuple((at, noise_scale(value))
                                                 for at, (_, value) in zip(samples, self.points, strict=True)))

    @classmethod
    def of(cls, points: Iterable[tuple[float, float]]) -> NoiseScaleCurve:
        """The curve through these points, in any order."""
        return cls(tuple(sorted(points)))

    def at(self, samples: float) -> float:
        """The noise scale after that many samples."""
        place = bisect_right([at for at, _ in self.points], samples)
        if place in (0, len(self.points)):
            return self.points[min(place, len(self.points) - 1)][1]
        (left, low), (right, high) = self.points[place - 1 : place + 1]
        return low * math.pow(high / low, (samples - left) / (right - left))

    def lr_factor(self, base_batch: int, target_batch: int, samples: float) -> float:
        """The factor on the square-root rule's lr after that many samples, sqrt(q)."""
        return math.sqrt(excess(base_batch, target_batch, self.at(samples)))

    def over(self, samples: float | None = None, start: float = 0.0) -> tuple[tuple[float, float], ...]:
        """Its points from ``start`` to ``samples`` with both ends of that; left out: to its last point."""
        end = self.points[-1][0] if samples is None else float(samples)
        inner = (at for at, _ in self.points if start < at < end)
        return tuple((at, self.at(at)) for at in dict.fromkeys((start, *inner, end)))

    def mean(self, samples: float | None = None, start: float = 0.0) -> float:
        """The noise scale's geometric mean from ``start`` to ``samples``; left out: to its last point."""
        points = self.over(samples, start)
        if len(points) == 1:
            return points[0][1]
        logs = ((math.log(low) + math.log(high)) / 2 * (right - left) for (left, low), (right, high) in pairwise(points))
        return math.exp(sum(logs) / (points[-1][0] - start))
