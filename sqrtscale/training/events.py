"""What a calibration says while it trains. Pure data: the runner stores it, nothing here knows torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


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


@dataclass(frozen=True)
class StepsMade:
    """How the steps of runs that trained together were carried out.

    stream: ``warm start``, ``branch`` or SVAG's; how: of the executor, for example as a CUDA graph of so many operations, or
    why not; ms: of one step of all models, with drawing its samples.
    """

    stream: str
    batch_size: int
    models: int
    device: str
    executor: str
    how: str
    steps: int
    ms: float


@dataclass(frozen=True)
class Resumable:
    """Nothing is half done: from here training can go on another time.

    snapshot: gives all that takes, tensors and plain data, as they are now; measured: whether this is an evaluation point;
    branches: whether the warm start is over and no arm has begun.
    """

    snapshot: Callable[[], dict[str, Any]]
    measured: bool
    branches: bool = False


Event = Measured | RunEnded | Progress | Branched | SeedsEnded | StepsMade | Resumable
