"""Bounded noise: uniform on [-sqrt 3, sqrt 3]."""

from __future__ import annotations

import math
from typing import Any

from scipy import stats

TITLE = "uniform"
SAYS = "Bounded noise is not normal, and it does not matter: the error falls in proportion to 1 - beta2."
PARAMETER = None
SYMMETRIC = True


def distribution(parameter: float) -> Any:
    """Variance 1."""
    return stats.uniform(-math.sqrt(3), 2 * math.sqrt(3))


def slope(parameter: float) -> float:
    """All moments are bounded."""
    return 1.0
