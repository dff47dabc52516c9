"""Text of a configuration -> plain data with the place of every value, within limits; and the text with some values replaced.

Data are made of dict, list, str, int, float, bool and None. Whatever the syntax, only the characters of the
values that change are replaced, so comments, order and layout stay as they are.
"""

from __future__ import annotations

import importlib
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..rules import FieldError
from ._syntax import syntax_of as syntax_of

if TYPE_CHECKING:
    from ._view import View

Path = tuple[str | int, ...]
Span = tuple[int, int]

SYNTAXES = {"json": "JSON", "yaml": "YAML", "toml": "TOML", "python": "Python", "card": "a model card",
            "command": "a command line"}
MOST_CHARACTERS = {"json": 1_000_000, "card": 1_000_000, "yaml": 150_000, "toml": 200_000, "python": 200_000,
                   "command": 100_000}
DEEPEST = 50
LONGEST_SHOWN = 80  # characters of a path in a message
MOST_NOTES = 10
MOST_VALUES = 100_000  # after aliases are followed
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")


@dataclass(frozen=True)
class Document:
    """A parsed text.

    data: the plain data; spans: path of a value -> its characters; keys: path of a value -> where its entry
    starts (its key, or itself in a list); flow: paths of containers whose entries are separated by commas;
    calls: paths of containers that are calls with keyword arguments; shared: paths of values that stand
    elsewhere (YAML aliases), and so cannot be changed alone; notes: what the reader must know of the text; fixed: true
    where no entry can be added; ends: path of an entry -> where it ends, if not with its value; view: what the data are an
    arrangement of, or None where they stand as they are written.
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
        found = self.data
        for key in path:
            if isinstance(found, dict):
                found = found.get(key)
            elif isinstance(found, list) and isinstance(key, int) and key < len(found):
                found = found[key]
            else:
                return None
        return found

    def has(self, path: Path) -> bool:
        """True where the text has an entry at that path, be it null."""
        container = self.get(path[:-1])
        if isinstance(container, list):
            return isinstance(path[-1], int) and path[-1] < len(container)
        return isinstance(container, dict) and path[-1] in container


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

    def __str__(self):
        return " ".join(self.text.split())


def refuse(text: str, allowed: str) -> FieldError:
    """The error for a text as a whole; shows how it begins."""
    start = text[:40].strip()
    return FieldError("text", f"{start} ..." if len(text) > 40 else start, allowed)


def at_line(text: str, offset: int) -> str:
    """"line 3, column 5" for a position in a text."""
    before = text[:offset]
    return f"line {before.count(chr(10)) + 1}, column {offset - before.rfind(chr(10))}"


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
    if len(content) > max(MOST_CHARACTERS.values()):
        raise refuse(content, f"has {len(content):,} characters: give the training configuration alone, at most "
                     f"{max(MOST_CHARACTERS.values()):,}")
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
    most = MOST_CHARACTERS[syntax]
    if len(text) > most:
        raise refuse(text, f"has {len(text):,} characters of {SYNTAXES[syntax]}: give the training configuration alone, at most "
                     f"{most:,}")
    parser = importlib.import_module(f"{__package__}._{syntax}")  # not above: each of them imports this module
    if function is not None and syntax != "python":
        raise FieldError("function", function, f"is for Python alone, and the text is {SYNTAXES[syntax]}: leave it out")
    try:
        return parser.parse(text, function) if syntax == "python" else parser.parse(text)
    except RecursionError as error:
        raise too_deep(text) from error


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
        said = [f"{shown(path)} stands twice (again at {at_line(self.text, offset)}): the last one counts."
                for path, offset in list(self.places.items())[:MOST_NOTES]]
        rest = len(self.places) - len(said)
        return (*said, f"{rest} more keys stand twice: the last one counts.") if rest else tuple(said)
