"""Python source through the standard library's ast: the tree, the place of a node as characters, the value of an expression.

Nothing is executed. Before the parser sees a text its brackets and chains of operators are counted: hostile text ends soon.
"""

from __future__ import annotations

import ast
import math
import operator
import re
from collections.abc import Iterator, Mapping
from typing import Any

from ._document import DEEPEST, at_line, refuse, too_deep

LONGEST_CHAIN = 300  # operators in a row: each is one level of the tree
_TOKEN = re.compile(
    r"""[rRbBuUfF]{0,2}+(?:'''[^'\\]*+(?:(?:\\.|'(?!''))[^'\\]*+)*+(?:''')?|\"\"\"[^"\\]*+(?:(?:\\.|"(?!""))[^"\\]*+)*+(?:\""")?"""
    r"""|'[^'\\\n]*+(?:\\.[^'\\\n]*+)*+'?|"[^"\\\n]*+(?:\\.[^"\\\n]*+)*+"?)"""
    r"|#[^\n]*+|\\\r?\n|\w++|[()\[\]{},;:\n]|[-+*/%@&|^~<>=!.]", re.DOTALL)
_WORD_OPERATORS = frozenset({"not", "lambda", "await", "if", "else", "and", "or", "in", "is", "yield"})
_LINE_END = re.compile(r"\r\n|\r|\n")
_OPERATORS = {ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
              ast.FloorDiv: operator.floordiv}
Placed = ast.stmt | ast.expr | ast.keyword  # nodes that say where they stand
LARGEST = 1e100
BOUND, REBOUND, MUTATED = "bound", "rebound", "mutated"  # by an assignment; by a definition or import; by an item or method


class Source:
    """A text and its tree. body: the statements; arguments: the call whose inside the text is, or None."""

    def __init__(self, text: str):
        """Raises FieldError for what is not Python, or nested too deep."""
        self.text = text
        self.lines: list[int] = [0, *(end.end() for end in _LINE_END.finditer(text))]
        self._columns: dict[int, list[int] | None] = {}
        self._shift = 0
        self.body: list[ast.stmt] = []
        self.arguments: ast.Call | None = None
        _check_depth(text)
        self._parse()

    def _parse(self) -> None:
        """A module, an indented block, or the inside of a call: the first that the text can be."""
        wrong: SyntaxError | None = None
        module_shift: int | None = None  # where the text is a module or a block, though maybe meant as arguments
        for before, after in (("", ""), ("if 1:\n", ""), ("_(\n", "\n)")):
            try:
                body = self._parsed(before, after)
            except SyntaxError as error:
                wrong = wrong or error
                continue
            self._shift = before.count("\n")
            if after:
                call = body[0].value if len(body) == 1 and isinstance(body[0], ast.Expr) else None
                if isinstance(call, ast.Call):
                    self.body, self.arguments = [], call
                    return
                continue
            block = body[0] if before and len(body) == 1 else None
            if not before or (isinstance(block, ast.If) and not block.orelse):
                self.body, module_shift = block.body if isinstance(block, ast.If) else body, self._shift
                if not self._is_list_of_arguments():
                    return
        if module_shift is not None:
            self._shift = module_shift
            return
        where = f" at line {wrong.lineno}, column {max(1, wrong.offset or 1)}" if wrong and wrong.lineno else ""
        raise refuse(self.text, f"is not Python: {wrong.msg if wrong else 'it cannot be read'}{where}") from wrong

    def _parsed(self, before: str = "", after: str = "") -> list[ast.stmt]:
        try:
            return ast.parse(before + self.text + after).body
        except (RecursionError, MemoryError) as error:
            raise too_deep(self.text) from error
        except SyntaxError:
            raise
        except ValueError as error:
            raise refuse(self.text, f"is not Python: {error}") from error

    def _is_list_of_arguments(self) -> bool:
        """True for "lr=1e-3," line after line: a module of tuples, but meant as the arguments of a call."""
        assignments = [statement for statement in self.body if isinstance(statement, ast.Assign)]
        if len(assignments) < len(self.body) or not all(isinstance(statement.targets[0], ast.Name) for statement in assignments):
            return False
        tuples = [statement.value for statement in assignments if isinstance(statement.value, ast.Tuple)]
        return any(len(value.elts) == 1 and self.text[self.span(value)[0]] != "(" for value in tuples)

    def span(self, node: Placed) -> tuple[int, int]:
        """Where a node starts and ends, as characters of the text."""
        end_line = node.lineno if node.end_lineno is None else node.end_lineno
        end_column = node.col_offset if node.end_col_offset is None else node.end_col_offset
        return self._offset(node.lineno, node.col_offset), self._offset(end_line, end_column)

    def words(self, node: Placed) -> str:
        """The text of a node."""
        return self.text[slice(*self.span(node))]

    def _offset(self, line: int, column: int) -> int:
        """The character of a line and a column, which ast counts in bytes of UTF-8."""
        index = line - 1 - self._shift
        start = self.lines[index]
        if index not in self._columns:
            end = self.lines[index + 1] if index + 1 < len(self.lines) else len(self.text)
            characters = self.text[start:end]
            self._columns[index] = None if characters.isascii() else [
                i for i, character in enumerate(characters) for _ in character.encode()] + [len(characters)]
        columns = self._columns[index]
        return start + (column if columns is None else columns[column])


