"""The forecast against simulation, closed forms, its own quadrature, and what holds for every pair of betas."""

import importlib.util
import math
import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sqrtscale.rules.errors import FieldError
from sqrtscale.rules.forecast import Forecast, diffusion, drift, forecast, sentence

ROOT = Path(__file__).resolve().parents[2]

# Simulation: written from the definitions of D and S and of PyTorch's Adam, without the formulas that the table stands on.
CHAINS, BEFORE, STEPS, SIGNAL = 4000, 600, 1000, 0.02
OF_SIGNAL = 0.0005  # allowed beyond sampling error: the response at a mean of 0.02 falls short of D by about half its square
PAIRS = [(0, 0), (0, 0.84), (0, 0.99), (0.2, 0.6), (0.2, 0.84), (0.43, 0.663), (0.6, 0.8), (0.8, 0.96), (0.9, 0.9), (0.9, 0.95),
         (0.95, 0.99), (0.9, 0.5), (0.5, 0.1)]


@cache
def simulated():
    """D, S and their standard errors for every pair, from chains that all see the same noise.

    D is half the difference between chains of mean +SIGNAL and -SIGNAL. S is compared with the same variance of m, which is 1:
    both have the same shortfall from a finite number of steps, and much of their sampling error.
    """
    random = np.random.default_rng(20261125)
    beta1, beta2 = (np.array(column)[:, None, None] for column in zip(*PAIRS, strict=True))
    means = np.array([-SIGNAL, 0, SIGNAL])[:, None]
    m, v = np.zeros((len(PAIRS), 3, CHAINS)), np.ones((len(PAIRS), 3, CHAINS))
    sum_u, sum_m = np.zeros_like(m), np.zeros_like(m)
    for step in range(BEFORE + STEPS):
        g = means + random.standard_normal(CHAINS)
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g * g
        if step >= BEFORE:
            sum_u += m / np.sqrt(v)
            sum_m += m
    responses = (sum_u[:, 2] - sum_u[:, 0]) / (2 * SIGNAL * STEPS)
    spreads = 1 + (sum_u[:, 1] ** 2 - sum_m[:, 1] ** 2) / STEPS
    return [(one.mean(), one.std() / math.sqrt(CHAINS), two.mean(), two.std() / math.sqrt(CHAINS))
            for one, two in zip(responses, spreads, strict=True)]


@pytest.mark.parametrize("pair", PAIRS)
def test_simulation_agrees(pair):
    response, response_error, spread, spread_error = simulated()[PAIRS.index(pair)]
    assert response_error < 0.004 and spread_error < 0.04, "a test needs power"
    assert drift(*pair) == pytest.approx(response, abs=4 * response_error + OF_SIGNAL)
    assert diffusion(*pair) == pytest.approx(spread, abs=4 * spread_error)


@pytest.mark.parametrize("base, scaled, drifts, diffusions", [
    ((0.9, 0.999), (0.2, 0.992), 0.996, 0.99),
    ((0.9, 0.999), (0.9**8, 0.999**8), 0.996, 0.99),
    ((0.9, 0.999), (0.9**32, 0.999**32), 0.983, 0.98),
    ((0.95, 0.99), (0.8, 0.96), 0.986, 1.00),
    ((0.95, 0.99), (0.95**4, 0.99**4), 0.987, 1.00),
    ((0.95, 0.99), (0.6, 0.92), 0.968, 0.97),
    ((0.95, 0.99), (0.95**8, 0.99**8), 0.971, 0.97),
    ((0.95, 0.99), (0.2, 0.84), 0.932, 0.91),
    ((0.95, 0.99), (0.95**16, 0.99**16), 0.943, 0.93),
    ((0.9, 0.95), (0.6, 0.8), 0.954, 0.93),
    ((0.9, 0.95), (0.9**4, 0.95**4), 0.962, 0.94),
    ((0.9, 0.95), (0.2, 0.6), 0.885, 0.84),
    ((0.9, 0.95), (0.9**8, 0.95**8), 0.921, 0.89),
    ((0, 0.99), (0, 0.84), 0.929, 0.90),
    ((0, 0.99), (0, 0.99**16), 0.933, 0.91),
])
def test_an_earlier_simulation_agrees(base, scaled, drifts, diffusions):
    """4,000 chains x 4,000 steps, with errors of about 0.005 and 0.02 (and two digits of S), done before there was a forecast."""
    found = forecast(base, scaled)
    assert found.drift == pytest.approx(drifts, abs=0.005)
    assert found.diffusion == pytest.approx(diffusions, abs=0.025)
    assert found.lr_correction == pytest.approx(1 / found.drift)


