"""Thousands of one-dimensional training runs at once, where noise dominates, to compare batch sizes at equal samples seen.

The gradient at x is a x plus the mean of one standard normal number for each sample of the batch, with a small; of a loss that is
summed it is the batch size times that. Two runs
see the same samples in the same order, cut into batches of their own size, so the difference of a pair of chains says far more
than two independent runs would. The optimizers are those of ``updates.py``, which know nothing of the package.
"""

import math
from dataclasses import dataclass
from functools import cache

import numpy as np
from updates import STEPS

CHAINS, SAMPLES, SMALL, LARGE = 1000, 6400, 1, 8
KAPPA = LARGE // SMALL
LOOKS = (0.1, 0.25, 0.5, 1.0)  # shares of the samples at which the chains are compared
CURVATURE, START = 0.02, 2.0  # the pull on x stays below a quarter of the noise of the large batch
LONG_AGO = 10**7  # steps before the branch point: bias correction is over, its transient is not part of the rule

# Allowed beyond sampling error, for the rule's own error at kappa = 8: the drift of the scaled chains per sample is 0.992
# of the base's where beta2 or alpha is 0.998 (THEORY, finite kappa; tests of forecast.py).
OF_START, OF_SPREAD = 0.02, 0.04
STANDARD_ERRORS = 4


@cache
def noise(batch):
    """The mean noise of every batch of that size: steps x chains."""
    samples = np.random.default_rng(1).standard_normal((SAMPLES, CHAINS))
    return samples.reshape(SAMPLES // batch, batch, CHAINS).mean(axis=1)


@dataclass(frozen=True)
class Start:
    """The optimizer's memory at the branch: m, v in units of a sample's noise variance, and the samples seen before.

    m and v away from their rest show how fast they forget: m is kept at the branch, and v estimates the noise, so it is
    divided by the batch. warm: samples of noise alone that the optimizer sees first, while x waits.
    """

    m: float = 0.0
    v: float = 1.0
    age: int = LONG_AGO * LARGE
    warm: int = 0

    def state(self, batch, gradient=1):
        """What an optimizer remembers, for any of them: each uses its own part. gradient: how many times the averaged one."""
        v = np.full(CHAINS, self.v / batch * gradient**2)
        return {"m": np.full(CHAINS, self.m * gradient), "v": v, "v_max": v.copy(), "a": np.zeros(CHAINS), "b": np.zeros(CHAINS),
                "mu_product": np.zeros(CHAINS)}


REST = Start()


@cache
def chains(config, start=REST):
    """``trained`` by the optimizer of a configuration, and by what else of it changes the weights."""
    gradient = config.batch_size if config.run.get("loss_reduction") == "sum" else 1
    return trained(STEPS[config.optimizer], dict(config.hyperparameters), config.batch_size, start,
                   config.run.get("clip_norm", math.inf), config.run.get("ema_decay", 0.0), gradient)


def trained(step, values, batch, start=REST, clip=math.inf, rho=0.0, gradient=1):
    """x of every chain at every look: its average with decay ``rho`` over the steps, so x itself where that is 0."""
    state, x = start.state(batch, gradient), np.full(CHAINS, START)
    random = np.random.default_rng(2)
    for k in range(start.warm // batch):
        step(x, gradient * random.standard_normal(CHAINS) / math.sqrt(batch), state, values, start.age // batch + k + 1)
    average, steps, looks = x, SAMPLES // batch, []
    at = {round(share * steps) for share in LOOKS}
    for k, drawn in enumerate(noise(batch), start=1):
        g = gradient * (CURVATURE * x + drawn)
        g = g * np.minimum(1, clip / np.abs(g)) if clip < math.inf else g
        x = step(x, g, state, values, start.age // batch + k)
        average = rho * average + (1 - rho) * x
        if k in at:
            looks.append(average)
    return np.array(looks)


def drift_ratio(base, scaled):
    """The drift of the scaled chains per sample over the base's, from means that decay exponentially, and its standard error."""
    (x, y) = (looks[-1] / START for looks in (base, scaled))
    ratio = math.log(y.mean()) / math.log(x.mean())
    error = (y / y.mean() - ratio * x / x.mean()).std() / abs(math.log(x.mean())) / math.sqrt(CHAINS)
    return ratio, error


def disagreement(one, other, start=REST, first=0):
    """The largest difference from look ``first`` on, in units of what is allowed (above 1: they differ), and the numbers."""
    x, y = chains(one, start)[first:], chains(other, start)[first:]
    gap, root = x - y, math.sqrt(CHAINS)
    means = abs(gap.mean(axis=1)) / (STANDARD_ERRORS * gap.std(axis=1) / root + OF_START * START)
    ratio = y.std(axis=1) / x.std(axis=1)
    together = np.array([np.corrcoef(a, b)[0, 1] for a, b in zip(x, y, strict=True)])
    spreads = abs(ratio - 1) / (STANDARD_ERRORS * np.sqrt(1 - together**2) / root + OF_SPREAD)
    return max(means.max(), spreads.max()), (
        f"at {LOOKS[first:]} of the samples means {x.mean(axis=1).round(3)} against {y.mean(axis=1).round(3)}, spreads "
        f"{x.std(axis=1).round(3)} against {y.std(axis=1).round(3)}: {means.max():.2f} and {spreads.max():.2f} times the "
        "allowed difference")
