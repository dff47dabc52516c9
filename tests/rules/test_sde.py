"""The rule by simulation: thousands of one-dimensional chains at two batch sizes, compared at equal samples seen.

The gradient at x is a x + z / sqrt(B) with z standard normal and a small: noise dominates. The optimizers are written
here once more, in PyTorch's conventions, and know nothing of the package; it only says how the hyperparameters move.
"""

import math
from functools import cache

import numpy as np
import pytest

from sqrtscale.rules import TrainingConfig, scale

CHAINS, SAMPLES, SMALL, LARGE = 3000, 6400, 1, 8
KAPPA = LARGE // SMALL
LOOKS = (0.25, 0.5, 1.0)  # shares of the samples at which the chains are compared
CURVATURE, START = 0.02, 2.0  # the pull on x stays below a quarter of the noise of the large batch
LONG_AGO = 10**7  # steps before the branch point: bias correction is over, its transient is not part of the rule

# Allowed beyond sampling error, for the rule's own error at kappa = 8: with 20,000 chains of RMSprop the drift per
# sample is 0.947 +- 0.005 of the base's at alpha = 0.99 and 0.983 +- 0.005 at 0.999, with or without L2.
OF_START, OF_SPREAD = 0.02, 0.04
STANDARD_ERRORS = 4


def step_adam(x, g, state, h, k, decoupled):
    """One step of torch.optim.Adam, or of AdamW with ``decoupled``."""
    if decoupled:
        x = x * (1 - h["lr"] * h["weight_decay"])
    else:
        g = g + h["weight_decay"] * x
    state["m"] = h["beta1"] * state["m"] + (1 - h["beta1"]) * g
    state["v"] = h["beta2"] * state["v"] + (1 - h["beta2"]) * g * g
    m = state["m"] / (1 - h["beta1"] ** k)
    v = state["v"] / (1 - h["beta2"] ** k)
    return x - h["lr"] * m / (np.sqrt(v) + h["eps"])


def step_rmsprop(x, g, state, h, k):
    """One step of torch.optim.RMSprop, whose momentum buffer has no factor 1 - momentum."""
    g = g + h["weight_decay"] * x
    state["v"] = h["alpha"] * state["v"] + (1 - h["alpha"]) * g * g
    state["b"] = h["momentum"] * state["b"] + g / (np.sqrt(state["v"]) + h["eps"])
    return x - h["lr"] * state["b"]


STEPS = {
    "adam": lambda *now: step_adam(*now, decoupled=False),
    "adamw": lambda *now: step_adam(*now, decoupled=True),
    "rmsprop": step_rmsprop,
}


@cache
def moments(config):
    """Mean and standard deviation over the chains at every look, from a state that knows the noise already."""
    random = np.random.default_rng(config.batch_size)  # the two sides of a comparison are independent
    x = np.full(CHAINS, START)
    state = {"m": np.zeros(CHAINS), "b": np.zeros(CHAINS), "v": np.full(CHAINS, 1 / config.batch_size)}
    steps, looks = SAMPLES // config.batch_size, []
    at = {round(share * steps) for share in LOOKS}
    values = dict(config.hyperparameters)
    for k in range(1, steps + 1):
        g = CURVATURE * x + random.standard_normal(CHAINS) / math.sqrt(config.batch_size)
        x = STEPS[config.optimizer](x, g, state, values, LONG_AGO + k)
        if k in at:
            looks.append((x.mean(), x.std()))
    return np.array(looks)


def disagreement(one, other):
    """The largest difference in units of what is allowed (above 1: they differ), and a sentence with the numbers."""
    (mean, spread), (mean2, spread2) = moments(one).T, moments(other).T
    means = abs(mean - mean2) / (STANDARD_ERRORS * np.hypot(spread, spread2) / math.sqrt(CHAINS) + OF_START * START)
    spreads = abs(spread2 / spread - 1) / (STANDARD_ERRORS / math.sqrt(CHAINS) + OF_SPREAD)
    return max(means.max(), spreads.max()), (
        f"at {LOOKS} of the samples means {mean.round(3)} against {mean2.round(3)}, spreads {spread.round(3)} against "
        f"{spread2.round(3)}: {means.max():.2f} and {spreads.max():.2f} times the allowed difference")


