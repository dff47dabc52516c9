"""A document's text with some values replaced and some entries added; every other character stays."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from . import _command_edit, _toml
from ._document import Document, Path
from ._numbers import as_list, written
from ._yaml import scalar

Edit = tuple[int, int, str]
_NAME = re.compile(r"[A-Za-z_][\w./-]*+|[1-9][0-9]*+[a-z]{2,}")  # a text that needs no quotes in YAML


def has_place(document: Document, path: Path) -> bool:
    """False where the text has no place for an entry: it would need a call that a Python text does not make, a line inside of
    a card's line, an entry of its own in what others share, or a table where something else stands."""
    if document.view:
        return all(has_place(document.view.outer, place) for place in document.view.changes({path: 0}))
    if path in document.spans or _command_edit.is_flag(document, path):
        return True
    holder = _holder(document, path)
    blocked = document.get((*holder, path[len(holder)])) is not None
    if document.syntax == "command":
        return bool(document.ends) and not (blocked or path[0] == "launcher" or isinstance(document.get(holder), list))
    if document.fixed or blocked or document.syntax == "card":
        return not (document.fixed or blocked) and len(path) == 1  # a card's line has parts of its own
    if document.syntax == "toml":
        return _toml.has_place(document, holder)
    if holder not in document.spans or holder in document.shared:
        return False
    if isinstance(document.get(holder), list) and holder not in document.flow:  # a list of lines in YAML
        last = (*holder, len(document.get(holder)) - 1)
        one_line = last in document.spans and "\n" not in document.text[slice(*document.spans[last])]
        return one_line and _before(document, last).strip() == "-"
    return holder in document.flow or document.syntax != "python" or any(path[:-1] == holder for path in document.ends)


def edited(document: Document, changes: Mapping[Path, Any]) -> str:
    """The text in which each path of ``changes`` has its value; containers that are missing are made."""
    if document.view:
        return edited(document.view.outer, document.view.changes(changes))
    edits: list[Edit] = []
    added: dict[Path, dict[str | int, Any]] = {}
    for path, value in changes.items():
        if value is False and _command_edit.is_flag(document, path):
            edits.append(_command_edit.removal(document, path))
            continue
        if path in document.spans:
            edits.append(_replacement(document, path, as_list(value)))
            continue
        holder, nested = _holder(document, path), as_list(value)
        for key in reversed(path[len(holder) + 1:]):
            nested = {key: nested}
        _merge(added.setdefault(holder, {}), path[len(holder)], nested)
    if document.syntax == "command" and added:
        new = {path: value for holder, entries in added.items() for path, value in _leaves(holder, _lists(entries))}
        edits += _command_edit.insertions(document, new, changes)
        added = {}
    for holder, entries in added.items():
        for key in [key for key in entries if (*holder, key) in document.spans]:  # null where a table belongs
            edits.append(_replacement(document, (*holder, key), _lists(entries.pop(key))))
        if entries:
            edits += _insertions(document, holder, {key: _lists(value) for key, value in entries.items()}, changes)
    text = document.text
    for start, end, replacement in reversed(sorted(edits, key=lambda edit: edit[:2])):
        text = text[:start] + replacement + text[end:]
    return text


def _holder(document: Document, path: Path) -> Path:
    """The innermost table or list on the way to a path that the text has."""
    holder = path[:-1]
    while holder and not isinstance(document.get(holder), (dict, list)):
        holder = holder[:-1]
    return holder


def _merge(into: dict[str | int, Any], key: str | int, value: Any) -> None:
    if isinstance(value, dict) and isinstance(into.get(key), dict):
        for inner, entry in value.items():
            _merge(into[key], inner, entry)
    else:
        into[key] = value


def _lists(value: Any) -> Any:
    """Tables whose keys are 0, 1, 2 ... as lists."""
    if not isinstance(value, dict):
        return value
    if value and all(isinstance(key, int) for key in value):
        return [_lists(value[key]) for key in sorted(value)]
    return {key: _lists(entry) for key, entry in value.items()}


def _leaves(path: Path, value: Any) -> Iterator[tuple[Path, Any]]:
    """Every value in tables of tables, with its path."""
    if not isinstance(value, dict):
        yield path, value
        return
    for key, entry in value.items():
        yield from _leaves((*path, key), entry)


def _text(document: Document, value: Any, old: str = "") -> str:
    """A value in the document's syntax."""
    if document.syntax == "toml" and not old:
        return _toml.written_value(value)
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, list):
        return "[" + ", ".join(_text(document, item) for item in value) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)}: {_text(document, entry)}" for key, entry in value.items()) + "}"
    if document.syntax == "python" and (value is None or isinstance(value, bool)):
        return repr(value)
    return written(value, old, dotted=document.syntax == "yaml")


