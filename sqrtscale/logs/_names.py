"""What a run is called whose name does not stand in its file: by the file, or by its folder where all are called alike."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

EVERY_RUN = {
    "trainer_state",
    "metrics",
    "history",
    "wandb_history",
    "log",
    "logs",
    "train",
    "training",
    "noise",
    "output",
    "stdout",
}
INSIDE = re.compile(r"checkpoint-\d+|files|logs?")  # folders within the folder of a run
SUFFIXES = (".gz", ".csv", ".tsv", ".jsonl", ".ndjson", ".json", ".txt", ".log", ".out", ".parquet", ".db")
MEASURED = re.compile(r"[-_.]noise$")


def stem_of(path: Path) -> str:
    """The file's name without what says its kind."""
    stem = path.name
    for suffix in SUFFIXES:
        stem = stem.removesuffix(suffix)
    return MEASURED.sub("", stem) or path.name


def place_of(path: Path) -> Path:
    """What stands for the run: its folder, which other files of it may share, or the file itself."""
    path = path.resolve()
    if stem_of(path).lower() not in EVERY_RUN and "tfevents" not in path.name:
        return path.with_name(stem_of(path))
    folder = path.parent
    while INSIDE.fullmatch(folder.name) and folder.parent != folder:
        folder = folder.parent
    return folder


def names_of(paths: Sequence[Path]) -> dict[Path, str]:
    """A name for the run of each file: the end of its place that no other place shares."""
    places = {path: place_of(path) for path in paths}
    distinct = set(places.values())
    depth = dict.fromkeys(distinct, 1)
    while True:
        labels = {place: "/".join(place.parts[-depth[place] :]) or "run" for place in distinct}
        seen: dict[str, list[Path]] = {}
        for place, label in labels.items():
            seen.setdefault(label, []).append(place)
        clashes = [place for alike in seen.values() if len(alike) > 1 for place in alike if depth[place] < len(place.parts)]
        if not clashes:
            return {path: _versioned(labels[place], place) for path, place in places.items()}
        for place in clashes:
            depth[place] += 1


def _versioned(label: str, place: Path) -> str:
    """Lightning's version_0 alone says nothing: with the folder around it."""
    if re.fullmatch(r"version_\d+", label) and len(place.parts) > 2:
        return f"{place.parts[-2]}/{label}"
    return label
