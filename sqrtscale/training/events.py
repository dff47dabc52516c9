"""What a calibration says while it trains. Pure data: the runner stores it, nothing here knows torch."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Measured:
    """One evaluation of one run: every metric at a number of samples seen since the branch point.

    For the warm start's own run the samples count from its initialisation. Values may be NaN or infinite.
    """

    arm: str
    seed: int
    samples: int
    values: dict[str, float]


@dataclass(frozen=True)
class RunEnded:
    """A run is over: ``DONE``, or ``DIVERGED`` with the reason."""

    arm: str
    seed: int
    state: str
    reason: str = ""


@dataclass(frozen=True)
class Progress:
    """How far the whole calibration is, in samples over all its runs, and how fast it goes."""

    phase: str
    done: int
    total: int
    samples_per_second: float


@dataclass(frozen=True)
class Branched:
    """Every arm has been measured where it starts, with the seeds that train next, and none has trained yet: the time to judge
    what dominates the gradient there, and to stop."""


@dataclass(frozen=True)
class SeedsEnded:
    """Every arm has been trained with the plan's first ``count`` seeds, and more seeds follow: the time to judge, and to stop."""

    count: int


Event = Measured | RunEnded | Progress | Branched | SeedsEnded
