"""A text of a configuration as plain data with the place of every value, as it is written or in another arrangement.

Data are made of dict, list, str, int, float, bool and None. Whatever the syntax, only the characters of the
values that change are replaced, so comments, order and layout stay as they are.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..rules import FieldError
from ._numbers import as_list, written

Path = tuple[str | int, ...]
Span = tuple[int, int]

DEEPEST = 50
LONGEST_SHOWN = 80  # characters of a path in a message
MOST_NOTES = 10
MOST_VALUES = 100_000  # after aliases are followed


@dataclass(frozen=True)
class Document:
    """A parsed text.

    data: the plain data; spans: path of a value -> its characters; keys: path of a value -> where its entry
    starts (its key, or itself in a list); flow: paths of containers whose entries are separated by commas;
    calls: paths of containers that are calls with keyword arguments; shared: paths of values that other
    places use as well (YAML aliases, variables), and so cannot be changed alone; notes: what the reader must know of the text;
    fixed: true where no entry can be added; ends: path of an entry -> where it ends, if not with its value; view: what the
    data are an arrangement of, or None where they stand as they are written.
    """

    text: str
    syntax: str
    data: Any
    spans: Mapping[Path, Span] = field(default_factory=dict)
    keys: Mapping[Path, int] = field(default_factory=dict)
    flow: frozenset[Path] = frozenset()
    calls: frozenset[Path] = frozenset()
    shared: frozenset[Path] = frozenset()
    notes: tuple[str, ...] = ()
    fixed: bool = False
    ends: Mapping[Path, int] = field(default_factory=dict)
    view: View | None = None

    def get(self, path: Path) -> Any:
        """The value at a path, or None where there is none."""
        value = self.data
        for key in path:
            if isinstance(value, dict):
                value = value.get(key)
            elif isinstance(value, list) and isinstance(key, int) and key < len(value):
                value = value[key]
            else:
                return None
        return value

    def has(self, path: Path) -> bool:
        """True where the text has an entry at that path, be it null."""
        container = self.get(path[:-1])
        if isinstance(container, list):
            return isinstance(path[-1], int) and path[-1] < len(container)
        return isinstance(container, dict) and path[-1] in container


@dataclass(frozen=True)
class Origin:
    """Where a value of a view stands: the path of a value, and which characters of it where that is a text (None: all of it)."""

    path: Path
    start: int = 0
    end: int | None = None


@dataclass(frozen=True)
class View:
    """What a document is an arrangement of.

    outer: the document as it is written, or another view; origins: path here -> where it stands there, for what has moved;
    home: where a new entry of the root belongs there; arguments: path of a table -> path of the list of texts
    ("eps=1e-8") that it stands for.
    """

    outer: Document
    origins: Mapping[Path, Origin] = field(default_factory=dict)
    home: Path = ()
    arguments: Mapping[Path, Path] = field(default_factory=dict)

    def changes(self, changes: Mapping[Path, Any]) -> dict[Path, Any]:
        """Changes here as changes there."""
        there: dict[Path, Any] = {}
        pieces: dict[Path, list[tuple[Origin, Any]]] = {}
        new: dict[Path, dict[str, Any]] = {}
        for path, value in changes.items():
            origin = self.origins.get(path)
            if origin and origin.end is not None:
                pieces.setdefault(origin.path, []).append((origin, value))
            elif holder := next((table for table in self.arguments if path[:len(table)] == table), None):
                name, *inside = path[len(holder):]
                entry = new.setdefault(holder, {}).setdefault(str(name), {})
                entry[inside[0] if inside else 0] = value
            else:
                there[self.place(path)] = value
        for path, edits in pieces.items():
            there[path] = _spliced(str(self.outer.get(path)), edits)
        for holder, entries in new.items():
            there |= self._new_arguments(self.arguments[holder], entries)
        return there

    def place(self, path: Path) -> Path:
        """A path here as the path there: by the longest part of it that has moved."""
        for end in range(len(path), 0, -1):
            if path[:end] in self.origins:
                return (*self.origins[path[:end]].path, *path[end:])
        return (*self.home, *path)

    def _new_arguments(self, listed: Path, entries: Mapping[str, Mapping[int, Any]]) -> dict[Path, Any]:
        texts = [f"{name}={','.join(written(as_list(values[i])) for i in sorted(values))}" for name, values in entries.items()]
        old = self.outer.get(listed)
        return {(*listed, len(old) + i): text for i, text in enumerate(texts)} if isinstance(old, list) else {listed: texts}


def _spliced(text: str, edits: Iterable[tuple[Origin, Any]]) -> str:
    for origin, value in sorted(edits, key=lambda edit: -edit[0].start):
        text = text[:origin.start] + written(as_list(value), text[origin.start:origin.end]) + text[origin.end:]
    return text


def entries(data: Any) -> Iterator[tuple[Path, Any]]:
    """Every entry of every mapping, at any depth."""
    waiting: list[tuple[Path, Any]] = [((), data)]
    while waiting:
        around, value = waiting.pop()
        inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        for key, inner in inside:
            path = (*around, key)
            if isinstance(value, dict):
                yield path, inner
            if isinstance(inner, (dict, list)):
                waiting.append((path, inner))


def dotted(path: Path) -> str:
    """A path with dots between its keys: optimizer.params.betas.0, as tables and patterns of formats have it."""
    return ".".join(map(str, path))


def shown(path: Path) -> str:
    """A path as people write it, on one line: optimizer.params.betas[0]."""
    name = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in path).lstrip(".") or "text"
    name = name if name.isprintable() else ascii(name)[1:-1]
    return name if len(name) <= LONGEST_SHOWN else f"{name[:LONGEST_SHOWN - 43]}...{name[-40:]}"


@dataclass(frozen=True)
class Unread:
    """An expression, or a YAML tag, that only running the program would give a value."""

    text: str

    def __str__(self) -> str:
        return " ".join(self.text.split())


def refuse(text: str, allowed: str) -> FieldError:
    """The error for a text as a whole; shows how it begins."""
    start = text[:40].strip()
    return FieldError("text", f"{start} ..." if len(text) > 40 else start, allowed)


def end_of(pattern: re.Pattern[str], text: str, at: int) -> int:
    """Where what the pattern matches from there on ends; there itself where it matches nothing."""
    match = pattern.match(text, at)
    return match.end() if match else at


def at_line(text: str, offset: int) -> str:
    """"line 3, column 5" for a position in a text."""
    before = text[:offset]
    return f"line {before.count(chr(10)) + 1}, column {offset - before.rfind(chr(10))}"


def too_deep(text: str) -> FieldError:
    """The error for a text that is nested deeper than any configuration is."""
    return refuse(text, f"is nested more than {DEEPEST} deep: give the training configuration alone")


def too_many(text: str) -> FieldError:
    """The error for a text that holds more values than any configuration does."""
    return refuse(text, f"holds more than {MOST_VALUES:,} values (aliases followed): give the training configuration alone")


def finite(path: Path, value: Any) -> Any:
    """``value`` of that path; raises FieldError where it is NaN or infinite."""
    if isinstance(value, float) and not math.isfinite(value):
        raise FieldError(shown(path), value, "is not a finite number: no configuration has NaN or infinity, so correct the file")
    return value


def twice(key: object, text: str, offset: int | None = None) -> FieldError:
    """The error for a key that stands twice in one container."""
    where = "" if offset is None else f" (again at {at_line(text, offset)})"
    return FieldError(shown((str(key),)), "two values", f"stands twice{where}: keep one of them")


class WhichFunction(FieldError):
    """A text with several configurations, each in a function: which one is meant? names: of those functions."""

    def __init__(self, names: tuple[str, ...]):
        self.names = names
        more = f" and {len(names) - 20} more" if len(names) > 20 else ""
        super().__init__("function", None, f"is not enough, as the text holds several configurations: {', '.join(names[:20])}"
                         f"{more}: say which one (--function {names[0]})")


def forget(path: Path, value: Any, tables: Sequence[dict[Path, Any]], sets: Sequence[set[Path]] = ()) -> None:
    """Drop the places of a value that does not count, and of all that lies below it."""
    for places in tables:
        places.pop(path, None)
    for paths in sets:
        paths.discard(path)
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        forget((*path, key), inner, tables, sets)


class Twice:
    """The keys of a text that stand twice: the last one counts, as for the programs that read it."""

    def __init__(self, text: str):
        self.text = text
        self.places: dict[Path, int] = {}

    def add(self, path: Path, offset: int) -> None:
        """That path stands there again."""
        self.places[path] = offset

    def notes(self) -> tuple[str, ...]:
        """One sentence for each of the first few keys."""
        sentences = [f"{shown(path)} stands twice (again at {at_line(self.text, offset)}): the last one counts."
                for path, offset in list(self.places.items())[:MOST_NOTES]]
        rest = len(self.places) - len(sentences)
        return (*sentences, f"{rest} more keys stand twice: the last one counts.") if rest else tuple(sentences)
