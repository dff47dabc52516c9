"""The one error that bad input raises: it names the field, the value, what is allowed and what to do."""

from __future__ import annotations

import math
import numbers


class FieldError(ValueError):
    """A field that holds something it cannot hold.

    ``str(error)`` is one sentence fit for a form or a terminal, for example
    ``beta2 = 1.2 is not a decay rate: give a number in [0, 1), for example 0.999``.
    """

    def __init__(self, field: str, value: object, allowed: str):
        self.field = field
        self.value = value
        self.allowed = allowed
        shown = repr(value) if isinstance(value, str) else str(value)
        super().__init__(f"{field} = {shown[:80]} {allowed}")


def real(field: str, value: object, allowed: str) -> float:
    """``value`` as a finite float; raises FieldError for text, booleans, NaN and infinity."""
    try:
        number = math.nan if isinstance(value, bool) or not isinstance(value, numbers.Real) else float(value)
    except OverflowError:  # an integer beyond floating point
        number = math.inf
    if not math.isfinite(number):
        raise FieldError(field, value, allowed)
    return number


def whole(field: str, value: object, least: int, example: int, most: int = 10**15) -> int:
    """``value`` as an integer in [least, most]; raises FieldError (16.0 is whole, 16.5 is not)."""
    top = most if most < 10**6 else f"{most:.0e}"
    allowed = f"is not allowed: give a whole number from {least} to {top}, for example {example}"
    number = real(field, value, allowed)
    if number != int(number) or not least <= number <= most:
        raise FieldError(field, value, allowed)
    return int(number)
