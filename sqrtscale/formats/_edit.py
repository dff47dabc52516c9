"""A document's text with some values replaced and some entries added; every other character stays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ._document import Document, Path
from ._numbers import plain, written


def has_room(document: Document, path: Path) -> bool:
    """False where an entry would need a call that the Python text does not make, or a place inside a line of a card."""
    if path in document.spans or document.syntax not in ("python", "card"):
        return True
    parent = path[:-1]
    while not isinstance(document.get(parent), (dict, list)):
        parent = parent[:-1]
    return (parent == ()) == (document.syntax == "card")


def edited(document: Document, changes: Mapping[Path, Any]) -> str:
    """The text in which each path of ``changes`` has its value; containers that are missing are made."""
    if document.syntax == "toml":
        from ._toml import patched

        return patched(document, changes)
    edits: list[tuple[int, int, str]] = []
    added: dict[Path, dict[str | int, Any]] = {}
    for path, value in changes.items():
        if path in document.spans:
            edits.append(_replacement(document, path, plain(value)))
            continue
        parent, key, nested = path[:-1], path[-1], plain(value)
        while not isinstance(document.get(parent), (dict, list)):
            parent, key, nested = parent[:-1], parent[-1], {key: nested}
        _merge(added.setdefault(parent, {}), key, nested)
    for parent, entries in added.items():
        for key in [key for key in entries if (*parent, key) in document.spans]:  # null where a table belongs
            edits.append(_replacement(document, (*parent, key), _lists(entries.pop(key))))
        if entries:
            edits.append(_insertion(document, parent, {key: _lists(value) for key, value in entries.items()}, changes))
    text = document.text
    for start, end, new in sorted(edits, reverse=True):
        text = text[:start] + new + text[end:]
    return text


def _merge(into: dict[str | int, Any], key: str | int, value: Any) -> None:
    if isinstance(value, dict) and isinstance(into.get(key), dict):
        for inner, one in value.items():
            _merge(into[key], inner, one)
    else:
        into[key] = value


def _lists(value: Any) -> Any:
    """Tables whose keys are 0, 1, 2 ... as lists."""
    if not isinstance(value, dict):
        return value
    if all(isinstance(key, int) for key in value):
        return [_lists(value[key]) for key in sorted(value)]
    return {key: _lists(one) for key, one in value.items()}


def _replacement(document: Document, path: Path, value: Any) -> tuple[int, int, str]:
    start, end = document.spans[path]
    new = written(value, document.text[start:end], dotted=document.syntax == "yaml")
    return start, end, new if end > start else f" {new}"  # an empty value in YAML ends at its colon


def _insertion(document: Document, parent: Path, entries: Mapping[str | int, Any],
               changes: Mapping[Path, Any]) -> tuple[int, int, str]:
    """Where the new entries of a container go: beside an entry that changes too, or its last that fits on one line."""
    text = document.text
    lines = [_entry(document, parent, key, value) for key, value in entries.items()]
    siblings = [path for path in document.keys if path[:-1] == parent and path in document.spans
                and "\n" not in text[slice(*document.spans[path])]]
    beside = [path for path in changes if path in siblings][:1] or siblings
    newline = "\r\n" if "\r\n" in text else "\n"
    if parent in document.flow:
        if not beside:
            at = document.spans[parent][0] + 1
            more = text[at:document.spans[parent][1] - 1].strip()
            return at, at, ", ".join(lines) + (", " if more else "")
        at = document.keys[beside[-1]]
        if isinstance(beside[-1][-1], int):  # an argument without a name stands first
            at = document.spans[beside[-1]][1]
            return at, at, "".join(f", {line}" for line in lines)
        indent = text[text.rfind("\n", 0, at) + 1:at]
        between = f",{newline}{indent}" if not indent.strip() and "\n" in text[:at] else ", "
        return at, at, "".join(line + between for line in lines)
    if beside:
        key, end = document.keys[beside[-1]], document.spans[beside[-1]][1]
        at = text.find("\n", end)
        at = len(text) if at < 0 else at - (text[at - 1] == "\r")
        indent = " " * (key - text.rfind("\n", 0, key) - 1)
        return at, at, "".join(f"{newline}{indent}{line}" for line in lines)
    at = min((document.keys[path] for path in document.keys if path[:-1] == parent), default=len(text))
    indent = " " * (at - text.rfind("\n", 0, at) - 1)
    return at, at, "".join(f"{line}{newline}{indent}" for line in lines)


def _entry(document: Document, parent: Path, key: str | int, value: Any) -> str:
    new = written(value, dotted=document.syntax == "yaml")
    if parent in document.calls:
        return f"{key}={new}"
    if document.syntax in ("json", "python"):
        return f'"{key}": {new}'
    return f"- {key}: {new}" if document.syntax == "card" else f"{key}: {new}"