def _check_depth(text: str) -> None:
    """Raises FieldError where brackets or operators go deeper than any configuration's."""
    depth, chains, closed = 0, [0], "([{"
    for token in _TOKEN.finditer(text):
        word = token[0]
        if word in closed:
            chains[-1] += 1
            chains.append(0)
            depth += 1
            if depth > DEEPEST:
                raise too_deep(text)
        elif word in ")]}":
            if not depth:
                raise refuse(text, f"is not Python: {word!r} at {at_line(text, token.start())} closes no bracket")
            chains.pop()
            depth -= 1
        elif word in ",;:" or (word == "\n" and not depth):
            chains[-1] = 0
        elif word in _WORD_OPERATORS or word in "-+*/%@&|^~<>=!.":
            chains[-1] += 1
        if chains[-1] > LONGEST_CHAIN:
            raise too_deep(text)


def dotted(node: ast.AST) -> str:
    """ "a.b.c" for such a name, "" for anything else."""
    names: list[str] = []
    while isinstance(node, ast.Attribute):
        names.append(node.attr)
        node = node.value
    return ".".join([node.id, *reversed(names)]) if isinstance(node, ast.Name) else ""


def stored(node: ast.AST) -> Iterator[tuple[str, str]]:
    """The names that a statement touches in its own scope, each with how: BOUND, REBOUND or MUTATED."""
    waiting: list[ast.AST] = [node]
    while waiting:
        inner = waiting.pop()
        if isinstance(inner, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            yield inner.name, REBOUND
            continue
        if isinstance(inner, (ast.Lambda, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)):
            continue
        if isinstance(inner, ast.Name) and not isinstance(inner.ctx, ast.Load):
            yield inner.id, BOUND
        elif isinstance(inner, (ast.Attribute, ast.Subscript)) and not isinstance(inner.ctx, ast.Load):
            yield _root(inner), MUTATED
        elif isinstance(inner, ast.Call) and isinstance(inner.func, ast.Attribute):
            yield _root(inner.func), MUTATED
        elif isinstance(inner, ast.alias):
            yield inner.asname or inner.name.partition(".")[0], REBOUND
        elif isinstance(inner, ast.ExceptHandler) and inner.name:
            yield inner.name, BOUND
        waiting += ast.iter_child_nodes(inner)


def _root(node: ast.AST) -> str:
    """The name that an attribute, an item or a call of it starts with."""
    while isinstance(node, (ast.Attribute, ast.Subscript, ast.Call)):
        node = node.func if isinstance(node, ast.Call) else node.value
    return node.id if isinstance(node, ast.Name) else ""


def calculated(node: ast.AST, names: Mapping[str, Any]) -> int | float | None:
    """The number that arithmetic on numbers and known names gives, or None."""
    if isinstance(node, (ast.Constant, ast.Name)):
        constant = node.value if isinstance(node, ast.Constant) else names.get(node.id)
        return constant if isinstance(constant, (int, float)) and not isinstance(constant, bool) else None
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.UAdd)):
        value = calculated(node.operand, names)
        return value if value is None or isinstance(node.op, ast.UAdd) else -value
    if not isinstance(node, ast.BinOp):
        return None
    left, right = calculated(node.left, names), calculated(node.right, names)
    return None if left is None or right is None else arithmetic(type(node.op), left, right)


def arithmetic(kind: type[ast.operator], left: int | float, right: int | float) -> int | float | None:
    """left (operator) right where both and the result have an ordinary size, or None."""
    try:
        if max(abs(left), abs(right)) > LARGEST:
            return None
        if kind is ast.Pow:
            value = math.pow(left, right)  # first, as it never takes long
            if type(left) is type(right) is int and right >= 0 and abs(value) <= LARGEST:
                value = left**right
        elif kind in _OPERATORS:
            value = _OPERATORS[kind](left, right)
        else:
            return None
        return value if abs(value) <= LARGEST else None
    except (ArithmeticError, ValueError):
        return None
