"""The discrete algorithms in the SDE's units are torch.optim's, number for number; in the paper's convention, its definition."""

import math

import numpy as np
import pytest
import torch

from sqrtscale import lab
from sqrtscale.lab.chains import simulate
from sqrtscale.lab.experiment import BEGIN

STEPS = 40


def torch_run(made, h, gradients):
    """Weights after every step of torch.optim with the hyperparameters that step h stands for, from given gradients [steps, d].

    The chains start at time BEGIN, so torch's state is set to what it would be there.
    """
    method, case, _ = made.parts
    at = made.constants(h)
    eta, sigma = math.sqrt(h), at.s0 / math.sqrt(h)
    x = torch.tensor(case.START, dtype=torch.float64, requires_grad=True)
    start = method.start(np.array(case.START)[:, None], case.oracle(np.array(case.START)[:, None],
                                                                    np.zeros((case.SOURCES, 1))), BEGIN, at)
    m, v = torch.tensor(start.m[:, 0]), torch.tensor(start.u[:, 0] * sigma**2)
    eps = at.e0 / eta
    if made.algorithm == "rmsprop":
        optimizer = torch.optim.RMSprop([x], lr=eta, alpha=1 - at.c2 * h, eps=eps)
        optimizer.state[x] = {"step": torch.tensor(0.0), "square_avg": v}
    else:
        kind, decay = (torch.optim.AdamW, at.lam0 * eta) if made.algorithm == "adamw" else (torch.optim.Adam, 0.0)
        optimizer = kind([x], lr=eta, betas=(1 - at.c1 * h, 1 - at.c2 * h), eps=eps, weight_decay=decay)
        optimizer.state[x] = {"step": torch.tensor(BEGIN / h), "exp_avg": m, "exp_avg_sq": v}
    weights = []
    for gradient in gradients:
        x.grad = torch.tensor(gradient)
        optimizer.step()
        weights.append(x.detach().numpy().copy())
    return np.array(weights)


def lab_run(made, h, y):
    method, case, _ = made.parts
    at, start = made.constants(h), np.array(case.START)[:, None]
    state = method.start(start, case.oracle(start, np.zeros((case.SOURCES, 1))), BEGIN, at)
    weights = []
    for k, of in enumerate(y, round(BEGIN / h) + 1):
        state = method.step(state, of[:, None], h, k, at)
        weights.append(state.x[:, 0])
    return np.array(weights)


@pytest.mark.parametrize("algorithm", ["rmsprop", "adam", "adamw"])
@pytest.mark.parametrize("level", [0, 4])
def test_steps_are_those_of_torch(algorithm, level):
    made = lab.experiment(algorithm=algorithm, problem="regression", betas=(0.9, 0.99))
    h = made.steps[level]
    gradients = np.random.default_rng(level).standard_normal((STEPS, 3)) * made.limit.s0 / math.sqrt(h)
    np.testing.assert_allclose(lab_run(made, h, h * gradients), torch_run(made, h, gradients), rtol=1e-11)


@pytest.mark.parametrize("algorithm", ["rmsprop", "adam"])
def test_steps_of_the_paper_divide_by_the_old_v_and_its_age(algorithm):
    made = lab.experiment(algorithm=algorithm, betas=(0.9, 0.99), convention="paper", problem="constant_noise")
    h = made.steps[2]
    eta, at, k = math.sqrt(h), made.limit, BEGIN / h
    sigma, beta1, beta2 = at.s0 / eta, 1 - at.c1 * h, 1 - at.c2 * h
    x, v = 1.2, sigma**2 * (1.0 if algorithm == "rmsprop" else -math.expm1(-at.c2 * BEGIN))
    m = -math.expm1(-at.c1 * BEGIN) * x
    gradients, expected = np.random.default_rng(0).standard_normal((STEPS, 1)) * sigma, []
    for (g,) in gradients:
        if algorithm == "rmsprop":
            x -= eta * g / (math.sqrt(v) + at.e0 / eta)
        else:
            m = beta1 * m + (1 - beta1) * g
            x -= eta * m / (1 - beta1 ** (k + 1)) / (math.sqrt(v / (1 - beta2**k)) + at.e0 / eta)
        v, k = beta2 * v + (1 - beta2) * g * g, k + 1
        expected.append(x)
    np.testing.assert_allclose(lab_run(made, h, h * gradients)[:, 0], expected, rtol=1e-11)


def test_signsgd_steps_by_lr_against_the_sign():
    made = lab.experiment(algorithm="signsgd")
    y = np.random.default_rng(0).standard_normal((STEPS, 1))
    x = torch.tensor([1.2], dtype=torch.float64, requires_grad=True)
    for of in y:
        x.grad = torch.sign(torch.tensor(of))
        torch.optim.SGD([x], lr=1 / 8).step()
    np.testing.assert_allclose(lab_run(made, 1 / 64, y)[-1], x.detach().numpy())


@pytest.mark.parametrize("problem", lab.PROBLEMS)
def test_gradients_are_those_of_autograd_and_noise_has_the_per_sample_covariance(problem):
    from sqrtscale.lab.problems import net, regression

    case = lab.problem(problem)
    d, random = len(case.START), np.random.default_rng(1)
    x = random.standard_normal((d, 1))
    step = 1e-6
    numeric = [(case.loss(x + step * e[:, None]) - case.loss(x - step * e[:, None]))[0] / (2 * step) for e in np.eye(d)]
    oracle = case.oracle(x, np.zeros((case.SOURCES, 1)))
    np.testing.assert_allclose(oracle.gradient[:, 0], numeric, atol=1e-7)
    columns = case.oracle(np.repeat(x, case.SOURCES, 1), np.eye(case.SOURCES)).noise  # noise is linear in w: its matrix
    if problem in ("net", "regression"):
        rows = net.gradients(x)[:, :, 0].T if problem == "net" else \
            (regression.ROWS @ x - regression.TARGETS[:, None]) * regression.ROWS
        expected = np.cov(rows.T, bias=True)
    else:
        expected = np.diag(oracle.variance[0])
    np.testing.assert_allclose(columns @ columns.T, expected, atol=1e-12)
    np.testing.assert_allclose(oracle.variance[:, 0], np.diag(expected), atol=1e-12)


def test_all_chains_go_along_one_path():
    made = lab.experiment(algorithm="rmsprop", problem="constant_noise")
    *_, at = simulate(made, np.random.default_rng(0), 500, made.checkpoints)
    fine, _coarse, *levels = at
    for level in levels:
        assert np.corrcoef(fine[0], level[0])[0, 1] > 0.9
