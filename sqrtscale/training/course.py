"""The noise scale as base's own runs measure it while they train, for arms that follow it (``Arm.measured``).

It grows by factors, from 3 to 100 samples within one run from scratch, so lr' = sqrt(kappa q) lr of ``sqrtscale.rules.signal`` is
a function of samples seen. Base trains ahead of every other arm from one evaluation point to the next, so that the noise scale
is known at both ends before the arms that follow it take that stretch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from ..plan import CalibrationPlan
from ..rules import TrainingConfig
from ..rules.signal import NoiseScaleCurve, excess
from .optimizers import optimizer_class

TIMES = 2001  # of the past, over which an average is taken
AT_LEAST = 1 / 6  # of the age: an average over less scatters widely, and the noise scale grows by factors
TINY = 1e-12
BEYOND = 100.0  # times the largest batch: no signal is seen, and a larger noise scale would change the lr by less than 1%

Pace = Callable[[np.ndarray], np.ndarray]  # samples seen since the branch point -> what multiplies the learning rate


class Course:
    """tr(Sigma) and |G|^2 by age, in samples since the initialisation: means over the warm start's run and base's runs.

    At an age they are averaged over the past as v itself averages them, with weights e^(-t / T) for T = B / (1 - beta2) samples:
    what v of another batch will be hangs on what v still remembers [derived by us; measured in docs/regimes.md].
    """

    def __init__(self, plan: CalibrationPlan):
        self.plan = plan
        self.most = BEYOND * max(arm.config.batch_size for arm in plan.arms)
        decay = optimizer_class(plan.base.optimizer).second_decay
        self.memory = plan.base.batch_size / max(1 - plan.base[decay], TINY) if decay else 0.0
        self.measured: dict[int, list[tuple[float, float]]] = {}
        self._curve: NoiseScaleCurve | None = None

    def learn(self, age: int, regime: Mapping[str, float]) -> None:
        """Count what one run of the base configuration has measured at that age."""
        if {"noise", "signal"} <= set(regime):
            self.measured.setdefault(age, []).append((regime["noise"], regime["signal"]))
            self._curve = None

    def at(self, age: int) -> float:
        """The noise scale at an age where it was measured: a ratio of averages, never an average of ratios."""
        ages = sorted(other for other in self.measured if other <= age)
        noises, signals = np.array([np.mean(self.measured[other], axis=0) for other in ages]).T
        times = np.linspace(ages[0], age, TIMES)
        weights = np.exp((times - age) / max(self.memory, age * AT_LEAST, TINY))
        noise, signal = weights @ np.interp(times, ages, noises), weights @ _between(times, ages, signals)
        return float(min(noise / signal, self.most)) if signal > 0 and noise > 0 else self.most if noise > 0 else 1 / self.most

    @property
    def curve(self) -> NoiseScaleCurve:
        """The noise scale over samples seen since the branch point, as far as it is measured by now."""
        if self._curve is None:
            start, ages = self.plan.warm_samples, sorted(self.measured)
            first = max((age for age in ages if age <= start), default=ages[0])
            self._curve = NoiseScaleCurve.of((max(age - start, 0), self.at(age)) for age in ages if age >= first)
        return self._curve

    def excess(self, arm: str) -> float:
        """q of that arm at the branch point."""
        return self.plan.arm(arm).excess(self.plan.base.batch_size, self.curve.at(0))

    def lr_factor(self, arm: str, samples: int) -> float:
        """The learning rate of an arm that follows over base's, after so many samples."""
        batches = self.plan.base.batch_size, self.plan.config_of(arm).batch_size
        return math.sqrt(self.plan.arm_kappa(arm)) * self.curve.lr_factor(*batches, samples)

    def stretch(self, arm: str, start: int, end: int) -> tuple[TrainingConfig, Pace]:
        """The configuration of such an arm between two numbers of samples, and how its lr moves meanwhile.

        Of the stretch's mean noise scale; lr alone follows within it.
        """
        curve, batches = self.curve, (self.plan.base.batch_size, self.plan.config_of(arm).batch_size)
        mean = curve.mean(end, start)
        usual = math.sqrt(excess(*batches, mean))
        return (self.plan.noise_aware(arm, mean),
                lambda samples: np.array([curve.lr_factor(*batches, at) / usual for at in samples.tolist()]))


def _between(times: np.ndarray, ages: Sequence[int], signals: np.ndarray) -> np.ndarray:
    """|G|^2 between the ages: it falls by factors, so that its logarithm is straight, where chance has made none negative."""
    falls = (signals > 0).all()
    values: np.ndarray = np.interp(times, ages, np.log(signals) if falls else signals)
    return np.exp(values) if falls else values
