"""The noise scale as base's own runs measure it while they train, for arms that follow it (``Arm.measured``).

It grows by factors, from 3 to 100 samples within one run from scratch, so lr' = sqrt(kappa q) lr of ``sqrtscale.rules.signal`` is
a function of samples seen. Base trains ahead of every other arm from one evaluation point to the next, so that the noise scale
is known at both ends before the arms that follow it take that stretch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np

from ..diagnostics.course import BEYOND, remembered
from ..plan import CalibrationPlan
from ..rules import TrainingConfig
from ..rules.signal import NoiseScaleCurve, excess

Pace = Callable[[np.ndarray], np.ndarray]  # samples seen since the branch point -> what multiplies the learning rate


class Course:
    """tr(Sigma) and |G|^2 by age, in samples since the initialisation, of the warm start's run and base's runs."""

    def __init__(self, plan: CalibrationPlan):
        self.plan = plan
        self.most = BEYOND * max(arm.config.batch_size for arm in plan.arms)
        self.measured: dict[int, list[tuple[float, float]]] = {}
        self._curve: NoiseScaleCurve | None = None

    def learn(self, age: int, regime: Mapping[str, float]) -> None:
        """Count what one run of the base configuration has measured at that age."""
        if {"noise", "signal"} <= set(regime) and math.isfinite(regime["noise"] - regime["signal"]):
            self.measured.setdefault(age, []).append((regime["noise"], regime["signal"]))
            self._curve = None

    def restore(self, measured: Mapping[int, list[tuple[float, float]]]) -> None:
        """Know what an earlier course of the same plan had measured."""
        self.measured, self._curve = {age: list(values) for age, values in measured.items()}, None

    @property
    def curve(self) -> NoiseScaleCurve:
        """The noise scale over samples seen since the branch point, as far as it is measured by now."""
        if self._curve is None:
            means = {age: tuple(np.mean(values, axis=0).tolist()) for age, values in self.measured.items()}
            scales, start = remembered(means, self.plan.memory, self.most), self.plan.warm_samples
            first = max((age for age in scales if age <= start), default=min(scales))
            self._curve = NoiseScaleCurve.of((max(age - start, 0), scale) for age, scale in scales.items() if age >= first)
        return self._curve

    def excess(self, arm: str) -> float:
        """q of that arm at the branch point."""
        return self.plan.arm(arm).excess(self.plan.base.batch_size, self.curve.at(0))

    def lr_factor(self, arm: str, samples: int) -> float:
        """The learning rate of an arm that follows over base's, after so many samples."""
        return float(self.plan.noise_aware(arm, self.curve.at(samples))["lr"] / self.plan.base["lr"])

    def stretch(self, arm: str, start: int, end: int) -> tuple[TrainingConfig, Pace]:
        """The configuration of such an arm between two numbers of samples, and how its lr moves meanwhile.

        Of the stretch's mean noise scale; lr alone follows within it.
        """
        curve, batches = self.curve, (self.plan.base.batch_size, self.plan.config_of(arm).batch_size)
        mean = curve.mean(end, start)
        usual = math.sqrt(excess(*batches, mean))
        return (self.plan.noise_aware(arm, mean),
                lambda samples: np.array([curve.lr_factor(*batches, at) / usual for at in samples.tolist()]))