def test_sign_of_the_gradient():
    """Without memory u = sign(g), and dE[sign(g)] / dd = 2 phi(0)."""
    assert (drift(0, 0), diffusion(0, 0)) == (pytest.approx(math.sqrt(2 / math.pi)), 1)
    assert (drift(0, 1e-9), diffusion(0, 1e-9)) == (pytest.approx(math.sqrt(2 / math.pi), abs=1e-4), pytest.approx(1, abs=0.002))


@pytest.mark.parametrize("beta1", [0, 0.5, 0.9, 0.99, 0.999])
def test_the_sde_is_the_limit_of_slow_second_moments(beta1):
    for beta2 in (1 - 1e-5, 1 - 1e-9):
        assert (drift(beta1, beta2), diffusion(beta1, beta2)) == (pytest.approx(1, abs=2e-5), pytest.approx(1, abs=2e-5))


@pytest.mark.parametrize("beta2", [0.99, 0.999, 0.9999])
@pytest.mark.parametrize("beta1", [0, 0.5, 0.9, 0.95, 0.99, 0.999])
def test_first_order_in_one_minus_beta2(beta1, beta2):
    small, rho = 1 - beta2, (1 - beta2) / (1 - beta1)
    allowed = 0.015 * small + 1e-5  # higher orders, interpolation
    assert 1 - drift(beta1, beta2) == pytest.approx(small * (1 / (1 + rho) - 3 / 8), abs=allowed)
    assert 1 - diffusion(beta1, beta2) == pytest.approx(small * (7 / (4 * (1 + rho)) - 3 / 4), abs=allowed)


@pytest.mark.parametrize("beta2", [0.01, 0.1, 0.5, 0.9])
def test_momentum_far_slower_than_v_meets_the_mean_of_one_over_its_root(beta2):
    """m is then independent of v, so D = E[1 / sqrt(v)] and S = D^2; at beta2 = 0.01 D is near log(1 / beta2) / sqrt(2 pi)."""
    assert diffusion(0.999, beta2) == pytest.approx(drift(0.999, beta2) ** 2, rel=0.003)
    assert drift(0.999, beta2) > 1


def test_drift_grows_like_the_logarithm_as_v_forgets_before_m():
    """Each E[z_i^2 / sqrt(v)] but the first gains (2 pi)^(-1/2) for every factor e in beta2."""
    gained = drift(0.5, 1e-5) - drift(0.5, 1e-4)
    assert gained == pytest.approx(0.5 * math.log(10) / math.sqrt(2 * math.pi), rel=0.01)


def test_the_table_is_as_near_to_its_quadrature_as_it_says():
    path = ROOT / "benchmarks" / "forecast_table.py"
    spec = importlib.util.spec_from_file_location(path.stem, path)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    for beta1, beta2 in [(0, 0.3), (0, 0.9876), (0.03, 0.7), (0.4, 0.45), (0.9, 0.95), (0.87, 0.99), (0.7, 0.9995)]:
        assert (drift(beta1, beta2), diffusion(beta1, beta2)) == pytest.approx(script.exact(beta1, beta2), rel=3e-5)
    for beta1, beta2 in [(0.9, 0.5), (0.1, 1e-5), (0.02, 1.2e-6), (0.99, 0.01)]:
        assert (drift(beta1, beta2), diffusion(beta1, beta2)) == pytest.approx(script.exact(beta1, beta2), rel=1e-3)


