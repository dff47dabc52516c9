"""A document in another arrangement: sections put together, numbers inside of texts ("100ba", "betas=0.9,0.99").

A format reads the arrangement under its program's names; what changes there goes back to where it stands in the text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ._document import Document, Path
from ._numbers import plain, written
from ._yaml import number

_ITEM = re.compile(r"[^,\s]+")
_ARGUMENT = re.compile(r"\s*([A-Za-z_]\w*+)\s*=")


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
        texts = [f"{name}={','.join(written(plain(values[i])) for i in sorted(values))}" for name, values in entries.items()]
        old = self.outer.get(listed)
        return {(*listed, len(old) + i): text for i, text in enumerate(texts)} if isinstance(old, list) else {listed: texts}


def _spliced(text: str, edits: Iterable[tuple[Origin, Any]]) -> str:
    for origin, value in sorted(edits, key=lambda edit: -edit[0].start):
        text = text[:origin.start] + written(plain(value), text[origin.start:origin.end]) + text[origin.end:]
    return text


def in_one(document: Document, beside: str) -> Document:
    """The tables of the root put together, for a program to which sections are only order; a new entry goes beside ``beside``."""
    data: dict[str, Any] = {}
    origins: dict[Path, Origin] = {}
    for section, table in document.data.items() if isinstance(document.data, dict) else ():
        entries = table.items() if isinstance(table, dict) else [(section, table)]
        for key, value in entries:
            data[key] = value
            origins[(key,)] = Origin((section, key) if isinstance(table, dict) else (section,))
    home = origins[(beside,)].path[:-1] if (beside,) in origins else ()
    return replace(document, data=data, view=View(document, origins, home))


def with_units(document: Document, unit: str) -> Document:
    """Every text that is a whole number and that unit ("100ba") as the number."""
    pattern = re.compile(rf"([0-9]{{1,18}}){re.escape(unit)}")
    found = {path: match for path, text in _texts(document.data, ()) if (match := pattern.fullmatch(text))}
    return _with(document, {path: int(match[1]) for path, match in found.items()},
                 {path: Origin(path, 0, match.end(1)) for path, match in found.items()})


def with_numbers(document: Document, *paths: Path) -> Document:
    """The texts of numbers between commas ("0.9,0.99") at those paths as lists."""
    values: dict[Path, Any] = {}
    origins: dict[Path, Origin] = {}
    for path in paths:
        text = document.get(path)
        items = _numbers(text, 0) if isinstance(text, str) else None
        if items:
            values[path], found = _placed(items, path, path)
            origins |= found
    return _with(document, values, origins)


def with_arguments(document: Document, path: Path) -> Document:
    """The list of texts ["betas=0.9,0.99", "eps=1e-8"] at that path as a table of arguments."""
    listed = document.get(path)
    if isinstance(listed, dict):  # as a command has it
        return with_numbers(document, *((*path, name) for name in listed))
    table: dict[str, Any] = {}
    origins: dict[Path, Origin] = {}
    for i, text in enumerate(listed if isinstance(listed, list) else ()):
        match = _ARGUMENT.match(text) if isinstance(text, str) else None
        if not match:
            continue
        items = _numbers(text, match.end())
        if items:
            table[match[1]], found = _placed(items, (*path, match[1]), (*path, i))
            origins |= found
        else:
            rest = text[match.end():].strip()
            table[match[1]] = {"True": True, "False": False}.get(rest, rest)
    seen = _with(document, {path: table}, origins)
    return replace(seen, view=replace(seen.view, arguments={path: path}))


def _placed(items: list[tuple[int | float, int, int]], here: Path, there: Path) -> tuple[Any, dict[Path, Origin]]:
    """One number or a list of several, with the origin of each in the text at ``there``."""
    if len(items) == 1:
        value, start, end = items[0]
        return value, {here: Origin(there, start, end)}
    origins = {(*here, i): Origin(there, start, end) for i, (_, start, end) in enumerate(items)}
    return [value for value, _, _ in items], origins


def _with(document: Document, values: Mapping[Path, Any], origins: Mapping[Path, Origin]) -> Document:
    data = _with_values(document.data, (), values)
    shared = {path for path, origin in origins.items() if origin.path in document.shared}
    return replace(document, data=data, view=View(document, origins), shared=document.shared | shared)


def _with_values(data: Any, path: Path, values: Mapping[Path, Any]) -> Any:
    """Data with those values in place of their own; an entry of the root may be new."""
    if path in values:
        return values[path]
    if isinstance(data, list):
        return [_with_values(item, (*path, i), values) for i, item in enumerate(data)]
    if not isinstance(data, dict):
        return data
    new = {} if path else {place[0]: value for place, value in values.items() if len(place) == 1}
    return {**{key: _with_values(inner, (*path, key), values) for key, inner in data.items()}, **new}


def _texts(value: Any, path: Path) -> Iterator[tuple[Path, str]]:
    if isinstance(value, str):
        yield path, value
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from _texts(inner, (*path, key))


def _numbers(text: str, start: int) -> list[tuple[int | float, int, int]] | None:
    """The numbers of a text from ``start`` and their characters: between commas, in brackets, in quotes; None for any other."""
    begin, end = start, len(text)
    while begin < end and text[begin].isspace():
        begin += 1
    while end > begin and text[end - 1].isspace():
        end -= 1
    if text[begin:begin + 1] + text[end - 1:end] in ("()", "[]", "''", '""') and end - begin > 1:
        begin, end = begin + 1, end - 1
    items = [(number(match[0]), *match.span()) for match in _ITEM.finditer(text, begin, end)]
    return items if items and all(value is not None for value, _, _ in items) else None
