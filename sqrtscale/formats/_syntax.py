"""Which syntax a text is written in: by the file's name, or else by how its lines look. Every pattern takes linear time."""

from __future__ import annotations

import re
from itertools import islice

SUFFIXES = {".json": "json", ".yaml": "yaml", ".yml": "yaml", ".toml": "toml", ".py": "python", ".md": "card",
            ".sh": "command", ".bash": "command", ".slurm": "command", ".sbatch": "command"}
MOST_CHARACTERS = 1_000_000
MOST_LINES = 5_000
_CARD = re.compile(r"[-*] (?:learning_rate|train_batch_size): ")
_SECTION = re.compile(
    r"\b(?:Trainer\.Config|OptimizersContainer|TrainingConfig|default_adamw|ParamGroupConfig)\s*+[.(]|= ?dict\(")
_STATEMENT = re.compile(r"_base_ ?= ?|import \w|from [\w.]++ import |def \w++\(|@\w")
_KEY = re.compile(r"[\w.-]++\s*+:(?:\s|$)")
_TABLE = re.compile(r"\[\[?[\w.\"' -]++\]\]?\s*+(?:#|$)")
_ASSIGNMENT = re.compile(r"[\w.\"'-]++\s*+=(?!=)\s*+")
_NO_TOML = re.compile(r"(?:True|False|None)\b|[({]?[A-Za-z_][\w.]*+\s*+[(*/+-]|\(|-?[\d._e+-]++\s*+[*/+-]")
_SHELL = re.compile(r"#!.*\b(?:ba|da|z|k)?sh\b")
_START = re.compile(
    r"!?(?:[A-Za-z_]\w*+=\S*+\s++)*+(?:[\w./]*/)?(?:python[\d.]*+|torchrun|accelerate|deepspeed|srun|mpirun|mpiexec|composer|"
    r"horovodrun|nohup)\s")
_OPTION = re.compile(r"(?:^|[\s\"'(])--[A-Za-z]")
_SPACED = re.compile(r"[\w.\"'-]++\s++=")


def syntax_of(text: str, filename: str = "") -> str:
    """The syntax, by the file's name or else by how the text looks."""
    suffix = filename[filename.rfind("."):].lower() if "." in filename else ""
    if suffix in SUFFIXES:
        return SUFFIXES[suffix]
    start = text[:MOST_CHARACTERS].lstrip()
    if start.startswith("$ ") or _SHELL.match(start[:200]):
        return "command"
    lines = list(islice((line.strip() for line in start.splitlines() if line.strip()), MOST_LINES))
    statements = [line for line in lines if not line.startswith("#")]
    first = statements[0] if statements else ""
    if any(_CARD.match(line) for line in statements):
        return "card"
    if first[:1] == "{" or (first[:1] == "[" and not _TABLE.match(first)):
        return "python" if first[:1] == "[" and any(map(_SECTION.search, statements)) else "json"
    if first.startswith(("---", "%YAML")) or (_KEY.match(first) and " = " not in first):
        return "yaml"
    if any(_STATEMENT.match(line) or _SECTION.search(line) or _is_class(line) for line in statements):
        return "python"
    if _START.match(first) or any(map(_has_option, statements)):
        return "command"
    if _TABLE.match(first):
        return "toml"
    if _ASSIGNMENT.match(first):
        return "python" if any(map(_only_python, statements)) else "toml"
    return "yaml"


def _is_class(line: str) -> bool:
    return line.startswith("class ") and line.endswith(":")


def _has_option(line: str) -> bool:
    """True for a line of a command: an option in it, and no key or quote before it."""
    return bool(_OPTION.search(line)) and line[0] not in "\"'#*" and not line.startswith("- ") and not (
        _SPACED.match(line) or _KEY.match(line))


def _only_python(line: str) -> bool:
    """True for an assignment of what TOML has no word for."""
    match = _ASSIGNMENT.match(line)
    return bool(match and _NO_TOML.match(line, match.end()))
