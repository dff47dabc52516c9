"""signSGD, in one dimension.

    x <- x - sqrt(h) sign(y)
    dx = -2 p(0) f' / (s0 S) dt + dW,    p: density of the noise's law  [derived by us, measured in docs/lab.md]
"""

from __future__ import annotations

import math

import numpy as np

from ..problems import Array, Oracle
from ._algorithm import Constants, State

TITLE = "signSGD"
BETAS = 0
DECAY = 0.0


def start(x: Array, oracle: Oracle, t: float, at: Constants) -> State:
    """No moments."""
    return State(x, np.zeros_like(x), oracle.variance)


def step(state: State, y: Array, h: float, k: int, at: Constants) -> State:
    """Exact."""
    return state._replace(x=state.x - at.lr * math.sqrt(h) * np.sign(y))


def flow(state: State, oracle: Oracle, dt: float, t: float, at: Constants) -> State:
    """Euler and Maruyama; the noise's sign is that of the discrete step, on the same path."""
    scale = np.sqrt(oracle.variance)
    return state._replace(x=state.x - (2 * at.density / at.s0 * dt) * oracle.gradient / scale - oracle.noise / scale)
