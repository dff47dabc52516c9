"""TOML: read by tomllib; where each value stands is found by a scan of the same text, which tomllib has said is TOML."""

from __future__ import annotations

import datetime
import json
import re
import tomllib
from collections.abc import Mapping
from typing import Any

from ._document import DEEPEST, Document, Path, end_of, finite, refuse, too_deep
from ._numbers import written

_LONG_KEY = re.compile(  # tomllib is slow on keys with many dots
    r"""(?<![\w.-])(?:(?:[\w-]++|"[^"\n]*+"|'[^'\n]*+')[ \t]*+\.[ \t]*+){60}""")
_BLANK = re.compile(r"(?:[ \t\r\n]++|#[^\n]*+)*+")
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_STRING = re.compile(
    r'''"""[^"\\]*+(?:(?:\\.|"(?!""))[^"\\]*+)*+"{3,5}|\'\'\'[^']*+(?:'(?!'')[^']*+)*+'{3,5}'''
    r"""|"[^"\\\n]*+(?:\\.[^"\\\n]*+)*+"|'[^'\n]*+'""", re.DOTALL)
_SCALAR = re.compile(r"[^,\]}\s#]++(?: [0-9]{2}:[^,\]}\s#]*+)?")


def parse(text: str) -> Document:
    """The document; raises FieldError."""
    if _LONG_KEY.search(text):
        raise too_deep(text)
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise refuse(text, f"is not TOML: {str(error)[:120]}") from error
    except ValueError as error:
        raise refuse(text, "is not TOML: a number has too many digits, so give one of ordinary size") from error
    places = _Places(text)
    return Document(text, "toml", _checked(data, (), text), places.spans, places.keys, frozenset(places.flow), ends=places.ends)


def _checked(value: Any, path: Path, text: str) -> Any:
    if len(path) > DEEPEST:
        raise too_deep(text)
    if isinstance(value, dict):
        return {key: _checked(inner, (*path, key), text) for key, inner in value.items()}
    if isinstance(value, list):
        return [_checked(inner, (*path, i), text) for i, inner in enumerate(value)]
    if isinstance(value, (datetime.date, datetime.time)):
        return str(value)
    return finite(path, value)


class _Places:
    """Where values, keys and headers of tables stand. Of a dotted key its last part counts; ends: table -> end of its header."""

    def __init__(self, text: str):
        self.text = text
        self.spans: dict[Path, tuple[int, int]] = {}
        self.keys: dict[Path, int] = {}
        self.ends: dict[Path, int] = {}
        self.flow: set[Path] = set()
        self.counts: dict[Path, int] = {}
        table: Path = ()
        at = self.skip(0)
        while at < len(text):
            if text[at] == "[":
                table, at = self.header(at)
            else:
                at = self.entry(at, table)
            at = self.skip(at)

    def skip(self, at: int) -> int:
        return end_of(_BLANK, self.text, at)

    def header(self, at: int) -> tuple[Path, int]:
        """The table that a header opens, and where the header ends."""
        array = self.text.startswith("[[", at)
        names, _, at = self.key(at + 1 + array)
        path: Path = ()
        for name in names[:-1]:
            path = (*path, name)
            if path in self.counts:
                path = (*path, self.counts[path] - 1)
        path = (*path, names[-1])
        if array:
            self.counts[path] = self.counts.get(path, 0) + 1
            path = (*path, self.counts[path] - 1)
        self.ends[path] = at + 1 + array
        return path, at + 1 + array

    def key(self, at: int) -> tuple[list[str], int, int]:
        """The parts of a key, where the last one starts, and what comes after it."""
        names = []
        while True:
            start = self.skip(at)
            string = _STRING.match(self.text, start)
            end = string.end() if string else end_of(_BARE, self.text, start)
            name = self.text[start:end]
            names.append(next(iter(tomllib.loads(f"{name} = 0"))) if string else name)
            at = self.skip(end)
            if self.text[at] != ".":
                return names, start, at
            at += 1

    def entry(self, at: int, table: Path) -> int:
        """Past key = value."""
        names, start, at = self.key(at)
        path = (*table, *names)
        if len(names) == 1 or table not in self.flow:
            self.keys[path] = start
        return self.value(self.skip(at + 1), path)

    def value(self, at: int, path: Path) -> int:
        string = _STRING.match(self.text, at)
        if string:
            end = string.end()
        elif self.text[at] in "[{":
            end = self.items(at, path)
        else:
            end = end_of(_SCALAR, self.text, at)
        self.spans[path] = (at, end)
        return end

    def items(self, at: int, path: Path) -> int:
        """Past an array or an inline table."""
        self.flow.add(path)
        array, count = self.text[at] == "[", 0
        at = self.skip(at + 1)
        while self.text[at] not in "]}":
            if array:
                self.keys[(*path, count)] = at
                at = self.value(at, (*path, count))
            else:
                at = self.entry(at, path)
            at = self.skip(at)
            at = self.skip(at + 1) if self.text[at] == "," else at
            count += 1
        return at + 1


