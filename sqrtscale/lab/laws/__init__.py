"""The laws of the gradient noise. The paper assumes bounded moments and low skewness: gauss, uniform and laplace have them.

To add a law: a file in this folder with what ``_law.Law`` names (copy ``laplace.py``); its name is its key, and a parameter
follows a colon: ``student:3``.
"""

from __future__ import annotations

import importlib
import pkgutil
from dataclasses import dataclass
from functools import cache
from typing import Any, cast

from ...rules.errors import FieldError, choice
from ._law import Law, Parameter

NAMES = tuple(module.name for module in pkgutil.iter_modules(__path__) if not module.name.startswith("_"))
STABLE = "stable"  # the one law without a variance: its limit is no Ito SDE


@dataclass(frozen=True)
class Noise:
    """A law with its parameter; ``str`` gives the text that ``noise`` reads."""

    name: str
    parameter: float = 0.0

    @property
    def law(self) -> Law:
        """The file that defines it."""
        return _loaded(self.name)

    @property
    def is_stable(self) -> bool:
        """Whether its variance is infinite, so that its limit is driven by jumps."""
        return self.name == STABLE

    @property
    def slope(self) -> float | None:
        """What the weak error of RMSprop and Adam should do as a power of the step."""
        return self.law.slope(self.parameter)

    def distribution(self) -> Any:
        """Standardised, frozen."""
        return self.law.distribution(self.parameter)

    def __str__(self) -> str:
        return f"{self.name}:{repr(self.parameter).removesuffix('.0')}" if self.law.PARAMETER else self.name


@cache
def _loaded(name: str) -> Law:
    return cast(Law, importlib.import_module(f"{__name__}.{name}"))


def noise(text: str) -> Noise:
    """The law that a text names, ``student:3`` for one with a parameter; raises FieldError."""
    if not isinstance(text, str):
        raise FieldError("noise", text, f"is no text: give one of {', '.join(NAMES)}")
    name, colon, rest = text.partition(":")
    name = choice("noise", name, NAMES)
    parameter = _loaded(name).PARAMETER
    if parameter is None:
        if colon:
            raise FieldError("noise", text, f"has a parameter, which {name} does not take: give {name}")
        return Noise(name)
    return Noise(name, _parameter(text, rest, name, parameter) if colon else parameter.usual)


def _parameter(text: str, rest: str, name: str, parameter: Parameter) -> float:
    try:
        value = float(rest)
    except ValueError:
        value = float("nan")
    if not parameter.low < value <= parameter.high:
        raise FieldError("noise", text, f"has no {parameter.symbol} in ({parameter.low:g}, {parameter.high:g}]: "
                         f"give for example {name}:{parameter.usual:g}")
    return value


__all__ = ["NAMES", "STABLE", "Law", "Noise", "Parameter", "noise"]
