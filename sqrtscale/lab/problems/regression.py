"""Linear regression, 3 weights and 16 rows of data: Sigma(theta) is the covariance of the per-row gradients g_i.

``n^(-1/2) sum_i (g_i - mean g) w_i`` over independent w_i has that covariance, so that no root of a matrix is needed.
"""

from __future__ import annotations

import numpy as np

from ._problem import Array, Oracle

TITLE = "linear regression"
FORMULA = "f = mean of (x·θ - y)²/2 over 16 rows, 3 weights; the noise is that of drawing rows, with its true covariance."
START = (0.0, 0.0, 0.0)
SOURCES = 16
NOISE, EPS = 0.3, 0.05
COST = 320

_random = np.random.default_rng(5)
ROWS = _random.standard_normal((SOURCES, 3)) * [1.0, 0.7, 0.4]
TARGETS = ROWS @ [1.0, -1.0, 0.5] + 0.5 * _random.standard_normal(SOURCES)


def oracle(x: Array, w: Array) -> Oracle:
    """g_i = (row_i . theta - y_i) row_i"""
    residuals = ROWS @ x - TARGETS[:, None]
    gradient = ROWS.T @ residuals / SOURCES
    noise = (ROWS.T @ (residuals * w) - gradient * w.sum(0)) / np.sqrt(SOURCES)
    return Oracle(gradient, noise, (ROWS**2).T @ residuals**2 / SOURCES - gradient**2)


def loss(x: Array) -> Array:
    """Half of the mean squared residual."""
    return np.asarray(0.5 * ((ROWS @ x - TARGETS[:, None]) ** 2).mean(0))
