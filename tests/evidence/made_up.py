"""Curves whose truth is known, a regime that was measured there, and their verdicts."""

import math
from dataclasses import replace

import numpy as np
import pandas as pd

from sqrtscale import evidence
from sqrtscale.evidence import Comparison, Regime

POINTS = 25
SAMPLES = np.arange(POINTS) * 1000
USUAL = Comparison("val_loss", "nats", practical=0.01, controls=frozenset({"unscaled", "linear lr"}))


def judge(curves, margin=None, alpha=0.05, regime=None, level=None, **changed):
    """``evidence.judge`` with a usual comparison, or one changed in some fields."""
    return evidence.judge(curves, replace(USUAL, **changed), margin=margin, alpha=alpha, regime=regime, level=level)


def measured(low, high, base=8, target=64, ratio=None):
    """A regime whose noise scale lies between low and high, and whose second moments differ by ``ratio`` (low, high)."""
    largest = max(base, target)
    dominated = "noise" if low > largest else "signal" if high < largest else "unclear"
    value, ratio_low, ratio_high = (None,) * 3 if ratio is None else (sum(ratio) / 2, *ratio)
    return Regime((low + high) / 2, low, high, value, base, target, target / base, dominated, "", ratio_low, ratio_high)


def curves(arms, seeds=5, seed_noise=0.002, paired=0.7, seed=0, slope=0.02):
    """Curves that fall by ``slope`` to 1.7; arms: name -> distance to base (a number, or one per point).

    Runs of one seed share ``paired`` of the seed's noise, which lasts over the whole curve.
    """
    g = np.random.default_rng(seed)
    shared = g.normal(0, seed_noise, seeds)
    runs = []
    for distance in arms.values():
        for one in range(seeds):
            own = paired * shared[one] + math.sqrt(1 - paired**2) * g.normal(0, seed_noise)
            runs.append(1.7 + slope * (1 - SAMPLES / SAMPLES[-1]) + np.where(SAMPLES > 0, distance + own, 0))
    values = np.stack(runs) + g.normal(0, seed_noise / 4, (len(runs), POINTS))
    return pd.DataFrame({
        "arm": np.repeat(np.array(list(arms), object), seeds * POINTS), "metric": "val_loss",
        "seed": np.tile(np.repeat(np.arange(seeds), POINTS), len(arms)), "samples": np.tile(SAMPLES, len(runs)),
        "value": values.ravel()})
