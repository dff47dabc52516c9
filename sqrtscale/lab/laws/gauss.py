"""Normal noise, as in the paper's SDE."""

from __future__ import annotations

from typing import Any

from scipy import stats

TITLE = "Gauss"
SAYS = "Normal noise is what the SDE assumes: the error falls in proportion to 1 - beta2."
PARAMETER = None
SYMMETRIC = True


def distribution(parameter: float) -> Any:
    """N(0, 1)"""
    return stats.norm()


def slope(parameter: float) -> float:
    """The theorem's."""
    return 1.0
