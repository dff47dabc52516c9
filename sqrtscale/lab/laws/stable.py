"""Symmetric alpha-stable noise, 1 < alpha < 2: its variance is infinite, and the mean of B draws scales as B^(1/alpha - 1).

With h = eta^2, s = sigma_B h^(1 - 1/alpha), U = eta^2 v the limit is dU = -c2 U dt + c2 s^2 d[L], driven by the jumps of a
Levy process L: no Ito SDE. The square-root rule keeps s, c_i and eps eta for every alpha.
[derived by us, measured in docs/lab.md]
"""

from __future__ import annotations

from typing import Any

from scipy import stats

from ._law import Parameter

TITLE = "alpha-stable"
SAYS = "The variance is infinite, so no Ito SDE is the limit; a limit driven by jumps is, and the square-root rule keeps it."
PARAMETER = Parameter("alpha", 1.0, 1.99, 1.5)
SYMMETRIC = True


def distribution(parameter: float) -> Any:
    """Scale 1."""
    return stats.levy_stable(parameter, 0)


def slope(parameter: float) -> None:
    """Nothing predicts it."""
    return None
