"""Exact numbers to floats and back: what floating point cannot hold is refused, never clamped."""

from __future__ import annotations

import math
import sys
from fractions import Fraction

SAME = 1e-9  # relative: what a transfer there and back may lose


class Unrepresentable(ArithmeticError):
    """A scaled value that floating point cannot hold; says what is allowed, as a FieldError does."""


def as_float(exact: Fraction | float) -> float | None:
    """The float next to a number >= 0; None where floats end, or no longer have all their digits."""
    try:
        number = float(exact)
    except OverflowError:
        return None
    return number if exact == 0 or sys.float_info.min <= number <= sys.float_info.max else None


def to_the_kappa(value: float, kappa: Fraction) -> float:
    """value^kappa for a value in [0, 1]; raises Unrepresentable where floats hold too little of it to lead back to the value."""
    power: float = value ** float(kappa)
    if not math.isclose(power ** float(1 / kappa), value, rel_tol=SAME):
        raise Unrepresentable(f"rounds to {power:.6g} at kappa = {float(kappa):g}, and nothing leads back from there: "
                              "give a target nearer to the base")
    return power
