"""Values as text, in the style of the text they replace, in the fewest digits that are within 1e-12."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from typing import Any

from ..rules.digits import fewest_digits


def as_list(value: Any) -> Any:
    """A list for a tuple, anything else as it is."""
    return list(value) if isinstance(value, tuple) else value


def written(value: Any, old: str = "", dotted: bool = False) -> str:
    """``value`` as text: quoted where ``old`` was, with an exponent where ``old`` had one.

    dotted: YAML 1.1 takes 1e-05 for text, so that mantissas need a point and exponents a sign.
    """
    quote = old[0] if len(old) > 1 and old[0] in "'\"" and old[0] == old[-1] else ""
    if isinstance(value, float):
        return quote + _format_float(value, old, dotted and not quote) + quote
    if isinstance(value, list):
        return "[" + ", ".join(written(item, dotted=dotted) for item in value) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)}: {written(entry, dotted=dotted)}" for key, entry in value.items()) + "}"
    return quote + str(value) + quote if isinstance(value, int) and not isinstance(value, bool) else json.dumps(value)


def _format_float(value: float, old: str, dotted: bool) -> str:
    value = fewest_digits(value)
    scientific = "e" in old.lower()
    sign, digits, exponent = Decimal(repr(value)).normalize().as_tuple()
    power = int(exponent) + len(digits) - 1  # a letter for NaN and infinity, which no configuration has
    if value == 0 or power == 0 or ("e" not in repr(value) and not scientific):
        return repr(value)
    mantissa = "".join(map(str, digits))
    tail = f".{mantissa[1:]}" if len(mantissa) > 1 else (".0" if dotted else "")
    padded = not scientific or re.search("e[-+]?0", old.lower())
    shown = f"{abs(power):02d}" if padded else str(abs(power))
    return f"{'-' if sign else ''}{mantissa[0]}{tail}e{'-' if power < 0 else '+' if dotted else ''}{shown}"
