"""MLflow's older store in files: mlruns/<experiment>/<run>/metrics/<metric>, lines of time, value and step.

Looked up: mlflow, store/tracking/file_store.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from ._points import distinct, series_of
from ._series import Names, Reading
from ._source import lines, refuse, text_of

TITLE = "MLflow folder (mlruns)"
LARGEST = 2**16  # characters of a parameter or a name


def recognises(path: Path, head: bytes) -> str:
    return "meta.yaml and metrics in its folders" if path.is_dir() and next(_runs(path), None) is not None else ""


def _runs(path: Path) -> Iterator[Path]:
    """The folders of runs: ``path`` itself, or those in it or in the experiments in it."""
    for pattern in (".", "*", "*/*"):
        for folder in sorted(path.glob(pattern)) if pattern != "." else [path]:
            if (folder / "meta.yaml").is_file() and (folder / "metrics").is_dir():
                yield folder


def read(path: Path, names: Names) -> Reading:
    folders = {f"{folder.parent.name}/{folder.name}": folder for folder in _runs(path) if _stage(folder) != "deleted"}
    labels = distinct({id.partition("/")[2]: _name(folder) for id, folder in folders.items()})
    frames = (frame for id, folder in folders.items() for frame in _frames(folder, labels[id.partition("/")[2]]))
    series = series_of(path, frames)
    parameters: dict[str | None, dict[str, str]] = {}
    for id, folder in folders.items():
        for file in sorted((folder / "params").rglob("*")):
            if file.is_file():
                parameters.setdefault(labels[id.partition("/")[2]], {})[file.relative_to(folder / "params").as_posix()] = _text(
                    file
                )
    return Reading(series, parameters=parameters)


def _text(file: Path) -> str:
    with text_of(file) as text:
        return text.read(LARGEST).strip()


def _entry(folder: Path, key: str) -> str:
    match = re.search(rf"^{key}: *['\"]?(.*?)['\"]? *$", _text(folder / "meta.yaml"), re.MULTILINE)
    return match[1] if match else ""


def _stage(folder: Path) -> str:
    return _entry(folder, "lifecycle_stage")


def _name(folder: Path) -> str:
    tag = folder / "tags" / "mlflow.runName"
    return (_text(tag) if tag.is_file() else "") or _entry(folder, "run_name")


def _frames(folder: Path, run: str) -> Iterator[pd.DataFrame]:
    for file in sorted((folder / "metrics").rglob("*")):
        if not file.is_file():
            continue
        metric = file.relative_to(folder / "metrics").as_posix()
        points = []
        for number, line in enumerate(lines(file), 1):
            try:
                time, value, step = (*line.split(), "0")[:3]  # the step is missing in files of the first versions
                points.append((float(step), float(time) / 1000, float(value)))
            except ValueError as error:
                raise refuse(file, f"is broken at line {number}, where time, value and step are due: mend that line") from error
        if points:
            yield pd.DataFrame(points, columns=["step", "wall_time", "value"]).assign(run=run, metric=metric)