def _replacement(document: Document, path: Path, value: Any) -> Edit:
    start, end = document.spans[path]
    if document.syntax == "command":
        between = ", " if path in document.flow else " "
        return start, end, _command_edit.written_word(value, between, document.text[start:end])
    old = document.text[start:end]
    bare = (document.syntax == "yaml" and isinstance(value, str) and old == document.get(path) and _NAME.fullmatch(value)
            and scalar(value, path) == value)
    new = value if bare else _text(document, value, old)
    return start, end, new if end > start else f" {new}"  # an empty value in YAML ends at its colon


def _insertions(document: Document, holder: Path, entries: Mapping[str | int, Any], changes: Mapping[Path, Any]) -> list[Edit]:
    """New entries of a container: beside an entry that changes too, or its last."""
    siblings = [path for path in document.keys if path[:-1] == holder and path in document.spans]
    if document.syntax == "toml" and holder not in document.flow:
        neighbour = next((path for path in changes if path in siblings), siblings[-1] if siblings else None)
        return _toml.insertions(document, holder, {str(key): value for key, value in entries.items()}, neighbour)
    lines = [_entry(document, holder, key, value) for key, value in entries.items()]
    if holder in document.flow:
        return [_between_commas(document, holder, lines, siblings, changes)]
    return [_on_lines(document, holder, lines, siblings, changes)]


def _before(document: Document, path: Path) -> str:
    """What stands before an entry on its line."""
    start = document.keys[path]
    return document.text[document.text.rfind("\n", 0, start) + 1:start]


def _newline(document: Document) -> str:
    return "\r\n" if "\r\n" in document.text else "\n"


def _between_commas(document: Document, holder: Path, lines: list[str], siblings: list[Path],
                    changes: Mapping[Path, Any]) -> Edit:
    text = document.text
    start, end = document.spans[holder]
    named = [path for path in siblings if isinstance(path[-1], str)]
    if not siblings:
        if document.syntax == "yaml" and text[start + 1:end - 1].strip():  # a merge
            return start + 1, start + 1, "".join(f"{line}, " for line in lines)
        return end - 1, end - 1, ", ".join(lines)
    if not named:  # items, or arguments without a name, which stand first
        at = _after_brackets(text, document.spans[siblings[-1]][1], end - 1)
        return at, at, "".join(f", {line}" for line in lines)
    short = [path for path in named if "\n" not in text[slice(*document.spans[path])]] or named
    at = document.keys[([path for path in changes if path in short] or short[-1:])[0]]
    indent = text[text.rfind("\n", 0, at) + 1:at]
    between = f",{_newline(document)}{indent}" if not indent.strip() and "\n" in text[:at] else ", "
    return at, at, "".join(line + between for line in lines)


def _after_brackets(text: str, at: int, close: int) -> int:
    """The place after a value that ends there, and after the brackets around it that close before ``close``."""
    end = at
    while end < close and (text[end].isspace() or text[end] == ")"):
        end += 1
        at = end if text[end - 1] == ")" else at
    return at


def _on_lines(document: Document, holder: Path, lines: list[str], siblings: list[Path], changes: Mapping[Path, Any]) -> Edit:
    text, newline = document.text, _newline(document)
    short = [path for path in siblings if path in document.ends or "\n" not in text[slice(*document.spans[path])]]
    if not short:
        at = min((document.keys[path] for path in siblings), default=len(text))
        indent = " " * (at - text.rfind("\n", 0, at) - 1)
        return at, at, "".join(f"{line}{newline}{indent}" for line in lines)
    neighbour = ([path for path in changes if path in short and isinstance(path[-1], str)] or short[-1:])[0]
    end = document.ends.get(neighbour, document.spans[neighbour][1])
    at = text.find("\n", end)
    at = len(text) if at < 0 else at - (text[at - 1] == "\r")
    before = _before(document, neighbour)
    if document.syntax == "python":
        before = before[:len(before) - len(before.lstrip())]
    indent = before if isinstance(neighbour[-1], int) else "".join(mark if mark.isspace() else " " for mark in before)
    return at, at, "".join(f"{newline}{indent}{line}" for line in lines)


def _entry(document: Document, holder: Path, key: str | int, value: Any) -> str:
    new = _text(document, value)
    if isinstance(key, int):
        return new
    if holder in document.calls:
        return f"{key}={new}"
    if document.syntax == "toml":
        return f"{_toml.name(key)} = {new}"
    if document.syntax == "python" and holder not in document.flow:
        return f"{key} = {new}"
    if document.syntax in ("json", "python"):
        return f"{json.dumps(key)}: {new}"
    return f"- {key}: {new}" if document.syntax == "card" else f"{key}: {new}"
