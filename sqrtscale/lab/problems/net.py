"""A two-layer net, 3 tanh units and 10 weights, fitted to 16 points of a sine: Sigma(theta) as in ``regression``.

theta = (input weights, biases, output weights, output bias); out = b + sum_k v_k tanh(a_k x + c_k).
"""

from __future__ import annotations

import numpy as np

from ._problem import Array, Oracle

TITLE = "two-layer net"
FORMULA = "3 tanh units, 10 weights, mean squared error on 16 points of a sine; the noise is that of drawing points."
UNITS, SOURCES = 3, 16
NOISE, EPS = 0.3, 0.05
COST = 1_400

_random = np.random.default_rng(5)
INPUTS = _random.uniform(-2, 2, SOURCES)
TARGETS = np.sin(1.5 * INPUTS) + 0.1 * _random.standard_normal(SOURCES)
START = tuple(map(float, 0.7 * _random.standard_normal(3 * UNITS + 1)))


def _forward(x: Array) -> tuple[Array, Array]:
    """What the units say, [units, points, chains], and the residuals, [points, chains]."""
    units = np.tanh(x[:UNITS, None] * INPUTS[:, None] + x[UNITS : 2 * UNITS, None])
    residuals = (x[2 * UNITS : 3 * UNITS, None] * units).sum(0) + x[3 * UNITS] - TARGETS[:, None]
    return units, residuals


def gradients(x: Array) -> Array:
    """The gradient of every point's loss, [weights, points, chains]."""
    units, residuals = _forward(x)
    inner = residuals * x[2 * UNITS : 3 * UNITS, None] * (1 - units * units)
    return np.concatenate([inner * INPUTS[:, None], inner, residuals * units, residuals[None]])


def oracle(x: Array, w: Array) -> Oracle:
    """From the per-point gradients."""
    each = gradients(x)
    gradient = each.mean(1)
    noise = (np.einsum("dnc,nc->dc", each, w) - gradient * w.sum(0)) / np.sqrt(SOURCES)
    return Oracle(gradient, noise, np.einsum("dnc,dnc->dc", each, each) / SOURCES - gradient**2)


def loss(x: Array) -> Array:
    """Half of the mean squared residual."""
    return np.asarray(0.5 * (_forward(x)[1] ** 2).mean(0))
