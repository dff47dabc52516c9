"""Values of Python source with their places, and what a sequence of statements assigns; nothing is executed."""

from __future__ import annotations

import ast
from collections import ChainMap
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ._document import DEEPEST, MOST_VALUES, Document, Path, Twice, Unread, finite, forget, too_deep, too_many, twice
from ._source import BOUND, MUTATED, Placed, Source, calculated, stored

Entry = tuple[str | int, Placed, ast.expr]  # key, where the entry starts, its value
_SEQUENCES = (ast.Tuple, ast.List)
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


class Values:
    """Collects the values of a source and their places, for one Document."""

    def __init__(self, source: Source):
        self.source = source
        self.spans: dict[Path, tuple[int, int]] = {}
        self.keys: dict[Path, int] = {}
        self.ends: dict[Path, int] = {}
        self.flow: set[Path] = set()
        self.calls: set[Path] = set()
        self.shared: set[Path] = set()
        self.twice = Twice(source.text)
        self.count = 0

    def document(self, data: Any) -> Document:
        """The document of those data."""
        return Document(self.source.text, "python", data, self.spans, self.keys, frozenset(self.flow), frozenset(self.calls),
                        frozenset(self.shared), notes=self.twice.notes(), ends=self.ends)

    def value(self, node: ast.expr, path: Path, names: Mapping[str, Any]) -> Any:
        """The value of an expression, where ``names`` are known; Unread where only running gives it."""
        self.count += 1
        if self.count > MOST_VALUES:
            raise too_many(self.source.text)
        if len(path) > DEEPEST:
            raise too_deep(self.source.text)
        self.spans[path] = self.source.span(node)
        if isinstance(node, _SEQUENCES) and not any(isinstance(item, ast.Starred) for item in node.elts):
            return self._items(node.elts, path, names)
        if isinstance(node, ast.Dict):
            entries: list[Entry] = [(key.value, key, value) for key, value in zip(node.keys, node.values, strict=True)
                                    if isinstance(key, ast.Constant) and isinstance(key.value, str)]
            if len(entries) == len(node.keys):
                self.flow.add(path)
                return self._entries(entries, path, names)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "dict" and not node.args:
            return self.call(node, path, names)
        if isinstance(node, ast.Constant) and isinstance(node.value, (str, bool, int, float, type(None))):
            return finite(path, node.value)
        if isinstance(node, ast.Name) and isinstance(names.get(node.id), (dict, list)):
            return self._borrowed(names[node.id], path)
        if isinstance(node, ast.Name) and not isinstance(names.get(node.id, Unread("")), Unread):
            return names[node.id]
        number = calculated(node, names)
        return Unread(self.source.words(node)) if number is None else finite(path, number)

    def call(self, node: ast.Call, path: Path, names: Mapping[str, Any]) -> Any:
        """The arguments of a call, those without a name under 0, 1, ...; Unread where they come from elsewhere too."""
        if open_ended(node):
            return Unread(self.source.words(node))
        arguments: list[Entry] = [(i, argument, argument) for i, argument in enumerate(node.args)]
        names_given: set[str] = set()
        for word in node.keywords:
            if word.arg is None:  # ``**``, of which an open-ended call alone has one
                continue
            if word.arg in names_given:  # Python refuses it too, but only after parsing
                raise twice(word.arg, self.source.text, self.source.span(word)[0])
            names_given.add(word.arg)
            arguments.append((word.arg, word, word.value))
        self.flow.add(path)
        self.calls.add(path)
        return self._entries(arguments, path, names)

    def _items(self, nodes: list[ast.expr], path: Path, names: Mapping[str, Any]) -> list[Any]:
        self.flow.add(path)
        items = []
        for i, node in enumerate(nodes):
            self.keys[(*path, i)] = self.source.span(node)[0]
            items.append(self.value(node, (*path, i), names))
        return items

    def _entries(self, entries: list[Entry], path: Path, names: Mapping[str, Any]) -> dict[str | int, Any]:
        table: dict[str | int, Any] = {}
        for key, start, node in entries:
            here = (*path, key)
            if key in table:
                self.twice.add(here, self.source.span(start)[0])
                self.forget(here, table[key])
            self.keys[here] = self.source.span(start)[0]
            table[key] = self.value(node, here, names)
        return table

    def _borrowed(self, value: Any, path: Path) -> Any:
        """A container that another name holds: what is in it cannot be changed alone."""
        self.count += 1
        if self.count > MOST_VALUES:
            raise too_many(self.source.text)
        if len(path) > DEEPEST:
            raise too_deep(self.source.text)
        self.shared.add(path)
        if isinstance(value, dict):
            return {key: self._borrowed(inner, (*path, key)) for key, inner in value.items()}
        return [self._borrowed(inner, (*path, i)) for i, inner in enumerate(value)] if isinstance(value, list) else value

    def forget(self, path: Path, value: Any) -> None:
        """Drop the places of a value that does not count, and of all that lies below it."""
        forget(path, value, (self.spans, self.keys, self.ends), (self.flow, self.calls, self.shared))

    # Statements

    def assignments(self, body: list[ast.stmt], path: Path, outer: Mapping[str, Any]) -> dict[str, Any]:
        """What the statements assign, one after the other; a name that something else changes as well is Unread."""
        data: dict[str, Any] = {}
        names = ChainMap(data, dict(outer))
        for statement in body:
            touched: Iterable[tuple[str, str]] = stored(statement)
            if isinstance(statement, (ast.Assign, ast.AnnAssign)):
                touched = self._assign(statement, path, data, names)
            elif isinstance(statement, ast.ClassDef) and statement.body[0].lineno > statement.lineno:
                attributes = self.assignments(statement.body, (*path, statement.name), names)
                if any(not isinstance(value, Unread) for value in attributes.values()):
                    data[statement.name] = attributes
                    self.spans[(*path, statement.name)] = self.source.span(statement)
                    touched = ()
            elif isinstance(statement, _FUNCTIONS):
                touched = ((name, how) for name, how in touched if name in data)
            self._unread(statement, touched, path, data)
        for inner in (node for statement in body for node in ast.walk(statement)):
            if isinstance(inner, ast.Global):
                self._unread(inner, ((name, BOUND) for name in inner.names), path, data)
        return data

    def _assign(self, statement: ast.Assign | ast.AnnAssign, path: Path, data: dict[str, Any],
                names: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        """Takes the values that an assignment gives to names; what else it touches is returned."""
        value = statement.value
        targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
        if value is None:  # a declaration
            return iter(())
        pairs = [pair for target in targets for pair in _pairs(target, value)]
        new: dict[str, Any] = {}
        for target, node in pairs:
            here = (*path, target.id)
            old = new.get(target.id, data.get(target.id, Unread("")))
            self.forget(here, old)
            self.keys[here] = self.source.span(target)[0]
            new[target.id] = self.value(node, here, names)
            self.ends[here] = self.source.span(statement)[1]
            if len(targets) > 1:
                self.shared.add(here)
            if not isinstance(old, Unread) and not isinstance(new[target.id], Unread):
                self.twice.add(here, self.keys[here])
        data.update(new)
        others = [touch for target in targets for touch in stored(target) if touch[0] not in new]
        return iter([*others, *stored(value)])

    def _unread(self, statement: ast.stmt, touched: Iterable[tuple[str, str]], path: Path, data: dict[str, Any]) -> None:
        """Names whose value is only known when the program runs."""
        for name, how in touched:
            known = name in data and (how != MUTATED or isinstance(data[name], (dict, list)))
            if known or how == BOUND:
                self.forget((*path, name), data.get(name))
                data[name] = Unread(self.source.words(statement)[:200])
                self.shared.add((*path, name))


def open_ended(node: ast.Call) -> bool:
    """True for a call with * or **: it has arguments that do not stand there."""
    return any(isinstance(argument, ast.Starred) for argument in node.args) or any(word.arg is None for word in node.keywords)


def _pairs(target: ast.expr, value: ast.expr) -> Iterator[tuple[ast.Name, ast.expr]]:
    """The names of a target with the expression that each of them gets, as far as that is plain."""
    if isinstance(target, ast.Name):
        yield target, value
    elif (isinstance(target, _SEQUENCES) and isinstance(value, _SEQUENCES) and len(target.elts) == len(value.elts)
          and not any(isinstance(item, ast.Starred) for item in target.elts + value.elts)):
        for inner, node in zip(target.elts, value.elts, strict=True):
            yield from _pairs(inner, node)
