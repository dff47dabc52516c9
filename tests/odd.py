"""What is no number, no name, no table: for every place where a user's value meets the program."""

from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest

from sqrtscale.rules import FieldError

LONG = 10**4999 + 7  # 5,000 digits: Python refuses to print it
ITSELF: list = []
ITSELF.append(ITSELF)
NO_NUMBERS = [LONG, -LONG, [LONG], {LONG: 1}, Fraction(LONG), Fraction(LONG, 3), math.nan, math.inf, -math.inf, 1j, True, b"1",
              [0.1], {}, set(), (), None, "x" * 10**5, "a\nb", ITSELF, Decimal("nan"), Decimal("sNaN"), Decimal("1e5000"),
              np.float64("nan"), np.float32("inf"), np.bool_(True), np.eye(2), np.array([LONG], dtype=object), object(), len]
NO_NAMES = [*NO_NUMBERS, 3, 0.5, ["adam"], ("adam",), {"adam": 1}, np.array(["linear"]), "linear ", ""]


def of_type(value):
    """How a test of such a value is called."""
    return type(value).__name__


def one_line(error):
    """Whether a message is one that the command line prints and a form shows."""
    text = str(error)
    assert text.isprintable() and len(text) < 900 and " = " in text, text
    return True


def refused(call, *arguments, **options):
    """The call ends in a FieldError of one line."""
    with pytest.raises(FieldError) as error:
        call(*arguments, **options)
    assert one_line(error.value)
