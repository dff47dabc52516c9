"""What is told of a checkpoint that was read or moved, and where its copy grows: for processes without torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class OptimizerSummary:
    """What one optimizer of a file holds.

    where: its place in the file (empty: the file itself); optimizer: its family, or None where the file does not tell;
    param_groups: the options of each group, ``params`` as a number; steps: smallest and largest step count, if there is one;
    state: name of each tensor kept for a parameter -> for how many parameters.
    """

    where: str
    optimizer: str | None
    param_groups: tuple[dict[str, Any], ...]
    steps: tuple[float, float] | None
    state: dict[str, int]


@dataclass(frozen=True)
class SchedulerChange:
    """What became of one scheduler of a file.

    where: its place in the file; kind: torch's class, or None for one that is not known; before, after: the values that
    changed; note: what to do with it.
    """

    where: str
    kind: str | None
    before: dict[str, Any]
    after: dict[str, Any]
    note: str


@dataclass(frozen=True)
class Transferred:
    """What a transfer of a file did.

    kappa: new batch over old; before, after: its optimizers; schedulers: its schedulers; notes: what is left to do by hand;
    noise_scale: of the noise-aware transfer, or None for the square-root rule; excess: its q, by which second moments that hold
    the gradient's mean become larger than v / kappa.
    """

    kappa: float
    before: tuple[OptimizerSummary, ...]
    after: tuple[OptimizerSummary, ...]
    schedulers: tuple[SchedulerChange, ...]
    notes: tuple[str, ...]
    noise_scale: float | None = None
    excess: float = 1.0

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Transferred:
        """The inverse of ``dataclasses.asdict``, also after JSON."""
        before, after = (tuple(OptimizerSummary(**optimizer) for optimizer in values[name]) for name in ("before", "after"))
        return cls(
            values["kappa"],
            before,
            after,
            tuple(SchedulerChange(**scheduler) for scheduler in values["schedulers"]),
            tuple(values["notes"]),
            values["noise_scale"],
            values["excess"],
        )


def partial_file(out: Path, pid: int) -> Path:
    """The file next to ``out`` in which that process writes it, so that nobody ever sees half a checkpoint."""
    return out.with_name(f".{out.name}.{pid}.part")
