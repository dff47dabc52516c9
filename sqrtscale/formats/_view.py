"""A document in another arrangement: sections put together, numbers inside of texts ("100ba", "betas=0.9,0.99").

A format reads the arrangement under its program's names; what changes there goes back to where it stands in the text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from ._document import Document, Origin, Path, View
from ._yaml import parse_number

NONE: Mapping[Path, Path] = MappingProxyType({})
_ITEM = re.compile(r"[^,\s]+")
_ARGUMENT = re.compile(r"\s*([A-Za-z_]\w*+)\s*=")


def with_sections_joined(document: Document, neighbour: str) -> Document:
    """The tables of the root put together, for a program to which sections are only order; a new entry goes beside
    ``neighbour``."""
    data: dict[str, Any] = {}
    origins: dict[Path, Origin] = {}
    for section, table in document.data.items() if isinstance(document.data, dict) else ():
        entries = table.items() if isinstance(table, dict) else [(section, table)]
        for key, value in entries:
            data[key] = value
            origins[(key,)] = Origin((section, key) if isinstance(table, dict) else (section,))
    home = origins[(neighbour,)].path[:-1] if (neighbour,) in origins else ()
    return replace(document, data=data, view=View(document, origins, home))


def with_units(document: Document, unit: str) -> Document:
    """Every text that is a whole number and that unit ("100ba") as the number."""
    pattern = re.compile(rf"([0-9]{{1,18}}){re.escape(unit)}")
    matches = {path: match for path, text in _texts(document.data, ()) if (match := pattern.fullmatch(text))}
    return _with(document, {path: int(match[1]) for path, match in matches.items()},
                 {path: Origin(path, 0, match.end(1)) for path, match in matches.items()})


def with_numbers(document: Document, *paths: Path) -> Document:
    """The texts of numbers between commas ("0.9,0.99") at those paths as lists."""
    values: dict[Path, Any] = {}
    origins: dict[Path, Origin] = {}
    for path in paths:
        text = document.get(path)
        items = _numbers(text, 0) if isinstance(text, str) else None
        if items:
            values[path], places = _placed(items, path, path)
            origins |= places
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
            table[match[1]], places = _placed(items, (*path, match[1]), (*path, i))
            origins |= places
        else:
            rest = text[match.end():].strip()
            table[match[1]] = {"True": True, "False": False}.get(rest, rest)
    return _with(document, {path: table}, origins, {path: path})


def _placed(items: list[tuple[int | float, int, int]], here: Path, there: Path) -> tuple[Any, dict[Path, Origin]]:
    """One number or a list of several, with the origin of each in the text at ``there``."""
    if len(items) == 1:
        value, start, end = items[0]
        return value, {here: Origin(there, start, end)}
    origins = {(*here, i): Origin(there, start, end) for i, (_, start, end) in enumerate(items)}
    return [value for value, _, _ in items], origins


def _with(document: Document, values: Mapping[Path, Any], origins: Mapping[Path, Origin],
          arguments: Mapping[Path, Path] = NONE) -> Document:
    data = _with_values(document.data, (), values)
    shared = {path for path, origin in origins.items() if origin.path in document.shared}
    return replace(document, data=data, view=View(document, origins, arguments=arguments), shared=document.shared | shared)


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
    items = []
    for match in _ITEM.finditer(text, begin, end):
        value = parse_number(match[0])
        if value is None:
            return None
        items.append((value, *match.span()))
    return items or None
