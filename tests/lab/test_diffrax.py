"""The SDEs against another library's solver: diffrax integrates the equations as written here, on paths of its own."""

import math

import numpy as np
import pytest
from libraries import library

from sqrtscale import lab
from sqrtscale.lab.experiment import BEGIN, SPAN

PATHS, STEP = 8192, 1 / 128
WITHIN = 4.0  # standard errors


def fields(algorithm, at, np):
    """Drift and diffusion of y = (x, m, u) for the double well with Sigma(x) = 1 + x^2 / (2 (1 + x^2)), in jax."""
    def slope(x):
        return x**3 - x

    def variance(x):
        return 1 + 0.5 * x**2 / (1 + x**2)

    def drift(t, y, args):
        x, m, u = y
        if algorithm == "rmsprop":
            move = -slope(x) / (at.s0 * np.sqrt(u) + at.e0)
        elif algorithm == "signsgd":
            move = -2 / math.sqrt(2 * math.pi) * slope(x) / (at.s0 * np.sqrt(variance(x)))
        else:
            g1, g2 = 1 - np.exp(-at.c1 * t), 1 - np.exp(-at.c2 * t)
            move = -np.sqrt(g2) / g1 * m / (at.s0 * np.sqrt(u) + at.e0 * np.sqrt(g2)) - at.lam0 * x
        return np.stack([move, at.c1 * (slope(x) - m), at.c2 * (variance(x) - u)])

    def diffusion(t, y, args):
        x, _, u = y
        spread = at.s0 * np.sqrt(variance(x))
        none = np.zeros_like(x)
        if algorithm == "rmsprop":
            return np.stack([-spread / (at.s0 * np.sqrt(u) + at.e0), none, none])
        if algorithm == "signsgd":
            return np.stack([np.ones_like(x), none, none])
        return np.stack([none, at.c1 * spread, none])

    return drift, diffusion


def ends(algorithm, at):
    """x at the end, [PATHS]."""
    diffrax, jax = library("diffrax"), library("jax")
    drift, diffusion = fields(algorithm, at, jax.numpy)
    x, sigma = 1.2, 1 + 0.5 * 1.44 / 2.44
    start = jax.numpy.array([x, (1.2**3 - 1.2) * -math.expm1(-at.c1 * BEGIN),
                             sigma * (-math.expm1(-at.c2 * BEGIN) if algorithm in ("adam", "adamw") else 1.0)])

    def path(key):
        brownian = diffrax.UnsafeBrownianPath(shape=(), key=key)
        terms = diffrax.MultiTerm(diffrax.ODETerm(drift), diffrax.ControlTerm(diffusion, brownian))
        return diffrax.diffeqsolve(terms, diffrax.Euler(), BEGIN, BEGIN + SPAN, STEP, start,
                                   adjoint=diffrax.DirectAdjoint(), max_steps=None).ys[0, 0]

    return np.asarray(jax.jit(jax.vmap(path))(jax.random.split(jax.random.key(0), PATHS)), dtype=float)


@pytest.mark.parametrize("algorithm", ["rmsprop", "adam", "adamw", "signsgd"])
def test_the_sde_has_the_expectations_that_diffrax_finds(algorithm):
    outcome = lab.weak_error(algorithm=algorithm, problem="double_well", betas=(0.98, 0.99), chains=6144)
    x = ends(algorithm, outcome.experiment.limit)
    for name, values in (("E x", x), ("E x^2", x * x), ("E 1/(1+x^2)", 1 / (1 + x * x))):
        course = next(course for course in outcome.courses if course.test_function == name and course.h is None)
        error = math.hypot(values.std() / math.sqrt(PATHS), course.standard_errors[-1])
        assert error < 0.015
        assert values.mean() == pytest.approx(course.values[-1], abs=WITHIN * error), name
