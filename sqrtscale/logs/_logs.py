"""What is read from logs: runs, their curves, and where they came from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

AXES = ("step", "samples", "tokens", "log_call", "epoch", "wall_time")  # what a point may be logged over; the first one orders


@dataclass(frozen=True)
class Origin:
    """A file that a run was read from: its path and SHA-256, the key of its reader, and by what it was recognised."""

    path: Path
    sha256: str
    reader: str
    reason: str


@dataclass(frozen=True)
class Curve:
    """One metric of one run.

    points: columns ``axes`` and value, as logged, ascending in the first axis, of which no value stands twice; NaN where the
    program logged NaN. resumed_at: where the run went back and on again, on that axis; replaced: points that were written
    again; window: optimizer steps that a value is the mean over, where the log says it (None: it does not say).
    """

    metric: str
    points: pd.DataFrame
    axes: tuple[str, ...]
    resumed_at: tuple[float, ...] = ()
    replaced: int = 0
    window: int | None = None

    @property
    def not_a_number(self) -> int:
        """Points at which NaN was logged."""
        return int(self.points["value"].isna().sum())


@dataclass(frozen=True)
class Run:
    """A run: its curves by metric, and the measurements of a ``NoiseMeter`` (signal, noise ... over samples) by name.

    parameters: what the logs say of its configuration, in their own words (batch_size, seed ...), to make guesses from.
    """

    name: str
    origins: tuple[Origin, ...]
    curves: Mapping[str, Curve] = field(default_factory=dict)
    measurements: Mapping[str, Curve] = field(default_factory=dict)
    parameters: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Logs:
    """Runs by their order in the files. notes: what was left out, joined or is to be asked about, a sentence each."""

    runs: tuple[Run, ...]
    notes: tuple[str, ...] = ()

    def __getitem__(self, name: str) -> Run:
        for run in self.runs:
            if run.name == name:
                return run
        raise KeyError(name)

    @property
    def metrics(self) -> dict[str, int]:
        """The metrics, and how many runs have each: those that most runs have come first."""
        counts: dict[str, int] = {}
        for run in self.runs:
            for metric in run.curves:
                counts[metric] = counts.get(metric, 0) + 1
        return dict(sorted(counts.items(), key=lambda item: -item[1]))

    def axes(self, metric: str) -> tuple[str, ...]:
        """What every run that has ``metric`` logged it over."""
        curves = [run.curves[metric] for run in self.runs if metric in run.curves]
        return tuple(axis for axis in AXES if curves and all(axis in curve.axes for curve in curves))
