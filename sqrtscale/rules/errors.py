"""The one error that bad input raises: it names the field, the value, what is allowed and what to do."""

from __future__ import annotations

import math
import numbers
from collections.abc import Collection
from decimal import Decimal
from typing import TypeVar

LONGEST_SHOWN = 80  # characters of a value in a message
Name = TypeVar("Name", bound=str)


class FieldError(ValueError):
    """A field that holds something it cannot hold.

    ``str(error)`` is one sentence fit for a form or a terminal, for example
    ``beta2 = 1.2 is not a decay rate: give a number in [0, 1), for example 0.999``.
    """

    def __init__(self, field: str, value: object, allowed: str):
        self.field = field
        self.value = value
        self.allowed = allowed
        name = field if field.isprintable() and len(field) <= LONGEST_SHOWN else shown(field)
        super().__init__(f"{name} = {shown(value)} {allowed}")


def shown(value: object) -> str:
    """``value`` in one line of a message; of a long one the middle is left out: a path's end says which file it is."""
    try:
        text = repr(value) if isinstance(value, str) else " ".join(str(value).split())
    except (ValueError, RecursionError):  # an integer of thousands of digits, also inside a list; a list inside itself
        text = f"<{type(value).__name__} too long to print>"
    half = LONGEST_SHOWN // 2
    return text if len(text) <= LONGEST_SHOWN else f"{text[:half]}…{text[1 - half:]}"


def real(field: str, value: object, allowed: str) -> float:
    """``value`` as a finite float; raises FieldError for text, booleans, NaN and infinity."""
    try:
        number = float(value) if isinstance(value, (numbers.Real, Decimal)) and not isinstance(value, bool) else math.nan
    except (OverflowError, ValueError):  # an integer beyond floating point, a signalling NaN
        number = math.inf
    if not math.isfinite(number):
        raise FieldError(field, value, allowed)
    return number


def positive_margin(value: object) -> float:
    """How far apart curves may lie and still match; raises FieldError where nothing could lie within it."""
    allowed = "is no margin: give a positive number in the unit of the metric, for example 0.01"
    size = real("margin", value, allowed)
    if size <= 0:
        raise FieldError("margin", value, allowed)
    return size


def whole(field: str, value: object, least: int, example: int, most: int = 10**15) -> int:
    """``value`` as an integer in [least, most]; raises FieldError (16.0 is whole, 16.5 is not)."""
    top = most if most < 10**6 else f"{most:.0e}"
    allowed = f"is not allowed: give a whole number from {least} to {top}, for example {example}"
    number = real(field, value, allowed)
    if number != int(number) or not least <= number <= most:
        raise FieldError(field, value, allowed)
    return int(number)


def choice(field: str, value: object, names: Collection[Name]) -> Name:
    """The one of ``names`` that ``value`` is; raises FieldError for anything else, of whatever type."""
    for name in names:
        if isinstance(value, str) and name == value:
            return name
    raise FieldError(field, value, f"is not known: give one of {', '.join(names)}")
