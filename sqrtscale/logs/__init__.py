"""Curves of trainings that ran elsewhere: ``read`` finds the runs and metrics in the logs of other programs.

To add a source: a file in this folder with TITLE, ``recognises(path, head)``, which says by what it knows the file or "", and
``read(path, names)`` (copy ``lightning.py`` for a table, ``meter.py`` for JSON lines). GENERAL = True for one that stands back
where another one fits. ``docs/logs.md`` has a line for each.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Protocol, cast

from ..rules.errors import FieldError, choice
from ._gathering import Gathered, gather, joined
from ._logs import AXES, Curve, Logs, Origin, Run
from ._names import names_of, place_of
from ._series import Names, Reading
from ._source import HEAD, MOST_POINTS, head_of, reading, refuse, sha256
from ._sqlite import MAGIC

NAMES = tuple(module.name for module in pkgutil.iter_modules(__path__) if not module.name.startswith("_"))
MOST_FILES = 10_000
OURS = ("run", "metric", "value", *AXES)  # what ``names`` may name a column for


class Reader(Protocol):
    """A file of this folder that reads one source."""

    TITLE: str

    def recognises(self, path: Path, head: bytes) -> str:
        """By what the file or folder is known, "" where it is another; head: its first bytes, none of a folder."""

    def read(self, path: Path, names: Names) -> Reading:
        """All series of a file that was recognised. Raises FieldError."""


@cache
def readers() -> Mapping[str, Reader]:
    """The readers by their keys, which are the names of their files."""
    return {name: cast(Reader, importlib.import_module(f"{__name__}.{name}")) for name in NAMES}


def read(paths: str | Path | Sequence[str | Path], *, reader: str | None = None, names: Mapping[str, str] | None = None) -> Logs:
    """The runs in those files and folders.

    reader: the key of a reader, where several recognise a file; names: our word (run, metric, value, step, samples, tokens,
    epoch, wall_time) -> the column that it is, where a table does not say it. Raises FieldError for a file that none
    recognises, that is broken or ambiguous, and for a folder without any log.
    """
    chosen = None if reader is None else choice("reader", reader, NAMES)
    for ours in names or {}:
        choice("names", ours, OURS)
    given = [Path(path) for path in ([paths] if isinstance(paths, (str, Path)) else paths)]
    if not given:
        raise FieldError("logs", "", "names no file: give the logs of at least one run")
    sources = list(dict.fromkeys(source for path in given for source in _sources(path, chosen)))
    if len(sources) > MOST_FILES:
        raise FieldError("logs", f"{len(sources)} files", f"are more than {MOST_FILES}: give the folder of fewer runs")
    given_files = {path for path in given if path.is_file()}
    labels = names_of([path for path, _, _ in sources])
    gathered: list[Gathered] = []
    passed: list[FieldError] = []
    points = 0
    for path, key, reason in sources:
        try:
            taken = readers()[key].read(path, names or {})
        except FieldError as error:
            if path in given_files or not _is_general(key):
                raise
            passed.append(error)  # some text in a folder, which a general reader took for a log
            continue
        points += sum(len(series.points) for series in taken.series)
        if points > MOST_POINTS:
            raise refuse(path, f"brings more than {MOST_POINTS:,} points: give fewer runs at a time")
        gathered.append(Gathered(labels[path], Origin(path, sha256(path), key, reason), taken))
    if not gathered:
        raise passed[0]
    logs = gather(gathered)
    return replace(
        logs,
        notes=(
            *logs.notes,
            *(f"{error.value} was passed over: it {error.allowed}." for error in passed[:3]),
            *([f"{len(passed) - 3} more files were passed over."] if len(passed) > 3 else []),
        ),
    )


def _sources(path: Path, chosen: str | None) -> Iterator[tuple[Path, str, str]]:
    """(file or folder, key of its reader, by what it was recognised) of everything known at ``path``."""
    with reading(path):
        if not path.exists():
            raise refuse(path, "is not there: give a file or a folder of logs")
        if path.is_file():
            yield path, *_recognised(path, chosen)
            return
        whole = _fitting(path, chosen)
        if whole:
            yield path, *whole[0]
            return
        known = list(_within(path, chosen))
    if not known:
        aim = ": export what you need from Aim's own database (.aim) as CSV" if (path / ".aim").exists() else ""
        raise refuse(path, f"holds no log that is known{aim or ': give a folder with one of the files that docs/logs.md lists'}")
    yield from known


def _within(folder: Path, chosen: str | None) -> Iterator[tuple[Path, str, str]]:
    """What is known among the files of a folder; hidden ones, links and what several readers know are passed over."""
    for path in sorted(folder.iterdir(), key=_natural):
        if path.name.startswith(".") or path.is_symlink():
            continue
        if path.is_dir():
            whole = _fitting(path, chosen)
            if whole:
                yield path, *whole[0]
            else:
                yield from _within(path, chosen)
        elif path.is_file():
            fitting = _fitting(path, chosen)
            if len(fitting) == 1:
                yield path, *fitting[0]


def _natural(path: Path) -> list[tuple[int, str]]:
    """checkpoint-9 before checkpoint-10."""
    digits = "".join(letter if letter.isdigit() else " " for letter in path.name).split()
    words = "".join(" " if letter.isdigit() else letter for letter in path.name)
    return [(0, words.split(" ")[0]), *((int(part) if len(part) < 19 else 0, part) for part in digits), (0, path.name)]


def _recognised(path: Path, chosen: str | None) -> tuple[str, str]:
    """The reader of a file that was given, and by what it is known; refuses a file of none and of several."""
    if path.stat().st_size == 0 or not head_of(path):
        raise refuse(path, "is empty: give a log of a run that has logged something")
    if chosen is not None:
        return chosen, "your choice"
    fitting = _fitting(path, chosen)
    if len(fitting) > 1:
        choices = "; ".join(f"{readers()[key].TITLE} ({key}) by {reason}" for key, reason in fitting)
        raise refuse(path, f"may be the log of several programs, so name the reader: {choices}")
    if not fitting:
        raise refuse(path, _unknown(head_of(path)))
    return fitting[0]


def _unknown(head: bytes) -> str:
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "is UTF-16 text: save it again as UTF-8"
    if head.startswith(MAGIC):
        return "is a damaged database, or one of a program that is not known: give MLflow's or trackio's"
    if b"\0" in head:
        return "is no log that is known: give one of the files that docs/logs.md lists"
    try:
        (head[:-4] if len(head) == HEAD else head).decode()  # which may end within a letter
    except UnicodeDecodeError:
        return "is not UTF-8 text: save it again as UTF-8"
    return "is no log that is known: give one of the files that docs/logs.md lists, or a CSV with a line of column names"


def _fitting(path: Path, chosen: str | None) -> list[tuple[str, str]]:
    """(key, reason) of the readers that know a file: the special ones, or the general ones where there is no other."""
    head = head_of(path)
    if chosen is not None:
        reason = readers()[chosen].recognises(path, head)
        return [(chosen, reason)] if reason else []
    fitting = [(key, reason) for key, reader in readers().items() if (reason := reader.recognises(path, head))]
    special = [entry for entry in fitting if not _is_general(entry[0])]
    return special or fitting


def _is_general(key: str) -> bool:
    return getattr(readers()[key], "GENERAL", False) is True


def join(logs: Logs, name: str, runs: Sequence[str]) -> Logs:
    """The same logs, with several runs, in that order, as one: a run that was resumed under another name."""
    for run in runs:
        choice("runs", run, [known.name for known in logs.runs])
    one, notes = joined(name, [logs[run] for run in runs])
    others = [run for run in logs.runs if run.name not in runs]
    if any(run.name == name for run in others):
        raise FieldError("name", name, "is another run's: give a name of its own")
    return replace(logs, runs=(*others, one), notes=(*logs.notes, *notes))


__all__ = ["AXES", "NAMES", "Curve", "Logs", "Origin", "Run", "join", "place_of", "read", "readers"]
