"""Adam [Malladi et al. 2022, arXiv 2205.10287], with lam0 = 0; AdamW is the same with lam0 > 0.

    m <- m + c1 (y - h m);    u <- u + c2 (y^2 / s0^2 - h u);    b_i = 1 - (1 - c_i h)^k
    x <- x - h (sqrt(b2) / b1) m / (s0 sqrt(u) + e0 sqrt(b2)) - h lam0 x
    dx = -(sqrt(g2) / g1) m / (s0 sqrt(u) + e0 sqrt(g2)) dt - lam0 x dt;    g_i = 1 - exp(-c_i t)
    dm = c1 ((grad f - m) dt + s0 Sigma^(1/2) dW);    du = c2 (diag Sigma - u) dt
"""

from __future__ import annotations

import math

import numpy as np

from ..problems import Array, Oracle
from ._algorithm import Constants, State

TITLE = "Adam"
BETAS = 2
DECAY = 0.0


def start(x: Array, oracle: Oracle, t: float, at: Constants) -> State:
    """The moments that bias correction would undo."""
    return State(x, -math.expm1(-at.c1 * t) * oracle.gradient, -math.expm1(-at.c2 * t) * oracle.variance)


def step(state: State, y: Array, h: float, k: int, at: Constants) -> State:
    """Exact."""
    m = state.m + at.c1 * (y - h * state.m)
    u = state.u + at.c2 * (y * y / at.s0**2 - h * state.u)
    kept, age = (u, k) if at.torch else (state.u, k - 1)
    b1, b2 = 1 - (1 - at.c1 * h) ** k, 1 - (1 - at.c2 * h) ** age
    return State(_moved(state.x, m, kept, (b1, b2), (h * at.lr, at)), m, u)


def flow(state: State, oracle: Oracle, dt: float, t: float, at: Constants) -> State:
    """Euler and Maruyama."""
    g1, g2 = -math.expm1(-at.c1 * t), -math.expm1(-at.c2 * t)
    x = _moved(state.x, state.m, state.u, (g1, g2), (dt, at))
    m = state.m + at.c1 * ((oracle.gradient - state.m) * dt + at.s0 * oracle.noise)
    return State(x, m, state.u + at.c2 * dt * (oracle.variance - state.u))


def _moved(x: Array, m: Array, u: Array, corrections: tuple[float, float], by: tuple[float, Constants]) -> Array:
    first, second = corrections[0], math.sqrt(corrections[1])
    time, at = by
    moved: Array = x - (time * second / first) * m / (at.s0 * np.sqrt(u) + at.e0 * second)
    return moved - (time * at.lam0) * x if at.lam0 else moved
