"""A quadratic loss in one dimension: f = x^2 / 2, with the noise's variance Sigma(x) = 1 + x^2 / (2 (1 + x^2))."""

from __future__ import annotations

import numpy as np

from ._problem import Array, Oracle

TITLE = "quadratic"
FORMULA = "f(x) = x²/2; the variance of the noise grows from 1 at the minimum to 1.5 far from it."
START = (1.2,)
SOURCES = 1
NOISE, EPS = 1.0, 0.2
COST = 22


def oracle(x: Array, w: Array) -> Oracle:
    """Of f = x^2 / 2."""
    square = x * x
    variance = 1 + 0.5 * square / (1 + square)
    return Oracle(x, np.sqrt(variance) * w, variance)


def loss(x: Array) -> Array:
    """x^2 / 2"""
    return np.asarray(0.5 * x[0] ** 2)