LOGIT = st.floats(-20, 34).map(lambda x: 1 / (1 + math.exp(-x)))  # up to 1 - 2e-15
PAIR = st.tuples(st.just(0.0) | LOGIT | st.floats(0, 1, exclude_max=True), LOGIT | st.floats(1e-300, 1, exclude_max=True))
USUAL = PAIR.filter(lambda pair: pair[0] <= pair[1])


@given(PAIR)
def test_a_run_is_its_own_forecast(pair):
    assert forecast(pair, pair) == Forecast(1, 1, 1)


@given(PAIR, PAIR, PAIR)
def test_forecasts_chain(one, two, three):
    first, second, whole = forecast(one, two), forecast(two, three), forecast(one, three)
    assert first.drift * second.drift == pytest.approx(whole.drift)
    assert first.diffusion * second.diffusion == pytest.approx(whole.diffusion)
    assert forecast(two, one).drift == pytest.approx(first.lr_correction)


@given(USUAL)
def test_momentum_no_slower_than_v_gains_nothing(pair):
    assert 0.785 < drift(*pair) < 1
    assert 0.773 < diffusion(*pair) < 1.0001


@given(USUAL.filter(lambda pair: pair[1] >= 0.5), st.floats(0, 1))
def test_larger_batches_lose_speed(pair, share):
    """Along the linear rule, as far as it has a number."""
    largest = min(1 / (1 - beta) for beta in pair if beta > 0)
    kappa = largest**share
    scaled = [max(0.0, 1 - kappa * (1 - beta)) if beta > 0 else 0.0 for beta in pair]
    assert forecast(pair, (min(scaled), scaled[1])).drift < 1.0001


@pytest.mark.parametrize("betas", [(1.0, 0.9), (0.9, 1.0), (-0.1, 0.9), (0.9, 1.2), (math.nan, 0.9), (0.9, math.inf),
                                   ("0.9", 0.9), (0.9, None), (True, 0.9)])
def test_what_is_no_decay_rate_is_refused(betas):
    for call in (lambda: drift(*betas), lambda: diffusion(*betas), lambda: forecast((0.9, 0.99), betas),
                 lambda: forecast(betas, (0.9, 0.99))):
        with pytest.raises(FieldError, match=r"beta[12] = .* is not a decay rate: give a number in \[0, 1\)"):
            call()


def test_the_one_place_without_a_finite_answer_is_refused():
    with pytest.raises(FieldError, match=r"^beta2 = 0.0 has no forecast beside beta1 = 0.5, because .* no finite mean: give"):
        drift(0.5, 0)


@pytest.mark.parametrize("kappa, drifts, expected", [
    (8, 0.888, "moves 11% less per sample than the base; multiply lr by 1.13 to make up for it."),
    (16, 0.932, "moves 6.8% less per sample than the base; multiply lr by 1.073 to make up for it."),
    (0.5, 1.03, "moves 3.0% more per sample than the base; multiply lr by 0.971 to make up for it."),
    (8, 0.9957, "moves as far per sample as the base, to within 0.5%."),
    (0.5, 1.0049, "moves as far per sample as the base, to within 0.5%."),
])
def test_sentence(kappa, drifts, expected):
    assert sentence(kappa, Forecast(drifts, 1.0, 1 / drifts)) == f"At kappa = {kappa} the scaled run {expected}"


def test_the_forecast_needs_nothing_heavy():
    code = ("import sys\nfrom sqrtscale.rules.forecast import forecast\nforecast((0.9, 0.999), (0.2, 0.992))\n"
            "print(*{name.partition('.')[0] for name in sys.modules})")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert not {"numpy", "scipy", "torch", "pandas"} & set(done.stdout.split())
