"""Text -> document: the table of syntaxes with their limits and parsers, above all of them."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from ..rules import FieldError
from . import _card, _command, _json, _python, _toml, _yaml
from ._document import Document, at_line, refuse, too_deep

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")


@dataclass(frozen=True)
class Syntax:
    """label: what people read; most_characters: of a text that is parsed; parse: text -> document, raises FieldError."""

    label: str
    most_characters: int
    parse: Callable[[str], Document]


SYNTAXES = {
    "json": Syntax("JSON", 1_000_000, _json.parse),
    "yaml": Syntax("YAML", 150_000, _yaml.parse),
    "toml": Syntax("TOML", 200_000, _toml.parse),
    "python": Syntax("Python", 200_000, _python.parse),
    "card": Syntax("a model card", 1_000_000, _card.parse),
    "command": Syntax("a command line", 100_000, _command.parse),
}
MOST_CHARACTERS = max(syntax.most_characters for syntax in SYNTAXES.values())


def as_text(content: str | bytes) -> str:
    """The content of a file as text; raises FieldError for binary files and for empty ones."""
    if isinstance(content, (bytes, bytearray)):
        try:
            content = bytes(content).decode("utf-8")
        except UnicodeDecodeError as error:
            raise FieldError("text", f"{len(content)} bytes", "are not UTF-8 text: give the configuration as JSON, YAML, TOML or "
                             "text (for training_args.bin, give TrainingArguments.to_json_string())") from error
    if not isinstance(content, str):
        raise FieldError("text", content, "is not text: paste the configuration")
    content = content.removeprefix("\ufeff")
    if len(content) > MOST_CHARACTERS:
        raise refuse(content, f"has {len(content):,} characters: give the training configuration alone, at most "
                     f"{MOST_CHARACTERS:,}")
    bad = _CONTROL.search(content)
    if bad:
        raise refuse(content[:bad.start()], f"has the control character {bad[0]!a} at {at_line(content, bad.start())}: give "
                     "a text file, not a binary one")
    if not content.strip():
        raise FieldError("text", "", "is empty: paste a configuration")
    return content


def parse(text: str, syntax: str, function: str | None = None) -> Document:
    """The document; raises FieldError for what is not that syntax, too large, nested too deep, or not finite.

    function: which function of a Python text; raises WhichFunction where it has several configurations and none is named.
    """
    kind = SYNTAXES[syntax]
    if len(text) > kind.most_characters:
        raise refuse(text, f"has {len(text):,} characters of {kind.label}: give the training configuration alone, at most "
                     f"{kind.most_characters:,}")
    if function is not None and syntax != "python":
        raise FieldError("function", function, f"is for Python alone, and the text is {kind.label}: leave it out")
    try:
        return _python.parse(text, function) if syntax == "python" else kind.parse(text)
    except RecursionError as error:
        raise too_deep(text) from error
