"""The algorithms of the lab: each in its exact discrete form, in torch's and the paper's convention, with its SDE.

To add an algorithm: a file in this folder with what ``_algorithm.Algorithm`` names (copy ``rmsprop.py``); its name is its key.
"""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from typing import cast

from ...rules.errors import choice
from ._algorithm import Algorithm, Constants, State

NAMES = tuple(module.name for module in pkgutil.iter_modules(__path__) if not module.name.startswith("_"))


@cache
def _loaded(name: str) -> Algorithm:
    return cast(Algorithm, importlib.import_module(f"{__name__}.{name}"))


def algorithm(name: str) -> Algorithm:
    """The algorithm of that name; raises FieldError."""
    return _loaded(choice("algorithm", name, NAMES))


__all__ = ["NAMES", "Algorithm", "Constants", "State", "algorithm"]
