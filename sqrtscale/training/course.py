"""The noise scale as base's own runs measure it while they train, for arms that follow it (``Arm.measured``).

It grows by factors, from 3 to 100 samples within one run from scratch, so lr' = sqrt(kappa q) lr of ``sqrtscale.rules.signal`` is
a function of samples seen. Base trains ahead of every other arm from one evaluation point to the next, so that the noise scale
is known at both ends before the arms that follow it take that stretch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np

from ..plan import CalibrationPlan
from ..rules import TrainingConfig
from ..rules.signal import NoiseScaleCurve, excess, lately

BEYOND = 100.0  # times the largest batch: no signal is seen, and a larger noise scale would change the lr by less than 1%

Pace = Callable[[np.ndarray], np.ndarray]  # samples seen since the branch point -> what multiplies the learning rate


class Course:
    """tr(Sigma) and |G|^2 by age, in samples since the initialisation, summed over the warm start's run and base's runs."""

    def __init__(self, plan: CalibrationPlan):
        self.plan = plan
        self.most = BEYOND * max(arm.config.batch_size for arm in plan.arms)
        self.sums: dict[float, tuple[float, float]] = {}

    def learn(self, age: int, regime: Mapping[str, float]) -> None:
        """Count what one run of the base configuration has measured at that age."""
        if not {"noise", "signal"} <= set(regime):
            return
        noise, signal = self.sums.get(age, (0.0, 0.0))
        self.sums[age] = noise + regime["noise"], signal + regime["signal"]

    def at(self, age: float) -> float:
        """The noise scale at an age where it was measured: a ratio of averages, never an average of ratios."""
        noise, signal = lately(self.sums, age)
        return min(noise / signal, self.most) if signal > 0 and noise > 0 else self.most if noise > 0 else 1 / self.most

    @property
    def curve(self) -> NoiseScaleCurve:
        """The noise scale over samples seen since the branch point, as far as it is measured by now."""
        start = self.plan.warm_samples
        ages = sorted(self.sums)
        first = max((age for age in ages if age <= start), default=ages[0])
        return NoiseScaleCurve.of((max(age - start, 0), self.at(age)) for age in ages if age >= first)

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
