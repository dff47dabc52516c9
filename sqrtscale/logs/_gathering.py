"""From what the readers give to runs: series of one run from many files joined, names kept apart, notes brought together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from ..rules.errors import FieldError
from ._joining import join
from ._logs import Curve, Logs, Origin, Run
from ._series import Reading


@dataclass(frozen=True)
class Gathered:
    """What one file gave. label: the name of a run that its file does not name."""

    label: str
    origin: Origin
    reading: Reading


class _Parts:
    """The parts of one run, in the order of the files."""

    def __init__(self) -> None:
        self.origins: dict[Origin, None] = {}
        self.parameters: dict[str, str] = {}
        self.curves: dict[str, list[pd.DataFrame]] = {}
        self.measurements: dict[str, list[pd.DataFrame]] = {}
        self.windows: dict[str, int | None] = {}


def gather(files: Sequence[Gathered]) -> Logs:
    """The runs of all files. Raises FieldError where none has a point."""
    parts: dict[str, _Parts] = {}
    notes: dict[str, None] = {}
    for file in files:
        for series in file.reading.series:
            run = parts.setdefault(file.label if series.run is None else series.run, _Parts())
            run.origins[file.origin] = None
            of_kind = run.measurements if file.reading.measured else run.curves
            of_kind.setdefault(series.metric, []).append(series.points)
            run.windows[series.metric] = series.window
        for name, parameters in file.reading.parameters.items():
            label = file.label if name is None else name
            if label in parts:
                parts[label].parameters.update(parameters)
        notes.update(dict.fromkeys(f"{file.origin.path.name}: {note}." for note in file.reading.notes))
    runs = []
    for name, run in parts.items():
        curves, said = _joined(name, run.curves, run.windows)
        measurements, also = _joined(name, run.measurements, {})
        notes.update(dict.fromkeys([*said, *also]))
        if curves or measurements:
            runs.append(Run(name, tuple(run.origins), curves, measurements, run.parameters))
    if not runs:
        raise FieldError(
            "logs",
            ", ".join(file.origin.path.name for file in files),
            f"has no points: give a log of a run that has logged numbers{' (' + ' '.join(notes) + ')' if notes else ''}",
        )
    return Logs(tuple(runs), tuple(notes))


def joined(name: str, runs: Sequence[Run]) -> tuple[Run, list[str]]:
    """One run of several, in that order."""

    def parts(of: Iterable[Mapping[str, Curve]]) -> dict[str, list[pd.DataFrame]]:
        tables: dict[str, list[pd.DataFrame]] = {}
        for curves in of:
            for metric, curve in curves.items():
                tables.setdefault(metric, []).append(curve.points)
        return tables

    windows = {metric: curve.window for run in runs for metric, curve in run.curves.items()}
    curves, said = _joined(name, parts(run.curves for run in runs), windows)
    measurements, also = _joined(name, parts(run.measurements for run in runs), {})
    origins = tuple(dict.fromkeys(origin for run in runs for origin in run.origins))
    parameters = {key: value for run in runs for key, value in run.parameters.items()}
    return Run(name, origins, curves, measurements, parameters), [*said, *also]


def _joined(
    name: str, parts: Mapping[str, Sequence[pd.DataFrame]], windows: Mapping[str, int | None]
) -> tuple[dict[str, Curve], list[str]]:
    """Curve by metric; and what was done to them, a sentence for all metrics to which the same was done."""
    curves: dict[str, Curve] = {}
    said: dict[str, list[str]] = {}
    for metric, tables in parts.items():
        curve, remarks = join(metric, tables, windows.get(metric))
        for remark in remarks:
            said.setdefault(remark, []).append(metric)
        if curve is not None:
            curves[metric] = curve
    notes = []
    for remark, metrics in said.items():
        more = f" and {len(metrics) - 3} more" if len(metrics) > 3 else ""
        notes.append(f"{name}, {', '.join(metrics[:3])}{more}: {remark}.")
    return curves, notes