def has_place(document: Document, holder: Path) -> bool:
    """True where a new entry of that table has a place: in brackets, beside a sibling, under a header, or under a new one."""
    if isinstance(document.get(holder), list):
        return holder in document.flow
    return (holder == () or holder in document.flow or _may_have_header(document, holder)
            or holder in document.ends or any(path[:-1] == holder for path in document.keys))


def _may_have_header(document: Document, table: Path) -> bool:
    """True where a header names the table, or could: a dotted key or an inline table defines it nowhere."""
    named = any(header[:len(table)] == table for header in document.ends)
    return named and not any(isinstance(key, int) for key in table)


def insertions(document: Document, holder: Path, entries: Mapping[str, Any],
               neighbour: Path | None) -> list[tuple[int, int, str]]:
    """New entries of a table that is no inline one: beside a sibling, under its header, or under a new one at the end."""
    text = document.text
    newline = "\r\n" if "\r\n" in text else "\n"
    headers = holder == () or _may_have_header(document, holder)
    tables = {(*holder, key): table for key, table in entries.items() if isinstance(table, dict) and headers}
    lines = [f"{name(key)} = {written_value(value)}" for key, value in entries.items() if (*holder, key) not in tables]
    edits = []
    if lines and neighbour is not None:
        at, key = _line_end(text, document.spans[neighbour][1]), document.keys[neighbour]
        before = text[text.rfind("\n", 0, key) + 1:key]
        edits.append((at, at, "".join(f"{newline}{before}{line}" for line in lines)))
    elif lines and holder in document.ends:
        at = _line_end(text, document.ends[holder])
        edits.append((at, at, "".join(f"{newline}{line}" for line in lines)))
    elif lines and holder == ():
        edits.append((0, 0, "".join(f"{line}{newline}" for line in lines)))
    elif lines:
        tables = {holder: {key: value for key, value in entries.items() if (*holder, key) not in tables}} | tables
    for path, table in tables.items():
        header = ".".join(name(str(key)) for key in path)
        block = [f"[{header}]", *(f"{name(key)} = {written_value(value)}" for key, value in table.items())]
        ended = text.endswith("\n")
        edits.append((len(text), len(text), newline * (1 if ended else 2) + newline.join(block) + newline * ended))
    return edits


def written_value(value: Any) -> str:
    """A new value as TOML writes it."""
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, list):
        return "[" + ", ".join(map(written_value, value)) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name(key)} = {written_value(inner)}" for key, inner in value.items()) + "}"
    return written(value)


def name(key: str) -> str:
    """A key as TOML writes it."""
    return key if _BARE.fullmatch(key) else json.dumps(key, ensure_ascii=False)


def _line_end(text: str, at: int) -> int:
    end = text.find("\n", at)
    return len(text) if end < 0 else end - (text[end - 1] == "\r")