ADAM = {"lr": 0.01, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "weight_decay": 0.0}
RMSPROP = {"lr": 0.01, "alpha": 0.99, "eps": 1e-8, "weight_decay": 0.0, "momentum": 0.0}
CASES = {
    "adam": ("adam", ADAM),
    "adam, L2": ("adam", ADAM | {"weight_decay": 0.02}),
    "adam, eps like the noise": ("adam", ADAM | {"eps": 1.0}),
    "adamw": ("adamw", ADAM | {"weight_decay": 0.05}),
    "rmsprop": ("rmsprop", RMSPROP),
    "rmsprop, L2": ("rmsprop", RMSPROP | {"weight_decay": 0.02}),
    "rmsprop, eps like the noise": ("rmsprop", RMSPROP | {"eps": 1.0}),
    "rmsprop, momentum": ("rmsprop", RMSPROP | {"lr": 0.001, "momentum": 0.9}),
}


def small(case):
    """The case's configuration at the small batch."""
    optimizer, values = CASES[case]
    return TrainingConfig(optimizer, SMALL, values)


@pytest.mark.parametrize("form", ["linear", "half-life"])
@pytest.mark.parametrize("case", CASES)
def test_base_and_scaled_agree_at_equal_samples(case, form):
    difference, numbers = disagreement(small(case), scale(small(case), LARGE, form).config)
    assert difference < 1, f"{case}, {form}: {numbers}"


@pytest.mark.parametrize("optimizer, values", [
    ("adamw", ADAM | {"lr": 0.03, "beta1": 0.5, "beta2": 0.992, "weight_decay": 0.14}),
    ("rmsprop", RMSPROP | {"lr": 0.003, "alpha": 0.92, "momentum": 0.9, "eps": 0.3}),
])
def test_base_and_scaled_agree_at_a_smaller_batch(optimizer, values):
    large = TrainingConfig(optimizer, LARGE, values)
    difference, numbers = disagreement(large, scale(large, SMALL).config)
    assert difference < 1, f"{optimizer} from {LARGE} to {SMALL}: {numbers}"


@pytest.mark.parametrize("case, wrong", [
    ("adam", {"lr": 0.01 * KAPPA}),  # linear, as for SGD
    ("adam", {"lr": 0.01}),
    ("adam, L2", {"weight_decay": 0.02 * math.sqrt(KAPPA)}),  # as if it were decoupled
    ("adam, eps like the noise", {"eps": 1.0}),
    ("adamw", {"weight_decay": 0.05}),
    ("adamw", {"weight_decay": 0.05 * KAPPA}),
    ("rmsprop", {"lr": 0.01 * KAPPA}),
    ("rmsprop, L2", {"weight_decay": 0.02 * math.sqrt(KAPPA)}),
    ("rmsprop, eps like the noise", {"eps": 1.0}),
    ("rmsprop, eps like the noise", {"eps": 1.0 / KAPPA}),  # as if it stood inside the root
    ("rmsprop, momentum", {"momentum": 1 - KAPPA * 0.1}),  # with sqrt(kappa) on lr, the buffer has no 1 - momentum
    ("rmsprop, momentum", {"lr": 0.001 * KAPPA}),
])
def test_known_wrong_variants_clearly_differ(case, wrong):
    scaled = scale(small(case), LARGE).config
    candidate = TrainingConfig(scaled.optimizer, LARGE, dict(scaled.hyperparameters) | wrong)
    difference, numbers = disagreement(small(case), candidate)
    assert difference > 2, f"{case} with {wrong} passes for right: {numbers}"
