"""The quadratic with noise of constant variance: f = x^2 / 2, Sigma = 1. RMSprop's SDE is then an Ornstein-Uhlenbeck process."""

from __future__ import annotations

import numpy as np

from ._problem import Array, Oracle

TITLE = "quadratic, constant noise"
FORMULA = "f(x) = x²/2 with noise of variance 1 everywhere: the SDE of RMSprop is solved by a formula."
START = (1.2,)
SOURCES = 1
NOISE, EPS = 1.0, 0.2
COST = 18


def oracle(x: Array, w: Array) -> Oracle:
    """Of f = x^2 / 2."""
    return Oracle(x, w, np.ones_like(x))


def loss(x: Array) -> Array:
    """x^2 / 2"""
    return np.asarray(0.5 * x[0] ** 2)
