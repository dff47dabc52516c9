"""JSON with the place of every value. Strict: no NaN, no comments; of two equal keys the last one counts, as in Python's json."""

from __future__ import annotations

import re
from json.decoder import JSONDecodeError, scanstring  # type: ignore[attr-defined]  # which typeshed leaves out
from typing import Any

from ..rules import FieldError
from ._document import (
    DEEPEST,
    MOST_VALUES,
    Document,
    Path,
    Twice,
    at_line,
    end_of,
    finite,
    forget,
    refuse,
    shown,
    too_deep,
    too_many,
)

_SPACE = re.compile(r"[ \t\r\n]*")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?")
_WORD = re.compile(r"-?[A-Za-z]+")
_CONSTANTS = {"true": True, "false": False, "null": None}
LONGEST_NUMBER = 400


def parse(text: str) -> Document:
    """The document; raises FieldError."""
    scanner = _Scanner(text)
    data, end = scanner.value(scanner.skip(0), ())
    if scanner.skip(end) != len(text):
        raise scanner.wrong(scanner.skip(end), "the end of the text")
    return Document(text, "json", data, scanner.spans, scanner.keys, frozenset(scanner.flow),
                    notes=scanner.twice.notes())


class _Scanner:
    def __init__(self, text: str):
        self.text = text
        self.spans: dict[Path, tuple[int, int]] = {}
        self.keys: dict[Path, int] = {}
        self.flow: set[Path] = set()
        self.twice = Twice(text)
        self.count = 0

    def skip(self, at: int) -> int:
        return end_of(_SPACE, self.text, at)

    def wrong(self, at: int, expected: str) -> FieldError:
        there = f"{self.text[at]!r} stands" if at < len(self.text) else "it ends"
        return refuse(self.text, f"is not JSON: {there} at {at_line(self.text, at)} where {expected} is expected")

    def value(self, at: int, path: Path) -> tuple[Any, int]:
        """The value that starts there, and where it ends."""
        if len(path) > DEEPEST:
            raise too_deep(self.text)
        self.count += 1
        if self.count > MOST_VALUES:
            raise too_many(self.text)
        first = self.text[at:at + 1]
        value: Any
        if first == "{":
            value, end = self.entries(at, path)
        elif first == "[":
            value, end = self.items(at, path)
        elif first == '"':
            value, end = self.string(at)
        else:
            value, end = self.scalar(at, path)
        self.spans[path] = (at, end)
        return value, end

    def string(self, at: int) -> tuple[str, int]:
        try:
            string: tuple[str, int] = scanstring(self.text, at + 1, True)
        except JSONDecodeError as error:
            raise self.wrong(min(error.pos, len(self.text)), "the rest of a string") from error
        return string

    def scalar(self, at: int, path: Path) -> tuple[Any, int]:
        word = _WORD.match(self.text, at)
        if word:
            if word[0].lstrip("-") in ("NaN", "Infinity"):
                finite(path, float(word[0].replace("Infinity", "inf")))
            if word[0] not in _CONSTANTS:
                raise self.wrong(at, "a value")
            return _CONSTANTS[word[0]], word.end()
        number = _NUMBER.match(self.text, at)
        if not number:
            raise self.wrong(at, "a value")
        if number.end() - at > LONGEST_NUMBER:
            raise FieldError(shown(path), number[0], "has too many digits: give a number of ordinary size")
        whole = number[1] is None and number[2] is None
        return int(number[0]) if whole else finite(path, float(number[0])), number.end()

    def entries(self, at: int, path: Path) -> tuple[dict[str, Any], int]:
        self.flow.add(path)
        entries: dict[str, Any] = {}
        at = self.skip(at + 1)
        if self.text[at:at + 1] == "}":
            return entries, at + 1
        while True:
            if self.text[at:at + 1] != '"':
                raise self.wrong(at, "a key in double quotes")
            start = at
            key, at = self.string(at)
            at = self.skip(at)
            if self.text[at:at + 1] != ":":
                raise self.wrong(at, "a colon")
            if key in entries:
                self.twice.add((*path, key), start)
                forget((*path, key), entries[key], (self.spans, self.keys), (self.flow,))
            self.keys[(*path, key)] = start
            entries[key], at = self.value(self.skip(at + 1), (*path, key))
            at, more = self.after(at, "}")
            if not more:
                return entries, at

    def items(self, at: int, path: Path) -> tuple[list[Any], int]:
        self.flow.add(path)
        items: list[Any] = []
        at = self.skip(at + 1)
        if self.text[at:at + 1] == "]":
            return items, at + 1
        while True:
            here = (*path, len(items))
            self.keys[here] = at
            item, at = self.value(at, here)
            items.append(item)
            at, more = self.after(at, "]")
            if not more:
                return items, at

    def after(self, at: int, end: str) -> tuple[int, bool]:
        """Past a comma (and more follows) or past the end of the container."""
        at = self.skip(at)
        mark = self.text[at:at + 1]
        if mark == end:
            return at + 1, False
        if mark != ",":
            raise self.wrong(at, f"a comma or {end!r}")
        return self.skip(at + 1), True
