"""Noise with exponential tails and a cusp at 0."""

from __future__ import annotations

import math
from typing import Any

from scipy import stats

TITLE = "Laplace"
SAYS = "Exponential tails still have every moment: the error falls in proportion to 1 - beta2."
PARAMETER = None
SYMMETRIC = True


def distribution(parameter: float) -> Any:
    """Variance 1."""
    return stats.laplace(scale=1 / math.sqrt(2))


def slope(parameter: float) -> float:
    """All moments are bounded."""
    return 1.0
