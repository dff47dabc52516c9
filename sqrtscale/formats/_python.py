"""Python as people write configurations in it; nothing is executed.

Where calls of torchtitan's sections stand in it, they are the data: ``TrainingConfig(steps=1000)`` is
``{"training": {"steps": 1000}}``, in a function or outside. Otherwise the data are what is assigned at the top level (nanoGPT,
mmengine) or, for the inside of a call, its arguments. Values are numbers, arithmetic on them and on names assigned before,
texts, lists, dictionaries and ``dict(...)``; anything else is an Unread.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from ..rules import FieldError
from ._document import Document, Unread, WhichFunction, refuse, twice
from ._python_values import Values, open_ended
from ._source import Source, dotted, stored

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
OUTSIDE = "<module>"  # stands for a function's name where sections stand in none
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def parse(text: str, function: str | None = None) -> Document:
    """The document; raises FieldError, and WhichFunction where several functions hold sections and ``function`` is not given."""
    source = Source(text)
    values = Values(source)
    arguments = source.arguments
    units = _units([arguments] if arguments else source.body, text, source)
    if units or function is not None:
        unit = _chosen(units, function)
        names = {} if arguments else Values(source).assignments(source.body, (), {})
        return values.document(_sections(values, unit, names))
    if arguments and open_ended(arguments):
        raise refuse(text, "has arguments that are only known when the program runs: write them out")
    data = values.call(arguments, (), {}) if arguments else values.assignments(source.body, (), {})
    values.spans[()] = (0, len(text))
    return values.document(data)


def _section(node: ast.AST) -> str | None:
    """The name in SECTIONS that a call has, with or without a module before it."""
    name = dotted(node.func) if isinstance(node, ast.Call) else ""
    while name and name not in SECTIONS:
        name = name.partition(".")[2]
    return name or None


def _units(root: list[Any], text: str, source: Source) -> dict[str, list[ast.AST]]:
    """Where sections stand: name of a function, or OUTSIDE -> the nodes there. Raises FieldError for two of one name."""
    units: dict[str, list[ast.AST]] = {}
    outside = list(_outside(root))
    for node in outside:
        if isinstance(node, _FUNCTIONS) and any(_section(inner) for inner in ast.walk(node)):
            if node.name in units:
                raise twice(node.name, text, source.span(node)[0])
            units[node.name] = list(_in_order(node))
    if any(_section(node) for node in outside):
        units[OUTSIDE] = outside
    return units


def _in_order(node: ast.AST, within: tuple[type, ...] = ()) -> Iterator[ast.AST]:
    """A node and all below it, in the order of the text; not below nodes of those types."""
    waiting = [node]
    while waiting:
        inner = waiting.pop()
        yield inner
        if not isinstance(inner, within):
            waiting += reversed(list(ast.iter_child_nodes(inner)))


def _outside(root: list[Any]) -> Iterator[ast.AST]:
    """The nodes that are in no function, and the functions themselves."""
    for node in root:
        yield from _in_order(node, _FUNCTIONS)


def _chosen(units: Mapping[str, list[ast.AST]], function: str | None) -> list[ast.AST]:
    if function is None and len(units) > 1:
        raise WhichFunction(tuple(units))
    if function is not None and function not in units:
        names = f"give one of {', '.join(units)}" if units else "there is none, so leave it out"
        raise FieldError("function", function, f"is no function of the text that holds a configuration: {names}"[:500])
    return units[function] if function is not None else next(iter(units.values()))


def _sections(values: Values, unit: list[ast.AST], names: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of the sections' calls; raises FieldError where a section stands twice."""
    if isinstance(unit[0], _FUNCTIONS):
        names = _known_inside(values.source, unit[0], names)
    groups = [node for node in unit if _section(node) == "ParamGroupConfig"]
    if len(groups) > 1:
        raise FieldError("param_groups", "several ParamGroupConfig", "have rates of their own: give one parameter group at a "
                         "time, or the optimizer's param_groups as JSON")
    data: dict[str, Any] = {}
    for node in unit:
        name = _section(node)
        if name is None or not isinstance(node, ast.Call):
            continue
        if groups and name == "OptimizersContainer.Config":  # its parameter group stands inside
            continue
        section = SECTIONS[name]
        if section in data:
            raise twice(name, values.source.text, values.source.span(node)[0])
        values.spans[(section,)] = values.source.span(node)
        data[section] = values.call(node, (section,), names)
    _overrule(values, unit, data)
    return data


def _known_inside(source: Source, function: Any, names: Mapping[str, Any]) -> Mapping[str, Any]:
    """The names whose values are known in a function: those that it assigns once, and the module's that it leaves alone."""
    own = {argument.arg for argument in ast.walk(function.args) if isinstance(argument, ast.arg)}
    bound = Counter(name for statement in function.body for name, _ in stored(statement))
    outer = {name: value for name, value in names.items() if name not in own and name not in bound}
    inner = Values(source).assignments(function.body, (), outer)
    return outer | {name: value for name, value in inner.items() if bound[name] == 1 and name not in own}


def _overrule(values: Values, unit: list[ast.AST], data: dict[str, Any]) -> None:
    """``config.training.steps = 5`` beside the call: then only running the program gives the value."""
    for node in unit:
        if not isinstance(node, ast.Attribute) or isinstance(node.ctx, ast.Load):
            continue
        names = dotted(node).split(".")
        section = next((name for name in names if name in data), None)
        if section is None:
            continue
        path = tuple(names[names.index(section):][:2])
        holder = data[section] if len(path) > 1 else data
        if isinstance(holder, dict):
            values.forget(path, holder.get(path[-1]))
            holder[path[-1]] = Unread(values.source.words(node))
            values.shared.add(path)
