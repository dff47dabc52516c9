"""The problems of the lab, each with noise that depends on where the chain is (but ``constant_noise``, which has closed forms).

To add a problem: a file in this folder with what ``_problem.Problem`` names (copy ``double_well.py``); its name is its key.
"""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from typing import cast

from ...rules.errors import choice
from ._problem import Array, Oracle, Problem

NAMES = tuple(module.name for module in pkgutil.iter_modules(__path__) if not module.name.startswith("_"))


@cache
def _loaded(name: str) -> Problem:
    return cast(Problem, importlib.import_module(f"{__name__}.{name}"))


def problem(name: str) -> Problem:
    """The problem of that name; raises FieldError."""
    return _loaded(choice("problem", name, NAMES))


__all__ = ["NAMES", "Array", "Oracle", "Problem", "problem"]
