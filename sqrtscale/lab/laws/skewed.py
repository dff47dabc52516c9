"""Skewed noise: an exponential variable less its mean, skewness 2.

A large z raises u in the same step as it moves x or m, so E z^3 leaves a term of h^(3/2) a step, h^(1/2) in all.
[derived by us, measured in docs/lab.md]
"""

from __future__ import annotations

from typing import Any

from scipy import stats

TITLE = "skewed"
SAYS = "The paper assumes low skewness: with skewness 2 the error falls only as the root of 1 - beta2."
PARAMETER = None
SYMMETRIC = False


def distribution(parameter: float) -> Any:
    """Mean 0, variance 1."""
    return stats.expon(-1)


def slope(parameter: float) -> float:
    """1 / 2"""
    return 0.5
