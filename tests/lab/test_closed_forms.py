"""The simulated expectations against formulas: Ornstein and Uhlenbeck's for RMSprop, moment equations for Adam."""

import json
import math

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from sqrtscale import lab
from sqrtscale.lab.experiment import BEGIN, SPAN
from sqrtscale.lab.lattice import discrete, limit

WITHIN = 4.0  # standard errors


def of_the_sde(outcome, name):
    (course,) = (course for course in outcome.courses if course.test_function == name and course.h is None)
    return np.array(course.times), np.array(course.values), np.array(course.standard_errors)


@pytest.fixture(scope="module")
def outcome():
    return lab.weak_error(algorithm="rmsprop", problem="constant_noise", chains=20_000, seed=3)


def test_rmsprop_on_the_quadratic_with_constant_noise_is_an_ornstein_uhlenbeck_process(outcome):
    at = outcome.experiment.limit
    rate = 1 / (at.s0 + at.e0)  # u stays at 1
    times, x, x_error = of_the_sde(outcome, "E x")
    _, square, square_error = of_the_sde(outcome, "E x^2")
    mean = 1.2 * np.exp(-rate * (times - BEGIN))
    variance = at.s0**2 * rate / 2 * -np.expm1(-2 * rate * (times - BEGIN))
    assert (np.abs(x - mean) <= WITHIN * x_error + 1e-5).all() and x_error[-1] < 0.006
    assert (np.abs(square - mean**2 - variance) <= WITHIN * square_error + 1e-5).all()
    quantiles = next(q for q in outcome.quantiles if q.h is None)
    assert quantiles.values[2][-1] == pytest.approx(mean[-1], abs=0.04)
    spread = quantiles.values[3][-1] - quantiles.values[1][-1]
    assert spread == pytest.approx(2 * 0.67449 * math.sqrt(variance[-1]), rel=0.05)


@pytest.mark.parametrize("algorithm", ["adam", "adamw"])
def test_adam_on_it_follows_the_equations_of_its_moments(algorithm):
    """With u = g2 the SDE is linear in (x, m): its first two moments obey ordinary differential equations."""
    outcome = lab.weak_error(algorithm=algorithm, problem="constant_noise", betas=(0.97, 0.98), chains=20_000, seed=4)
    at = outcome.experiment.limit

    def moments(t, y):
        x, m, xx, xm, mm = y
        pull = 1 / (-math.expm1(-at.c1 * t) * (at.s0 + at.e0))  # sqrt(g2) / g1 / (s0 sqrt(g2) + e0 sqrt(g2))
        return [-pull * m - at.lam0 * x, at.c1 * (x - m), -2 * pull * xm - 2 * at.lam0 * xx,
                -pull * mm - at.lam0 * xm + at.c1 * (xx - xm), 2 * at.c1 * (xm - mm) + (at.c1 * at.s0) ** 2]

    m = -math.expm1(-at.c1 * BEGIN) * 1.2
    times, x, x_error = of_the_sde(outcome, "E x")
    _, square, square_error = of_the_sde(outcome, "E x^2")
    solved = solve_ivp(moments, (BEGIN, BEGIN + SPAN), [1.2, m, 1.44, 1.2 * m, m * m], t_eval=times, rtol=1e-9, atol=1e-10).y
    assert (np.abs(x - solved[0]) <= WITHIN * x_error + 1e-5).all() and x_error[-1] < 0.01
    assert (np.abs(square - solved[2]) <= WITHIN * square_error + 1e-5).all()


def test_another_epsilon_lies_far_outside_those_errors(outcome):
    _, x, error = of_the_sde(outcome, "E x")
    assert abs(x[-1] - 1.2 * math.exp(-SPAN / 1.4)) > 10 * error[-1]  # eps0 twice as large


def test_signsgd_and_its_sde_on_the_quadratic_are_exact():
    made = lab.experiment(algorithm="signsgd", problem="constant_noise")
    rate = 2 / math.sqrt(2 * math.pi)
    for time, weights in zip(made.checkpoints[1:], list(limit(made))[1:], strict=True):
        mean = 1.2 * math.exp(-rate * (time - BEGIN))
        assert weights.mean(weights.x) == pytest.approx(mean, abs=2e-6)
        variance = -math.expm1(-2 * rate * (time - BEGIN)) / (2 * rate)
        assert weights.mean(weights.x**2) == pytest.approx(mean**2 + variance, abs=2e-6)
        quartiles = mean + 0.6744898 * math.sqrt(variance) * np.array([-1, 0, 1])
        assert weights.quantiles([0.25, 0.5, 0.75]) == pytest.approx(quartiles, abs=1e-4)
    *_, last = discrete(made, made.steps[-1])
    chains = np.full(200_000, 1.2)
    random, h = np.random.default_rng(0), made.steps[-1]
    for _ in range(round(SPAN / h)):
        chains -= math.sqrt(h) * np.sign(h * chains + math.sqrt(h) * random.standard_normal(len(chains)))
    assert last.probabilities.sum() == pytest.approx(1) and last.mean(last.x) == pytest.approx(chains.mean(), abs=0.01)
    assert last.mean(last.x**2) == pytest.approx((chains**2).mean(), abs=0.015)
    assert last.quantiles([0.05, 0.95]) == pytest.approx(np.quantile(chains, [0.05, 0.95]), abs=2 * math.sqrt(h))


@pytest.mark.parametrize("noise, expected", [("gauss", 1.0), ("uniform", 1.0), ("student:3", 1.0), ("laplace", 0.5)])
def test_slopes_of_signsgd_are_exact(noise, expected):
    """Only the density at 0 counts: Laplace's cusp costs half an order, tails cost nothing. And the outcome survives JSON."""
    outcome = lab.weak_error(algorithm="signsgd", noise=noise)
    assert lab.WeakError.from_dict(json.loads(json.dumps(outcome.as_dict()))) == outcome
    assert outcome.exact and outcome.predicted_slope == expected
    for name in ("E x", "E x^2"):
        assert outcome.slopes[name].slope == pytest.approx(expected, abs=0.05), name
        assert not outcome.intercepts[name].refuted


def test_signsgd_with_linear_lr_keeps_an_error():
    outcome = lab.weak_error(algorithm="signsgd", rule="linear lr")
    assert outcome.intercepts["E x"].refuted and outcome.intercepts["E x^2"].refuted
