"""Student's t with nu degrees of freedom: power-law tails of index nu > 2, so a finite variance, scaled to 1.

u moves by c h z^2 in one step, and z^2 has tail index nu / 2: the mean of a nonlinear function of it costs h^(nu / 2 - 1).
[derived by us, measured in docs/lab.md]
"""

from __future__ import annotations

import math
from typing import Any

from scipy import stats

from ._law import Parameter

TITLE = "Student's t"
SAYS = ("Tails of index nu have a fourth moment where nu is above 4, and the error falls in proportion to 1 - beta2; below 4 it "
        "falls only as (1 - beta2)^(nu/2 - 1).")
PARAMETER = Parameter("nu", 2.0, 100.0, 3.0)
SYMMETRIC = True


def distribution(parameter: float) -> Any:
    """Variance 1."""
    return stats.t(parameter, scale=math.sqrt((parameter - 2) / parameter))


def slope(parameter: float) -> float:
    """min(1, nu / 2 - 1)"""
    return min(1.0, parameter / 2 - 1)
