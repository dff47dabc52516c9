"""Python as people write configurations in it: calls with keyword arguments, found by name, nothing executed.

Names of calls stand for sections: ``TrainingConfig(steps=1000)`` is ``{"training": {"steps": 1000}}``. Values are
numbers, products of numbers, strings, lists and dictionaries; anything else (a variable, a call) is an Unread.
"""

from __future__ import annotations

import ast
import re
from typing import Any

from ..rules import FieldError
from ._document import DEEPEST, Document, Path, Unread, at_line, refuse, too_deep, twice
from ._yaml import number

SECTIONS = {
    "OptimizersContainer.Config": "optimizer",
    "OptimizersInBackwardContainer.Config": "optimizer",
    "default_adamw": "optimizer",
    "ParamGroupConfig": "optimizer",
    "LRSchedulersContainer.Config": "lr_scheduler",
    "TrainingConfig": "training",
    "ParallelismConfig": "parallelism",
    "MetricsProcessor.Config": "metrics",
    "CheckpointManager.Config": "checkpoint",
    "Validator.Config": "validator",
}
_CALL = re.compile(r"(?<![\w.])(" + "|".join(map(re.escape, SECTIONS)) + r")\s*\(")
_SPACE = re.compile(r"(?:[ \t\r\n\\]|#[^\n]*)*")
_STRING = re.compile(r"[rRbBuU]{0,2}(\"\"\".*?\"\"\"|'''.*?'''|\"(?:[^\"\\\n]|\\.)*\"|'(?:[^'\\\n]|\\.)*')", re.DOTALL)
_NAME = re.compile(r"([A-Za-z_]\w*)\s*=(?!=)")
_CLOSES = {"(": ")", "[": "]", "{": "}"}


def parse(text: str) -> Document:
    """The document; raises FieldError where a call does not end or a section stands twice."""
    scanner = _Scanner(text)
    data: dict[str, Any] = {}
    at = 0
    while (found := scanner.next_call(at)) is not None:
        section = SECTIONS[found[1]]
        if section in data and found[1] != "ParamGroupConfig":
            raise twice(found[1], text, found.start())
        if found[1] == "OptimizersContainer.Config" and "ParamGroupConfig" in text:
            at = found.end()  # its parameter groups stand inside
            continue
        if section in data:
            raise FieldError("param_groups", "several ParamGroupConfig", "have rates of their own: give one parameter group at a "
                             "time, or the optimizer's param_groups as JSON")
        data[section], at = scanner.call(found.end() - 1, (section,))
    return Document(text, "python", data, scanner.spans, scanner.keys, frozenset(scanner.flow), frozenset(scanner.calls))


class _Scanner:
    def __init__(self, text: str):
        self.text = text
        self.spans: dict[Path, tuple[int, int]] = {}
        self.keys: dict[Path, int] = {}
        self.flow: set[Path] = set()
        self.calls: set[Path] = set()
        self.silent = [match.span() for match in re.finditer(rf"#[^\n]*|{_STRING.pattern}", text, re.DOTALL)]

    def next_call(self, at: int) -> re.Match | None:
        """The next call of a section that is no comment and no string."""
        for found in _CALL.finditer(self.text, at):
            if not any(start <= found.start() < end for start, end in self.silent):
                return found
        return None

    def skip(self, at: int) -> int:
        return _SPACE.match(self.text, at).end()

    def wrong(self, at: int, expected: str) -> FieldError:
        return refuse(self.text, f"is not Python that can be read: {expected} is expected at {at_line(self.text, at)}")

    def call(self, at: int, path: Path) -> tuple[dict[str, Any], int]:
        """The keyword arguments of a call whose bracket opens at ``at``, and where it ends."""
        self.flow.add(path)
        self.calls.add(path)
        start, found = at, {}
        at = self.skip(at + 1)
        while self.text[at:at + 1] != ")":
            named = _NAME.match(self.text, at)
            if named and named[1] in found:
                raise twice(named[1], self.text, at)
            here = (*path, named[1] if named else len(found))
            self.keys[here] = at
            found[here[-1]], at = self.value(self.skip(named.end()) if named else at, here)
            at = self.comma(at, ")")
        self.spans[path] = (start, at + 1)
        return found, at + 1

    def comma(self, at: int, close: str) -> int:
        at = self.skip(at)
        if self.text[at:at + 1] == ",":
            return self.skip(at + 1)
        if self.text[at:at + 1] != close:
            raise self.wrong(at, f"a comma or {close!r}")
        return at

    def value(self, at: int, path: Path) -> tuple[Any, int]:
        if len(path) > DEEPEST:
            raise too_deep(self.text)
        first = self.text[at:at + 1]
        if first in ("(", "["):
            found, end = self.items(at, path, _CLOSES[first])
        elif first == "{":
            found, end = self.entries(at, path)
        else:
            found, end = None, at
        after = self.skip(end)
        if end == at or self.text[after:after + 1] not in (",", ")", "]", "}"):
            end = self.end_of_expression(at)
            found = _evaluated(self.text[at:end])
        self.spans[path] = (at, end)
        return found, end

    def items(self, at: int, path: Path, close: str) -> tuple[list[Any], int]:
        self.flow.add(path)
        found: list[Any] = []
        at = self.skip(at + 1)
        while self.text[at:at + 1] != close:
            here = (*path, len(found))
            self.keys[here] = at
            one, at = self.value(at, here)
            found.append(one)
            at = self.comma(at, close)
        return found, at + 1

    def entries(self, at: int, path: Path) -> tuple[dict[str, Any], int]:
        self.flow.add(path)
        found: dict[str, Any] = {}
        start, at = at, self.skip(at + 1)
        while self.text[at:at + 1] != "}":
            key = _STRING.match(self.text, at)
            colon = self.skip(key.end()) if key else at
            if not key or self.text[colon:colon + 1] != ":":
                return found, self.end_of_expression(start)  # **kwargs, a comprehension, a set
            name = key[1].strip("'\"")
            if name in found:
                raise twice(name, self.text, at)
            self.keys[(*path, name)] = at
            found[name], at = self.value(self.skip(colon + 1), (*path, name))
            at = self.comma(at, "}")
        return found, at + 1

    def end_of_expression(self, at: int) -> int:
        """Where the expression ends: before the comma or bracket that belongs to what is around it."""
        open_brackets, end = [], at
        while at < len(self.text):
            string = _STRING.match(self.text, at)
            mark = self.text[at]
            if string:
                at = end = string.end()
                continue
            if mark in _CLOSES:
                open_brackets.append(_CLOSES[mark])
            elif not open_brackets and mark in ",)]}":
                return end
            elif mark in ")]}" and open_brackets.pop() != mark:
                raise self.wrong(at, "the bracket that closes")
            if len(open_brackets) > DEEPEST:
                raise too_deep(self.text)
            if mark == "#":
                at = self.skip(at)
                continue
            at += 1
            end = end if mark.isspace() else at
        raise self.wrong(at, "the end of a call")


def _evaluated(text: str) -> Any:
    """The value of a literal or of a product of numbers; Unread for anything else."""
    constants = {"True": True, "False": False, "None": None}
    if text in constants:
        return constants[text]
    if _STRING.fullmatch(text):
        return ast.literal_eval(text) if len(text) < 10_000 and "b" not in text[:2].lower() else Unread(text)
    product: int | float = 1
    for factor in text.split("*"):
        one = number(factor.strip())
        if one is None or abs(product) > 1e100:
            return Unread(text)
        product *= one
    return product
