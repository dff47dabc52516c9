"""Heavy tails and skewness of single samples in a batch: kappa times the batch is the mean of kappa times as many draws.

    python benchmarks/averaged_noise.py

The lab gives its noise the same law at every batch size. Here the base has that law, and a batch kappa times as large the mean of
kappa of the base's draws, as in training. Prints, as Markdown for docs/lab.md, how far E x and E x^2 at kappa times the batch are
from the base's at the end of the time: with the same law, and with the mean.
"""

from __future__ import annotations

import math

import numpy as np
from scipy import stats

from sqrtscale.lab import Experiment, experiment
from sqrtscale.lab.experiment import BEGIN, SPAN
from sqrtscale.lab.paths import shape

KAPPAS = (1, 4, 16)
BETA = 1 - 1 / 128  # of the base
CHAINS, SEEDS = 40_000, 8
LAWS = ("gauss", "skewed", "student:3")
WIDTH = stats.t.ppf(0.975, SEEDS - 1) / math.sqrt(SEEDS)  # of a 95% interval, in standard deviations of the seeds
Array = np.ndarray


def main() -> None:
    print("| algorithm | noise of the base | function | "
          + " | ".join(f"kappa {kappa}, {how}" for kappa in KAPPAS[1:] for how in ("same law", "mean")) + " |")
    print("|---" * (3 + 2 * len(KAPPAS[1:])) + "|")
    for algorithm in ("rmsprop", "adam"):
        for law in LAWS:
            made = experiment(algorithm=algorithm, noise=law, betas=(BETA, BETA), kappa=KAPPAS[-1])
            seeds = np.array([means(made, seed) for seed in range(SEEDS)])  # [seeds, kappas, ways, functions]
            from_base = 1e4 * (seeds[:, 1:] - seeds[:, :1])
            value, spread = from_base.mean(0), WIDTH * from_base.std(0, ddof=1)
            for i, function in enumerate(("E x", "E x^2")):
                cells = [f"{value[k, way, i]:+.0f} ± {spread[k, way, i]:.0f}" for k in range(len(KAPPAS) - 1) for way in (0, 1)]
                print(f"| {algorithm} | {law} | {function} | {' | '.join(cells)} |", flush=True)


def means(made: Experiment, seed: int) -> Array:
    """E x and E x^2 at the end, [kappas, same law or mean, functions], all on one path."""
    method, case, law = made.parts
    base, shaped = made.base_step, shape(law)
    random = np.random.default_rng(seed)
    start = np.full((1, CHAINS), case.START[0])
    states = {(kappa, way): method.start(start, case.oracle(start, np.zeros((1, 1))), BEGIN, made.limit)
              for kappa in KAPPAS for way in (0, 1)}
    sums = {key: np.zeros((1, CHAINS)) for key in states}
    for k in range(1, round(SPAN / base) + 1):
        increments = math.sqrt(base) * random.standard_normal((1, CHAINS))
        drawn = shaped(increments, base)
        for (kappa, way), state in states.items():
            sums[kappa, way] += drawn if way else increments
            if k % kappa == 0:
                h = kappa * base
                oracle = case.oracle(state.x, sums[kappa, way] if way else shaped(sums[kappa, way], h))
                y = h * oracle.gradient + made.limit.s0 * oracle.noise
                states[kappa, way] = method.step(state, y, h, round(BEGIN / h) + k // kappa, made.limit)
                sums[kappa, way] = np.zeros((1, CHAINS))
    return np.array([[[states[kappa, way].x.mean(), (states[kappa, way].x ** 2).mean()] for way in (0, 1)] for kappa in KAPPAS])


if __name__ == "__main__":
    main()
