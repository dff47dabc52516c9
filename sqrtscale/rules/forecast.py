"""Forecast of the rule's own error at finite kappa, before anything is trained.

Setting: noise dominates. The gradient is g = d + z with z ~ N(0, 1) independent and d -> 0, the moments m and v are
stationary, eps = 0, and a step moves by lr u with u = m / sqrt(v), where v includes the gradient at hand (PyTorch's form).
A long run is then described by two numbers of the betas alone, both 1 in the SDE, the limit beta2 -> 1:

    drift      D = dE[u] / dd at d = 0                = sum_i a_i E[z_i^2 / sqrt(v)]
    diffusion  S = lim Var(u_1 + ... + u_n) / n       = sum_L beta1^|L| E[m_0^2 / sqrt(v_0 v_|L|)]

with a_i = (1 - beta1) beta1^i the weights of m and L all lags, negative ones too. The right-hand sides drop every term that is
odd in some z_i. lr' = sqrt(kappa) lr and sqrt(kappa) times less noise make the scaled run's drift per sample D(beta') / D(beta)
times the base's, and its variance per sample S(beta') / S(beta) times. To first order, with rho = (1 - beta2) / (1 - beta1),
which the linear rule keeps,

    D = 1 - (1 - beta2) (1 / (1 + rho) - 3/8),    S = 1 - (1 - beta2) (7 / (4 (1 + rho)) - 3/4),

so the rule loses speed in proportion to kappa - 1 where beta1 <= beta2.

Source: ours, derived and computed by us, not in the paper; checked by simulation in ``tests/rules/test_forecast.py``. It holds
in the noise-dominated limit only, for Gaussian noise, and after the transient of bias correction. RMSprop is beta1 = 0, with any
momentum: PyTorch's buffer is a linear filter of u, which takes both runs by the same factor.

``benchmarks/forecast_table.py`` computed D and S by quadrature, without simulation, on Chebyshev points of log(1 - beta1) and
logit(beta2), and measured how far the polynomial through them is off at 1,000 random pairs: at most 2.5e-5 of the value where
beta1 <= beta2, and 6e-4 (of S, for beta2 near 1e-6) elsewhere. The table's beta1 ends at 0.999 and its beta2 goes from 1e-6 to
1 - 1e-6. Beyond, the value at its edge stands for the limit: the SDE's 1 for beta2 -> 1, within 1e-6; the mean of 1 / sqrt(v)
and its square for beta1 -> 1, within 0.001 and 0.002 for beta2 >= 0.01; the sign of the gradient for beta1 < beta2 -> 0, within
0.001. Where beta1 > 0 is kept as beta2 -> 0, D and S grow without bound, and the edge is too small.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from functools import cache
from operator import mul
from pathlib import Path

from .errors import FieldError
from .kinds import DECAY

TABLE = Path(__file__).with_name("forecast_table.json")
WORTH_SAYING = 0.005


@dataclass(frozen=True)
class Forecast:
    """What the scaled run does per sample, over what the base does (ideal: 1), while noise dominates.

    drift: how far the gradient's mean moves it; diffusion: how fast its variance grows;
    lr_correction: 1 / drift, the factor on the scaled lr that restores the drift. With it the diffusion is
    diffusion / drift^2.
    """

    drift: float
    diffusion: float
    lr_correction: float


def forecast(base: tuple[float, float], scaled: tuple[float, float]) -> Forecast:
    """The forecast for (beta1, beta2) of the base run and of the scaled run; beta1 = 0 is RMSprop."""
    drifts, diffusions = zip(_drift_and_diffusion(*base), _drift_and_diffusion(*scaled), strict=True)
    return Forecast(drifts[1] / drifts[0], diffusions[1] / diffusions[0], drifts[0] / drifts[1])


def drift(beta1: float, beta2: float) -> float:
    """D: the mean of u per unit of a small mean gradient in units of the noise; from 0.785 to 1 if beta1 <= beta2."""
    return _drift_and_diffusion(beta1, beta2)[0]


def diffusion(beta1: float, beta2: float) -> float:
    """S: the variance that u adds per step over a long run; from 0.773 to 1 if beta1 <= beta2."""
    return _drift_and_diffusion(beta1, beta2)[1]


def sentence(kappa: float, expected: Forecast) -> str:
    """The forecast for a user, with the remedy where the difference is worth one."""
    change = expected.drift - 1
    if abs(change) < WORTH_SAYING:
        return f"At kappa = {kappa:g} the scaled run moves as far per sample as the base, to within {WORTH_SAYING:.1%}."
    digits = 0 if abs(change) >= 0.1 else 1
    return (f"At kappa = {kappa:g} the scaled run moves {abs(change):.{digits}%} {'less' if change < 0 else 'more'} per sample "
            f"than the base; multiply lr by {expected.lr_correction:.{digits + 2}f} to make up for it.")


def _drift_and_diffusion(beta1: float, beta2: float) -> tuple[float, float]:
    beta1, beta2 = DECAY.check("beta1", beta1), DECAY.check("beta2", beta2)
    if beta2 == 0:
        if beta1 > 0:  # u = m / |g|: g may be near 0 where m is not
            raise FieldError("beta2", beta2, f"has no forecast beside beta1 = {beta1:g}, because m / |g| has no finite mean: "
                                             "give a number above 0, for example 0.999")
        return math.sqrt(2 / math.pi), 1.0  # u = sign(g)
    rows, columns, drifts, diffusions = _table()
    across = _weights(columns, math.log1p(-beta1))
    down = _weights(rows, _logit(beta2))
    at = [sum(w * sum(map(mul, across, row)) for w, row in zip(down, values, strict=True)) for values in (drifts, diffusions)]
    return at[0], at[1]


@cache
def _table() -> tuple[list[float], list[float], list[list[float]], list[list[float]]]:
    """Coordinates of the rows and columns, then D and S in rows."""
    table = json.loads(TABLE.read_text())
    columns = [math.log1p(-beta1) for beta1 in table["beta1"]]
    return [_logit(beta2) for beta2 in table["beta2"]], columns, table["drift"], table["diffusion"]


def _logit(beta: float) -> float:
    return math.log(beta) - math.log1p(-beta)


def _weights(nodes: list[float], at: float) -> list[float]:
    """What each node counts in the polynomial at ``at``, held at the ends: the barycentric formula for Chebyshev points.

    Source: Berrut & Trefethen, "Barycentric Lagrange interpolation", SIAM Review 2004, equations 4.2 and 5.4.
    """
    at = min(max(at, min(nodes)), max(nodes))
    nearest = min(nodes, key=lambda node: abs(node - at))
    if abs(nearest - at) < 1e-12:  # 1 / (at - node) would not be finite
        return [float(node == nearest) for node in nodes]
    terms = [(-1) ** i / (at - node) for i, node in enumerate(nodes)]
    terms[0], terms[-1] = terms[0] / 2, terms[-1] / 2
    total = sum(terms)
    return [term / total for term in terms]
