"""What can be known of the user's file without running it: by its syntax tree alone."""

from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from ...rules import FieldError
from .file import OwnFile

NEEDED = {"model": 0, "data": 1, "loss": 2}  # function -> how many arguments it is called with
STACKED = {"stacked": 0, "pairs": 1}  # both or neither, ``pairs`` alone is the user's own affair
OPTIONAL = {"collate": 1, "metrics": 2, "GROUPS": 1, "configuration": 1}
PRECISIONS = ("fp32", "bf16", "fp16")
MOST_WORKERS = 64
LARGEST = 200_000  # bytes


@dataclass(frozen=True)
class Source:
    """A file's literals: title and description from its docstring, what a sample is, the micro-batch, the precision.

    higher_is_better: names of metrics of which more is better; checkpoint, config: paths of a checkpoint to go on from and of a
    configuration, relative to the file; workers: processes that load samples; functions: those that are there.
    """

    title: str
    description: str
    sample: str = "sample"
    micro: int | None = None
    precision: str = "fp32"
    higher_is_better: tuple[str, ...] = ()
    checkpoint: str | None = None
    config: str | None = None
    workers: int = 0
    functions: frozenset[str] = field(default_factory=frozenset)


def read_file(path: Path) -> str:
    """The text of a task's file. Raises FieldError where it cannot be read or is none."""
    try:
        if not path.is_file():
            raise FieldError("task", str(path), "is no file: give that of a task, or make one with sqrtscale tasks new")
        data = path.read_bytes()
        text = data.decode("utf-8-sig")  # some editors begin a file with a mark
    except (OSError, ValueError) as error:
        if isinstance(error, FieldError):
            raise
        raise FieldError("task", str(path), f"cannot be read ({getattr(error, 'strerror', None) or 'it is not UTF-8 text'}): "
                                            "give a Python file") from error
    if len(data) > LARGEST:
        raise FieldError("task", str(path), f"has {len(data)} bytes: give at most {LARGEST}, and import what is large")
    return text


def beside(path: str | Path, name: str) -> Path:
    """Where a path lies that the file of a task names, relative to that file."""
    return (Path(path).parent / Path(name).expanduser()).absolute()


def compared(file: OwnFile) -> Literal["same", "changed", "gone"]:
    """The user's file as it lies there now against the text that was checked."""
    try:
        return "same" if read_file(Path(file.path)) == file.text else "changed"
    except FieldError:
        return "gone"


def read_text(text: str, name: str) -> Source:
    """What the text of a file says; name: of the file, for errors. Raises FieldError for what cannot be a task."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        line = f" in line {error.lineno}" if isinstance(error, SyntaxError) and error.lineno else ""
        what = error.msg if isinstance(error, SyntaxError) else str(error) or type(error).__name__
        raise FieldError("task", name, f"is no Python{line} ({what}): correct it") from error
    described = (ast.get_docstring(tree) or "").strip()
    if not described:
        raise FieldError("task", name, 'has no docstring: begin it with what is trained, for example """My model on my data."""')
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    stacked = STACKED if "stacked" in functions else {}
    for function in NEEDED | stacked:
        if function not in functions:
            raise FieldError("task", name, f"has no function {function}: define {_signature(function)}")
    if stacked and "collate" in functions:
        raise FieldError("task", name, "has stacked() and collate: a stack gets samples of one form, some thousand at a time, so "
                                       "let data give them in that form and remove collate")
    for function, count in (NEEDED | OPTIONAL | stacked).items():
        if function in functions and not _takes(functions[function].args, count):
            raise FieldError("task", name, f"has a function {function} with other arguments: define {_signature(function)}")
    title, _, rest = described.partition("\n")
    literals = _literals(tree, name)
    return Source(title.strip().rstrip("."), " ".join(rest.split()) or title.strip(), **literals,  # type: ignore[arg-type]
                  functions=frozenset(functions))


def _signature(function: str) -> str:
    arguments = {"model": "", "data": "split", "loss": "model, batch", "collate": "samples", "metrics": "model, batch",
                 "GROUPS": "model", "configuration": "model", "stacked": "", "pairs": "batch"}
    return f"{function}({arguments[function]})"


def _takes(arguments: ast.arguments, count: int) -> bool:
    """Whether a function can be called with so many positional arguments."""
    places = len(arguments.posonlyargs) + len(arguments.args)
    needed = places - len(arguments.defaults)
    keywords = sum(default is None for default in arguments.kw_defaults)
    return needed <= count <= (count if arguments.vararg else places) and not keywords


def _literals(tree: ast.Module, name: str) -> dict[str, object]:
    """The settings that the file assigns, by the field of ``Source``; each has to be a literal."""
    values: dict[str, object] = {}
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        for target in targets:
            setting = target.id if isinstance(target, ast.Name) else ""
            if setting == "GROUPS":
                raise FieldError(setting, "...", f"is a function: define {_signature(setting)}")
            if setting in SETTINGS and isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
                values[setting.lower()] = _value(setting, node.value)
    return values


def _value(setting: str, node: ast.expr) -> object:
    allowed, check = SETTINGS[setting]
    try:
        value = ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError) as error:
        raise FieldError(setting, ast.unparse(node), f"is no literal, and is read without running it: {allowed}") from error
    if not check(value):
        raise FieldError(setting, value, f"is not allowed: {allowed}")
    return tuple(value) if isinstance(value, list) else value


def _is_names(value: object) -> bool:
    return isinstance(value, list | tuple) and all(isinstance(name, str) for name in value)


def _is_path(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= 4096 and value.isprintable()


SETTINGS: dict[str, tuple[str, Callable[[Any], bool]]] = {  # name -> what is allowed, and the check of it
    "SAMPLE": ('give a noun, for example "image"',
               lambda value: isinstance(value, str) and 0 < len(value.strip()) <= 40 and value.isprintable()),
    "MICRO": ("give the samples of a micro-batch, for example 32",
              lambda value: isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 2**20),
    "PRECISION": (f"give one of {', '.join(PRECISIONS)}", lambda value: value in PRECISIONS),
    "CHECKPOINT": ('give the path of a file or folder, for example "last.pt"', _is_path),
    "CONFIG": ('give the path of a configuration, for example "training_args.json"', _is_path),
    "WORKERS": (f"give how many processes load samples, 0 to {MOST_WORKERS}",
                lambda value: isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MOST_WORKERS),
    "HIGHER_IS_BETTER": ('give names of metrics, for example ["accuracy"]', _is_names),
}
