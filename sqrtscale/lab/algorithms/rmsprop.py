"""RMSprop without momentum [Malladi et al. 2022, arXiv 2205.10287].

    u <- u + c2 (y^2 / s0^2 - h u);    x <- x - y / (s0 sqrt(u) + e0)
    dx = -(grad f dt + s0 Sigma^(1/2) dW) / (s0 sqrt(u) + e0);    du = c2 (diag Sigma - u) dt
"""

from __future__ import annotations

import numpy as np

from ..problems import Array, Oracle
from ._algorithm import Constants, State

TITLE = "RMSprop"
BETAS = 1
DECAY = 0.0


def start(x: Array, oracle: Oracle, t: float, at: Constants) -> State:
    """v holds the variance of the noise."""
    return State(x, np.zeros_like(x), oracle.variance)


def step(state: State, y: Array, h: float, k: int, at: Constants) -> State:
    """Exact."""
    u = state.u + at.c2 * (y * y / at.s0**2 - h * state.u)
    x = state.x - at.lr * y / (at.s0 * np.sqrt(u if at.torch else state.u) + at.e0)
    return State(x, state.m, u)


def flow(state: State, oracle: Oracle, dt: float, t: float, at: Constants) -> State:
    """Euler and Maruyama."""
    x = state.x - (oracle.gradient * dt + at.s0 * oracle.noise) / (at.s0 * np.sqrt(state.u) + at.e0)
    return State(x, state.m, state.u + at.c2 * dt * (oracle.variance - state.u))
