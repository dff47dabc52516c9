"""What a verdict is, as data: judging.py makes it, wording.py says it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from .equivalence import Functional

Outcome = Literal["matches", "differs", "cannot tell", "not a test"]
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)
Reason = Literal["", "signal dominates", "no power", "diverged", "one seed", "no pairs", "skipped steps"]


@dataclass(frozen=True)
class Margin:
    """How far apart curves may lie and still match: ``value`` in ``unit``, and in words where it comes from.

    practical: the size below which a difference is of no practical use (None where the user gave the margin); spread:
    standard deviation of the base arm's end values over its seeds (NaN for one seed).
    """

    value: float
    unit: str
    origin: str
    practical: float | None
    spread: float

    @property
    def estimated(self) -> float:
        """The part of the value that base's own seeds have shown: 0 for a margin that was given."""
        return self.spread if self.practical is not None and self.spread > 0 else 0.0


@dataclass(frozen=True)
class Verdict:
    """What is said of one arm against base.

    control: whether it should differ from base; sentence: Markdown with the arm in bold; functionals: what was compared, empty
    without a pair; paired: whether runs are compared seed by seed; arm_runs, base_runs: runs with a whole curve, of the same
    seeds where paired; effect_sd: difference at the end in standard deviations of base between runs (NaN where unknown);
    samples_ahead: the same in samples (negative: behind), None where the base curve does not allow it; further_seeds: how many
    more are needed about (power 0.8), of each arm where they are not paired, None where decided, unknown or out of reach;
    reason: "", or what makes it more than a comparison of curves.
    """

    arm: str
    control: bool
    outcome: Outcome
    sentence: str
    functionals: tuple[Functional, ...]
    margin: Margin
    paired: bool
    arm_runs: int
    base_runs: int
    effect_sd: float
    samples_ahead: float | None
    further_seeds: int | None
    reason: Reason

    @property
    def pairs(self) -> int:
        """Seeds on which both arms have a whole curve; where runs are not paired, how many the arm with fewer has."""
        return min(self.arm_runs, self.base_runs)

    @property
    def told(self) -> bool:
        """Whether there is something to say: a comparison, or a reason that needs none."""
        return self.pairs > 0 or self.reason in ("diverged", "signal dominates")

    @property
    def end(self) -> Functional | None:
        """The end values compared; None without a pair."""
        return next((functional for functional in self.functionals if functional.name == "end"), None)
