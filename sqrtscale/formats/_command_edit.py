"""Changes of a command line: new options in its style, an option that is taken out, a value as a shell takes it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from typing import Any

from ._command import KEY
from ._document import Document, Path, dotted
from ._numbers import written

_NAME = re.compile(r"--?([A-Za-z][\w.-]*+)(=?)")


def insertions(document: Document, entries: Mapping[Path, Any], changes: Mapping[Path, Any]) -> list[tuple[int, int, str]]:
    """New options, and new arguments of an option that takes them as words (``--optimizer_args eps=1e-8``)."""
    options, edits = dict(entries), []
    for path, value in entries.items():
        arguments = [place for place in document.ends if place[:-1] == path[:-1] and _is_argument(document, place)]
        if len(path) > 1 and arguments:
            at = document.ends[arguments[-1]]
            edits.append((at, at, f" {path[-1]}={written_word(value, ',')}"))
            del options[path]
    return [*edits, _new_options(document, options, changes)] if options else edits


def _is_argument(document: Document, path: Path) -> bool:
    return document.text[document.keys[path]:].lstrip("'\"").startswith(f"{path[-1]}=")


def _new_options(document: Document, entries: Mapping[Path, Any], changes: Mapping[Path, Any]) -> tuple[int, int, str]:
    """New options in the style of the command, after one that changes too, or else after the last."""
    text, places = document.text, document.ends
    neighbour = next((path for path in changes if path in places), None) or list(places)[-1]
    if KEY.match(text[document.keys[neighbour]:].lstrip("'\"")):
        new = [f"{'.'.join(map(str, path))}={written_word(value, ',')}" for path, value in entries.items()]
    else:
        options = [match for path in places if (match := _NAME.match(text, document.keys[path]))]
        hyphens = sum(match[1].count("-") for match in options) > sum(match[1].count("_") for match in options)
        equals = 2 * sum(bool(match[2]) for match in options) > len(options)
        names = [dotted(path).replace("_", "-" if hyphens else "_") for path in entries]
        marks = ["=" if equals and not _are_words(value) else " " for value in entries.values()]
        new = [f"--{name}{mark}{written_word(value, ',' if mark == '=' else ' ')}"
               for name, mark, value in zip(names, marks, entries.values(), strict=True)]
    return places[neighbour], places[neighbour], "".join(f" {option}" for option in new)


def is_flag(document: Document, path: Path) -> bool:
    """True for an option without a value, which is turned off by leaving it out."""
    return document.syntax == "command" and path in document.ends and path not in document.spans and document.get(path) is True


def removal(document: Document, path: Path) -> tuple[int, int, str]:
    """The option taken out, with a blank before it."""
    start = document.keys[path]
    return start - (document.text[start - 1:start] in (" ", "\t")), document.ends[path], ""


def _are_words(value: Any) -> bool:
    """True for several words, which no program takes as one."""
    return isinstance(value, list) and any(isinstance(item, str) for item in value)


def written_word(value: Any, between: str, old: str = "") -> str:
    """A value as a shell takes it."""
    if isinstance(value, list):
        items = between.join(written_word(item, between) for item in value)
        return items if between == " " else f"'[{items}]'"
    if value is None or isinstance(value, (bool, int, float)):
        return written(value, old)
    return shlex.quote(str(value))
