"""YAML with the place of every value, by ruamel.yaml's node graph: no tag makes an object, no alias is expanded unseen.

Of two equal keys the last one counts, as for PyYAML. Numbers are read as people mean them: 2e-4 is one, though YAML 1.1
(PyYAML) reads text there.
"""

from __future__ import annotations

import re
from typing import Any

from ..rules import FieldError
from ._document import DEEPEST, MOST_VALUES, Document, Path, Twice, Unread, finite, forget, refuse, shown, too_deep, too_many

_INT = re.compile(r"[-+]?(0|[1-9][0-9_]{0,300})")
# A zero before other digits makes no decimal: readers take it for text or for an octal number.
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9][0-9_]{0,300}\.[0-9_]{0,300}|0|[1-9][0-9_]{0,300})([eE][-+]?[0-9]{1,5})?")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|nan)", re.IGNORECASE)
MOST_MARKS = 40_000  # the parser needs up to 25 microseconds for each; real files of 100,000 characters have about 8,000
_MARKS = "\n\r,:?-[]{}&*!"
_BRACKET = re.compile(r"[\[\]{}]")
_COLON = re.compile(r"\s*:")
_NULL = {"", "~", "null"}
_TRUE, _FALSE = {"true", "yes", "on"}, {"false", "no", "off"}


def parse_number(text: str) -> int | float | None:
    """The number that a text writes, or None."""
    if _INT.fullmatch(text):
        return int(text.replace("_", ""))
    return float(text.replace("_", "")) if _FLOAT.fullmatch(text) else None


def scalar(text: str, path: Path) -> Any:
    """What a text without quotes means; raises FieldError for NaN and infinity."""
    word = text.lower() if len(text) < 6 else ""
    if word in _NULL and len(text) < 6:
        return None
    if word in _TRUE or word in _FALSE:
        return word in _TRUE
    if _NOT_FINITE.fullmatch(text):
        finite(path, float(text.replace(".", "")))
    value = parse_number(text)
    return text if value is None else finite(path, value)


def too_many_brackets(text: str) -> bool:
    """True where far more brackets are open than a configuration has: the parser would be slow to find out."""
    depth = 0
    for bracket in _BRACKET.finditer(text):
        depth = depth + 1 if bracket[0] in "[{" else max(0, depth - 1)
        if depth > 4 * DEEPEST:  # some may stand in strings and comments
            return True
    return False


def parse(text: str) -> Document:
    """The document; raises FieldError."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    if too_many_brackets(text):
        raise too_deep(text)
    if sum(map(text.count, _MARKS)) > MOST_MARKS:
        raise refuse(text, f"has more than {MOST_MARKS:,} lines and entries: give the training configuration alone")
    reader = YAML(typ="safe", pure=True)
    try:
        root = reader.compose(text)
    except YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        what = getattr(error, "problem", None) or getattr(error, "reason", None) or "it cannot be read"
        raise refuse(text, f"is not YAML: {what}{where}") from error
    except (ValueError, IndexError, AttributeError, AssertionError, NotImplementedError, TypeError) as error:
        raise refuse(text, "is not YAML: it has a directive or a tag that cannot be read, so remove it") from error
    walk = _Walk(text)
    data = walk.value(root, ())
    return Document(text, "yaml", data, walk.spans, walk.keys, frozenset(walk.flow), shared=frozenset(walk.shared),
                    notes=walk.twice.notes())


def _merges(key: Any) -> bool:
    return key.value == "<<" and not key.style


class _Walk:
    def __init__(self, text: str):
        self.text = text
        self.spans: dict[Path, tuple[int, int]] = {}
        self.keys: dict[Path, int] = {}
        self.flow: set[Path] = set()
        self.shared: set[Path] = set()
        self.visited: set[int] = set()
        self.values = 0
        self.twice = Twice(text)

    def count(self) -> None:
        self.values += 1
        if self.values > MOST_VALUES:
            raise too_many(self.text)

    def value(self, node: Any, path: Path, borrowed: bool = False) -> Any:
        """The plain data of a node; ``borrowed`` where it belongs to an anchor elsewhere."""
        self.count()
        if len(path) > DEEPEST:
            raise too_deep(self.text)
        if node is None:
            return None
        borrowed = borrowed or id(node) in self.visited
        self.visited.add(id(node))
        if borrowed:
            self.shared.add(path)
        else:
            self.spans[path] = (node.start_mark.index, node.end_mark.index)
        if node.id == "mapping":
            return self.mapping(node, path, borrowed)
        if node.id == "sequence":
            if node.flow_style:
                self.flow.add(path)
            items = []
            for i, item in enumerate(node.value):
                self.keys[(*path, i)] = item.start_mark.index
                items.append(self.value(item, (*path, i), borrowed))
            return items
        return self.scalar(node, path)

    def mapping(self, node: Any, path: Path, borrowed: bool) -> dict[str, Any]:
        if node.flow_style:
            self.flow.add(path)
        entries: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        for key, value in node.value:
            if key.id != "scalar":
                raise FieldError(shown(path), "a key", "is no name: YAML keys must be plain text here")
            if _merges(key):
                merged = self.merge(value, path) | merged
        for key, value in node.value:
            if _merges(key):
                continue
            here = (*path, key.value)
            if not borrowed and key.value in entries:
                self.twice.add(here, key.start_mark.index)
                forget(here, entries[key.value], (self.spans, self.keys), (self.flow, self.shared))
            if not borrowed:
                self.keys[here] = key.start_mark.index
                forget(here, merged.get(key.value), (), (self.shared,))  # an entry of its own hides a merged one
            entries[key.value] = self.value(value, here, borrowed)
            if here in self.spans and self.spans[here][0] == self.spans[here][1]:
                self.empty(key, here)
        return merged | entries

    def merge(self, node: Any, path: Path) -> dict[str, Any]:
        """The entries that << takes over; of several mappings the first counts."""
        self.count()
        merged: dict[str, Any] = {}
        for mapping in node.value if node.id == "sequence" else [node]:
            if mapping.id != "mapping":
                raise FieldError("<<", getattr(mapping, "value", None), "merges no mapping: give an alias of a mapping")
            merged = self.mapping(mapping, path, True) | merged
        return merged

    def empty(self, key: Any, here: Path) -> None:
        """Nothing stands for null: its place is after the colon, not where the parser found the next token."""
        colon = _COLON.match(self.text, key.end_mark.index)
        if colon:
            self.spans[here] = (colon.end(), colon.end())
        else:
            self.shared.add(here)

    def scalar(self, node: Any, path: Path) -> Any:
        text = node.value
        if "python/" in str(node.tag) or str(node.tag).startswith("!"):
            return Unread(f"{node.tag} {text}")
        return text if node.style or not isinstance(text, str) else scalar(text, path)  # quoted, or plain
