"""How far a calibration is: what people are told of it, and what a snapshot takes in so that it can go on another time."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

from .course import Course
from .events import Progress, Resumable
from .group import Group
from .population import Population

SAY_EVERY = 0.4  # seconds between two Progress events


@dataclass
class Clock:
    """Samples done over all runs, and how fast."""

    total: int
    done: int = 0
    began: float = field(default_factory=time.monotonic)
    said: float = 0.0
    window: list[tuple[float, int]] = field(default_factory=list)

    def tick(self, phase: str, samples: int) -> Progress | None:
        """Count samples; a Progress when it is time to say one, with the speed of the last seconds."""
        self.done += samples
        now = time.monotonic()
        if now - self.said < SAY_EVERY and self.done < self.total:
            return None
        self.said = now
        self.window = [*self.window[-25:], (now, self.done)]
        first, done_then = self.window[0]
        speed = (self.done - done_then) / (now - first) if now > first else self.done / max(now - self.began, 1e-9)
        return Progress(phase, self.done, self.total, speed)


class Stand:
    """How far everything is, which is what a snapshot takes in: warm start, parts of the seeds, and the groups that train.

    parent: where the arms branch, none from scratch; parts: (first, end) of the seeds that train at the same time, none while the
    warm start trains; ended: how many of them are over; kept: what a snapshot has of the groups of the next one.
    """

    def __init__(self, clock: Clock, course: Course | None):
        self.clock, self.course = clock, course
        self.warm: Group | None = None
        self.parent: Population | None = None
        self.parts: list[tuple[int, int]] = []
        self.ended = 0
        self.groups: list[list[Group]] = []
        self.kept: list[Mapping[str, Any]] = []

    def resumable(self, measured: bool) -> Resumable:
        """That training can go on from here."""
        branches = self.warm is not None and bool(self.parts) and not self.ended and not self.groups and not self.kept
        return Resumable(self.snapshot, measured, branches)

    def snapshot(self) -> dict[str, Any]:
        """All that :meth:`restore` needs, on top of the plan."""
        return {"done": self.clock.done, "course": self.course.measured if self.course else None, "parts": self.parts,
                "ended": self.ended, "warm": self.warm.snapshot() if self.warm else None,
                "groups": self.kept or [group.snapshot() for group in chain(*self.groups)]}

    def restore(self, snapshot: Mapping[str, Any] | None) -> None:
        """Stand where the snapshot was taken; the groups follow when their part begins."""
        if snapshot is None:
            return
        self.clock.done, self.ended, self.kept = snapshot["done"], snapshot["ended"], snapshot["groups"]
        self.parts = [(first, end) for first, end in snapshot["parts"]]
        if self.course:
            self.course.restore(snapshot["course"])
        if self.warm:
            self.warm.restore(snapshot["warm"])
