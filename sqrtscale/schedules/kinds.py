"""The kinds of schedules, a class each: factor(s) at the share s of a run's samples, with its source."""

from __future__ import annotations

import math
from abc import abstractmethod
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar, Literal, Self, get_args

from ._schedule import Schedule

DecayShape = Literal["linear", "1-sqrt"]
DECAY_SHAPES: tuple[DecayShape, ...] = get_args(DecayShape)


@dataclass(frozen=True)
class Constant(Schedule):
    """factor(s) = 1."""

    name = "constant"
    label = "Constant"
    usage = "constant alone"

    @property
    def words(self) -> str:
        return "stays constant"

    @classmethod
    def read(cls, settings: Sequence[str]) -> Self:
        () = settings
        return cls()

    def _settings(self) -> tuple[str, ...]:
        return ()

    def _allowed(self) -> bool:
        return True

    def _factor(self, share: float) -> float:
        return 1.0


@dataclass(frozen=True)
class Falling(Schedule):
    """A fall over the whole run: factor(s) = final + (1 - final) * fall(s), fall from 1 to 0."""

    final: float = 0.0

    course: ClassVar[str]

    @property
    def words(self) -> str:
        return f"falls {self.course} to {_of_peak(self.final)}"

    @classmethod
    def read(cls, settings: Sequence[str]) -> Self:
        (final,) = _filled(settings, "0")
        return cls(float(final))

    def _settings(self) -> tuple[str, ...]:
        return _shortened((_text(self.final),), "0")

    def _allowed(self) -> bool:
        return _is_final(self.final)

    def _factor(self, share: float) -> float:
        return self.final + (1 - self.final) * self._fall(share)

    @abstractmethod
    def _fall(self, share: float) -> float:
        """From 1 at the start of the run to 0 at its end."""


@dataclass(frozen=True)
class Cosine(Falling):
    """fall(s) = (1 + cos(pi s)) / 2 [Loshchilov & Hutter 2017, SGDR (arXiv 1608.03983), equation 5, without restarts]."""

    name = "cosine"
    label = "Cosine"
    course = "along a cosine"
    usage = "cosine, or cosine:FINAL with the last learning rate over its peak, from 0 to below 1, for example cosine:0.1"

    def _fall(self, share: float) -> float:
        return (1 + math.cos(math.pi * share)) / 2


@dataclass(frozen=True)
class Linear(Falling):
    """fall(s) = 1 - s [Devlin et al. 2019, BERT (arXiv 1810.04805), appendix A.2]."""

    name = "linear"
    label = "Linear"
    course = "linearly"
    usage = "linear, or linear:FINAL with the last learning rate over its peak, from 0 to below 1, for example linear:0.1"

    def _fall(self, share: float) -> float:
        return 1 - share


@dataclass(frozen=True)
class WarmupStableDecay(Schedule):
    """factor(s) = 1 up to s = 1 - decay, then final + (1 - final) * fall(u) with u = (s - (1 - decay)) / decay.

    linear: fall(u) = 1 - u; 1-sqrt: fall(u) = 1 - sqrt(u). The three stages are MiniCPM's [Hu et al. 2024 (arXiv 2404.06395),
    section 4], whose own decay is exponential; both shapes here are those of Hägele et al. 2024 (arXiv 2405.18392).
    """

    decay: float = 0.2
    shape: DecayShape = "linear"
    final: float = 0.0

    name = "wsd"
    label = "WSD"
    usage = ("wsd, or wsd:DECAY,SHAPE,FINAL with the share of the run that decays, between 0 and 1, linear or 1-sqrt, and the "
             "last learning rate over its peak, from 0 to below 1, for example wsd:0.2,1-sqrt")

    @property
    def words(self) -> str:
        how = "linearly" if self.shape == "linear" else "by 1 - sqrt"
        return f"stays constant, and falls {how} to {_of_peak(self.final)} over the last {_percent(self.decay)}"

    @classmethod
    def read(cls, settings: Sequence[str]) -> Self:
        decay, shape, final = _filled(settings, "0.2", "linear", "0")
        (known,) = (known for known in DECAY_SHAPES if known == shape.lower())
        return cls(float(decay), known, float(final))

    def _settings(self) -> tuple[str, ...]:
        return _shortened((_text(self.decay), self.shape, _text(self.final)), "0.2", "linear", "0")

    def _allowed(self) -> bool:
        known = isinstance(self.shape, str) and self.shape in DECAY_SHAPES
        return known and _is_inside(self.decay) and _is_final(self.final)

    def _factor(self, share: float) -> float:
        left = min((1 - share) / self.decay, 1.0)  # 1 - u
        fall = left if self.shape == "linear" else 1 - math.sqrt(1 - left)
        return self.final + (1 - self.final) * fall


