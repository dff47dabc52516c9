"""A float as files and code should hold it: without the digits that only arithmetic has put there."""

from __future__ import annotations

CLOSE = 1e-12  # relative; a scaled value's last digits are rounding noise beyond it
ENOUGH = 17  # significant digits that tell every float from its neighbours


def fewest_digits(value: float) -> float:
    """``value`` rounded to the fewest significant digits that stay within 1e-12 of it, relative; its ``repr`` is that short.

    0.0008485281374238571 becomes 0.000848528137424. Zero, infinity and NaN come back as they are.
    """
    for digits in range(1, ENOUGH):
        rounded = float(f"{value:.{digits - 1}e}")
        if abs(rounded - value) <= CLOSE * abs(value) and (rounded != 1 or value == 1):  # no decay becomes 1
            return rounded
    return value
