"""Numbers for files: the fewest digits within 1e-12, against exact decimal arithmetic."""

from __future__ import annotations

import math
from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal
from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sqrtscale.rules.digits import fewest_digits

finite = st.floats(allow_nan=False, allow_infinity=False)
ordinary = st.floats(1e-290, 1e290)


def digits_of(value):
    return len(Decimal(repr(value)).normalize().as_tuple().digits)


@pytest.mark.parametrize(("value", "text"), [
    (0.0003 * math.sqrt(8), "0.000848528137424"),  # 8.4852813742385...e-4
    (0.1 + 0.2, "0.3"), (1 - 4 * (1 - 0.9), "0.6"), (1e-8 / 2, "5e-09"), (1e308, "1e+308"), (5e-324, "5e-324"),
    (0.9980019990004998, "0.998001999"),  # 4.998e-10 would be lost; 5e-13 is not missed
    (256.0, "256.0"), (0.0, "0.0"), (-0.0, "-0.0"), (-2 / 3, "-0.666666666667"), (math.inf, "inf"), (math.nan, "nan")])
def test_values_by_hand(value, text):
    assert repr(fewest_digits(value)) == text


@given(finite)
@example(1.7976931348623157e308)
@example(2.2250738585072014e-308)
def test_it_is_within_1e_12_and_no_longer(value):
    short = fewest_digits(value)
    assert abs(Fraction(short) - Fraction(value)) <= abs(Fraction(value)) * Fraction(1 + 1e-9) / 10**12
    assert digits_of(short) <= digits_of(value)


@given(ordinary)
def test_no_number_with_fewer_digits_is_as_near(value):
    """Both neighbours with one digit less lie further away, by decimal arithmetic; 1 is no decay, however near."""
    digits = digits_of(fewest_digits(value))
    for rounding in (ROUND_FLOOR, ROUND_CEILING):
        if digits > 1:
            shorter = Context(prec=digits - 1, rounding=rounding).create_decimal(Decimal(value))
            assert shorter == 1 or abs(Fraction(shorter) - Fraction(value)) > Fraction(value) * Fraction(1 - 1e-3) / 10**12


@given(st.integers(1, 10**11), st.integers(-200, 200))
def test_what_a_person_typed_comes_back(mantissa, power):
    typed = float(f"{mantissa}e{power}")
    assert fewest_digits(typed) == typed
