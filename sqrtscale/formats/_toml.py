"""TOML: read by tomllib, patched by tomlkit, which keeps comments and layout."""

from __future__ import annotations

import datetime
import re
import tomllib
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from ._document import DEEPEST, Document, Path, finite, refuse, too_deep
from ._numbers import plain, written

LONGEST_KEY = 60  # dots in a line before its equals sign; tomllib is slow on absurd ones


def parse(text: str) -> Document:
    """The document; raises FieldError."""
    if any(line.partition("=")[0].count(".") > LONGEST_KEY for line in text.splitlines()):
        raise too_deep(text)
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise refuse(text, f"is not TOML: {str(error)[:120]}") from error
    except ValueError as error:
        raise refuse(text, "is not TOML: a number has too many digits, so give one of ordinary size") from error
    return Document(text, "toml", _checked(data, (), text))


def _checked(value: Any, path: Path, text: str) -> Any:
    if len(path) > DEEPEST:
        raise too_deep(text)
    if isinstance(value, dict):
        return {key: _checked(one, (*path, key), text) for key, one in value.items()}
    if isinstance(value, list):
        return [_checked(one, (*path, i), text) for i, one in enumerate(value)]
    if isinstance(value, (datetime.date, datetime.time)):
        return str(value)
    return finite(path, value)


def patched(document: Document, changes: Mapping[Path, Any]) -> str:
    """The text with those values."""
    import tomlkit

    whole = tomlkit.parse(document.text)
    for path, value in sorted(changes.items(), key=lambda change: isinstance(change[0][-1], int) and change[0][-1]):
        container = whole
        for key, inner in pairwise(path):
            if not isinstance(key, int) and key not in container:
                container[key] = tomlkit.array() if isinstance(inner, int) else tomlkit.table()
            container = container[key]
        old = container[path[-1]].as_string() if document.has(path) else ""
        new = tomlkit.value(written(plain(value), old))
        if isinstance(path[-1], int) and path[-1] >= len(container):
            container.append(new)
        else:
            container[path[-1]] = new
    after = tomlkit.dumps(whole)  # new lines end in \n, whatever the others do
    windows = "\r\n" in document.text and not re.search(r"(?<!\r)\n", document.text)
    return re.sub(r"(?<!\r)\n", "\r\n", after) if windows else after
