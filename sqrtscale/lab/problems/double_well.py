"""Two minima with a hill between them: f = x^4 / 4 - x^2 / 2, Sigma(x) = 1 + x^2 / (2 (1 + x^2))."""

from __future__ import annotations

import numpy as np

from ._problem import Array, Oracle

TITLE = "double well"
FORMULA = "f(x) = x⁴/4 - x²/2: minima at -1 and 1, and noise that carries a chain from one to the other."
START = (1.2,)
SOURCES = 1
NOISE, EPS = 1.0, 0.2
COST = 23


def oracle(x: Array, w: Array) -> Oracle:
    """Of f = x^4 / 4 - x^2 / 2."""
    square = x * x
    variance = 1 + 0.5 * square / (1 + square)
    return Oracle(square * x - x, np.sqrt(variance) * w, variance)


def loss(x: Array) -> Array:
    """x^4 / 4 - x^2 / 2"""
    square = x[0] ** 2
    return np.asarray(0.25 * square * square - 0.5 * square)
