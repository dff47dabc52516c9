"""Slopes, intercepts and what is not measurable, on errors whose truth is known."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sqrtscale.lab import statistics

STEPS = tuple(2.0**-i for i in (8, 7, 6, 5, 4))
H = np.array(STEPS)
GROUPS = 64


def sampled(truth, noise, seed):
    """Errors of 64 groups whose levels share most of their noise, as levels on one path do."""
    random = np.random.default_rng(seed)
    shared, own = random.standard_normal((GROUPS, 1)), random.standard_normal((GROUPS, len(truth)))
    return truth + noise * np.sqrt(H) * (0.9 * shared + 0.44 * own)


@given(power=st.floats(0.2, 2), constant=st.floats(0.01, 10), sign=st.sampled_from([-1, 1]))
def test_a_power_without_noise_has_its_exponent_as_slope(power, constant, sign):
    errors = np.tile(sign * constant * H**power, (GROUPS, 1))
    slope = statistics.slope(errors, STEPS)
    assert slope.value == pytest.approx(power, abs=1e-9) and slope.high - slope.low < 1e-9


def test_intervals_hold_the_truth_about_as_often_as_they_say():
    inside = {"slope": 0, "c0": 0, "c1": 0}
    runs = 300
    for seed in range(runs):
        errors = sampled(0.3 * H - 0.5 * H**2, 0.01, seed)
        fit = statistics.fit(errors, STEPS, (0, 1, 2))
        inside["c0"] += fit.at(0).is_zero
        inside["c1"] += fit.at(1).low <= 0.3 <= fit.at(1).high
        straight = statistics.slope(sampled(0.3 * H, 0.01, seed), STEPS)
        inside["slope"] += straight.low <= 1 <= straight.high
    for name, count in inside.items():  # 0.95 with a standard error of 0.013
        assert 0.90 <= count / runs <= 0.985, (name, count / runs)


def test_an_error_that_stays_is_refuted_and_one_that_vanishes_is_not():
    assert statistics.fit(sampled(0.002 + 0.3 * H, 0.01, 1), STEPS, (0, 1, 2)).at(0).is_refuted
    refuted = [statistics.fit(sampled(0.3 * H, 0.01, seed), STEPS, (0, 1, 2)).at(0).is_refuted for seed in range(300)]
    assert sum(refuted) <= 10  # 1 in 100 is meant: more than 10 of 300 has a chance of 1 in 3,000


def test_of_what_is_lost_in_noise_there_is_no_slope_but_a_number_of_chains():
    errors = sampled(0.02 * H, 0.02, 0)
    assert statistics.slope(errors, STEPS) is None and not statistics.is_clear(errors)
    needed = statistics.chains_needed(sampled(0.02 * H, 0.01, 0), STEPS, 1, 1000)
    spread = 0.01 * np.sqrt(H[0]) / np.sqrt(GROUPS)  # of the smallest step, whose error is 0.02 h
    assert needed == pytest.approx(1000 * (4 * spread / (0.02 * H[0])) ** 2, rel=0.7)
    assert statistics.chains_needed(sampled(0 * H, 0.01, 0), STEPS, 1, 1000) is None


def test_an_error_that_changes_its_sign_has_no_slope():
    assert statistics.slope(sampled(0.3 * H - 0.3 * STEPS[1] * 1.5, 1e-5, 0), STEPS) is None