@dataclass(frozen=True)
class InverseSqrt(Schedule):
    """factor(s) = min(1, sqrt(start / s)) [Vaswani et al. 2017 (arXiv 1706.03762), equation 3, after its warm-up]."""

    start: float = 0.1

    name = "inverse-sqrt"
    label = "Inverse square root"
    usage = ("inverse-sqrt, or inverse-sqrt:START with the share of the run after which lr falls, between 0 and 1, for example "
             "inverse-sqrt:0.1")

    @property
    def words(self) -> str:
        return f"stays constant for {_percent(self.start)} of the run, and falls as 1 / sqrt(samples seen) from there"

    @classmethod
    def read(cls, settings: Sequence[str]) -> Self:
        (start,) = _filled(settings, "0.1")
        return cls(float(start))

    def _settings(self) -> tuple[str, ...]:
        return _shortened((_text(self.start),), "0.1")

    def _allowed(self) -> bool:
        return _is_inside(self.start)

    def _factor(self, share: float) -> float:
        return math.sqrt(self.start / max(share, self.start))


@dataclass(frozen=True)
class Milestones(Schedule):
    """factor(s) = gamma^(number of milestones that are not above s).

    By default a tenth at half and at three quarters of the run [He et al. 2016 (arXiv 1512.03385), section 4.2: 32,000 and 48,000
    of 64,000 iterations]; Goyal et al. 2017 (arXiv 1706.02677) take a tenth after 30, 60 and 80 of 90 epochs.
    """

    shares: tuple[float, ...] = (0.5, 0.75)
    gamma: float = 0.1

    name = "milestones"
    label = "Milestones"
    usage = ("milestones, or milestones:SHARE,SHARE,gamma=FACTOR with shares of the run in rising order and a factor, all "
             "between 0 and 1, for example milestones:0.5,0.75,gamma=0.1")

    @property
    def words(self) -> str:
        *first, last = map(_percent, self.shares)
        return f"is multiplied by {_text(self.gamma)} at {', '.join(first)}{' and ' * bool(first)}{last} of the run"

    @classmethod
    def read(cls, settings: Sequence[str]) -> Self:
        if not settings:
            return cls()
        *shares, last = settings
        name, sign, gamma = last.partition("=")
        if not sign:
            return cls(tuple(map(float, settings)))
        if name.strip().lower() != "gamma":
            raise ValueError(f"{name!r} is not gamma")
        return cls(tuple(map(float, shares)) or cls.shares, float(gamma))

    def _settings(self) -> tuple[str, ...]:
        if self == Milestones():
            return ()
        return (*map(_text, self.shares), *_shortened((f"gamma={_text(self.gamma)}",), "gamma=0.1"))

    def _allowed(self) -> bool:
        return (isinstance(self.shares, tuple) and bool(self.shares) and all(map(_is_inside, self.shares))
                and all(later > earlier for earlier, later in pairwise(self.shares)) and _is_inside(self.gamma))

    def _factor(self, share: float) -> float:
        return self.gamma ** bisect_right(self.shares, share)


KINDS: dict[str, type[Schedule]] = {
    kind.name: kind for kind in (Constant, Cosine, Linear, WarmupStableDecay, InverseSqrt, Milestones)}


def _is_inside(value: object) -> bool:
    """Whether it is a number above 0 and below 1."""
    return isinstance(value, float) and 0 < value < 1


def _is_final(value: object) -> bool:
    """Whether it is a last learning rate over its peak: from 0 to below 1."""
    return _is_inside(value) or (isinstance(value, (int, float)) and value == 0)


def _filled(settings: Sequence[str], *defaults: str) -> tuple[str, ...]:
    """The settings, and the defaults of those that are left out."""
    return (*settings, *defaults[len(settings):])


def _shortened(settings: tuple[str, ...], *defaults: str) -> tuple[str, ...]:
    """The inverse of ``_filled``."""
    while settings and settings[-1] == defaults[len(settings) - 1]:
        settings = settings[:-1]
    return settings


def _text(value: float) -> str:
    """A number with all its digits: 0, 0.1, 0.3333333333333333."""
    return repr(float(value)).removesuffix(".0")


def _percent(share: float) -> str:
    return f"{100 * share:.4g}%"


def _of_peak(final: float) -> str:
    return f"{_percent(final)} of its peak" if final else "0"
