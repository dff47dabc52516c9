"""From the errors of all groups at the end of the time to slopes, intercepts, constants, and the error at a batch size."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from . import statistics
from .experiment import LEVELS, Experiment
from .problems import Array
from .result import Course, Intercept, Level, Path, Prediction, Quantiles, Slope, WeakError
from .statistics import CLEAR, Interval
from .wrong_rules import RIGHT

Pictures = tuple[tuple[Course, ...], tuple[Quantiles, ...], tuple[Path, ...]]
EXACT = 0.5  # of the error at the smallest step: up to it an intercept without chance passes for 0


def judged(made: Experiment, names: tuple[str, ...], errors: Array, change: Array, pictures: Pictures) -> WeakError:
    """errors: [groups, levels, functions], one group where they are exact; change: of E phi over the time, [functions]."""
    exact = len(errors) == 1
    levels: list[Level] = []
    predictions: list[Prediction] = []
    slopes: dict[str, Slope | None] = {}
    needed: dict[str, int | None] = {}
    intercepts: dict[str, Intercept] = {}
    constants: dict[str, Interval] = {}
    for j, name in enumerate(names):
        of = errors[:, :, j]
        mean, spread = (of[0], np.zeros(of.shape[1])) if exact else statistics.means(of)
        levels += [Level(h, made.one_minus_beta2(h), made.kappa_at(h), name, float(error), float(standard),
                         bool(abs(error) > CLEAR * standard))
                   for h, error, standard in zip(made.steps, mean, spread, strict=True)]
        judge: _Exact | _Sampled = _Exact(made, of[0]) if exact else _Sampled(made, of)
        slope = judge.slope()
        slopes[name] = None if slope is None else Slope(slope.value, slope.low, slope.high)
        if made.rule == RIGHT and not judge.is_clear():  # a wrong rule has no error at the base, however many chains
            needed[name] = judge.needed()
        intercepts[name] = judge.intercept()
        constants[name] = judge.constant()
        predictions += _predictions(made, [level for level in levels if level.test_function == name], float(change[j]))
    return WeakError(made, tuple(levels), slopes, needed, intercepts, constants, tuple(predictions), *pictures, exact=exact)


class _Sampled:
    """Of errors with chance, [groups, levels]."""

    def __init__(self, made: Experiment, errors: Array):
        self.chains, self.power = made.chains, made.expected_slope
        self.steps, self.errors = made.steps[:LEVELS], errors[:, :LEVELS]

    def slope(self) -> Interval | None:
        return statistics.slope(self.errors, self.steps)

    def is_clear(self) -> bool:
        return statistics.is_clear(self.errors)

    def needed(self) -> int | None:
        return statistics.chains_needed(self.errors, self.steps, self.power, self.chains)

    def intercept(self) -> Intercept:
        c0 = statistics.fit(self.errors, self.steps, (0, self.power, 2 * self.power)).at(0)
        return Intercept(c0.value, c0.low, c0.high, c0.is_refuted)

    def constant(self) -> Interval:
        return statistics.fit(self.errors, self.steps, (self.power, 2 * self.power)).at(0)


class _Exact:
    """Of errors without chance, [levels]: polynomials through the smallest steps, and intervals from leaving one out."""

    def __init__(self, made: Experiment, errors: Array):
        self.power = made.expected_slope
        self.steps, self.errors = np.array(made.steps[:LEVELS]), errors[:LEVELS]

    def slope(self) -> Interval | None:
        logs, sizes = np.log(self.steps), np.log(np.abs(self.errors))
        local = np.diff(sizes) / np.diff(logs)
        if abs(np.sign(self.errors[: statistics.USED]).sum()) < statistics.USED:
            return None
        value = float(np.polyfit(logs[: statistics.USED], sizes[: statistics.USED], 1)[0])
        used = [value, *map(float, local[: statistics.USED - 1])]
        return Interval(value, min(used), max(used))

    def is_clear(self) -> bool:
        return True

    def needed(self) -> int | None:
        return None

    def intercept(self) -> Intercept:
        c0 = self._coefficient((0, self.power, 2 * self.power))
        return Intercept(c0.value, c0.low, c0.high, abs(c0.value) > EXACT * abs(float(self.errors[0])))

    def constant(self) -> Interval:
        return self._coefficient((self.power, 2 * self.power))

    def _coefficient(self, powers: tuple[float, ...]) -> Interval:
        """The first one."""
        rows = self.steps[:, None] ** np.array(powers)
        fits = [float(np.linalg.lstsq(rows[:n], self.errors[:n], rcond=None)[0][0])
                for n in range(len(powers), len(self.errors) + 1)]
        return Interval(fits[0], min(fits), max(fits))


def _predictions(made: Experiment, levels: list[Level], change: float) -> Iterator[Prediction]:
    """The error at the base and at the target batch: that of the nearest level, carried there by the slope that is expected."""
    for kappa in dict.fromkeys((1.0, made.kappa)):
        h = kappa * made.base_step
        if any(rate * h > 1 for rate in made.rates):
            continue  # the rule itself ends there
        nearest = min(levels, key=lambda level: abs(math.log(level.h / h)))
        factor = (h / nearest.h) ** made.expected_slope
        error, spread = factor * nearest.error, factor * statistics.NORMAL * nearest.standard_error
        share = abs(error / change) if change else None
        yield Prediction(nearest.test_function, kappa, made.one_minus_beta2(h), error, error - spread, error + spread, share,
                         not made.steps[0] <= h <= made.steps[-1])
