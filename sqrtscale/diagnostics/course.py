"""The noise scale over the age of a training, as the optimizer's second moment remembers it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

TIMES = 2001  # of the past, over which an average is taken
AT_LEAST = 1 / 6  # of the age: an average over less scatters widely, and the noise scale grows by factors
LEAST_SIGNAL = 1e-3  # of the largest |G|^2: where chance has made one smaller, or negative
TINY = 1e-12
BEYOND = 100.0  # times the largest batch: no signal is seen, and a larger noise scale would change the lr by less than 1%


def remembered(measured: Mapping[int, tuple[float, float]], memory: float, most: float) -> dict[int, float]:
    """Age in samples -> noise scale: tr(Sigma) over |G|^2 (measured by age, means over runs), both averaged over the past.

    As v itself averages them, with weights e^(-t / T) for T = memory = B / (1 - beta2) samples, or a sixth of the age if that
    is more: what v of another batch will be hangs on what v still remembers [derived by us; measured in docs/regimes.md].
    Between two ages tr(Sigma) is straight and |G|^2, which falls by factors, straight in its logarithm. most: where no signal
    was seen.
    """
    return {age: _at(age, {other: measured[other] for other in sorted(measured) if other <= age}, memory, most)
            for age in sorted(measured)}


def _at(age: int, past: Mapping[int, tuple[float, float]], memory: float, most: float) -> float:
    noises, signals = np.array(list(past.values())).T
    if signals.max() <= 0:
        return most
    logs = np.log(np.maximum(signals, LEAST_SIGNAL * signals.max()))
    ages = list(past)
    times = np.linspace(ages[0], age, TIMES)
    weights = np.exp((times - age) / max(memory, age * AT_LEAST, TINY))
    noise, signal = weights @ np.interp(times, ages, noises), weights @ np.exp(np.interp(times, ages, logs))
    return float(np.clip(noise / signal, 1 / most, most))
