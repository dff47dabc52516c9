"""A batch that changes during one run: a list of stages, each with the configuration that the rule gives at its batch.

Time is samples seen. Every configuration is scaled from the base, so the stages are one run in the sense of the SDE, and a
schedule is one function of samples seen through all of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from .config import LARGEST_BATCH, TrainingConfig
from .errors import FieldError, whole
from .families import family
from .kind import DecayForm
from .run_fields import rounded
from .scaled import MomentumForm, ScaledConfig
from .signal import excess
from .transfer import scale

MOST_STAGES = 1000
MOST_SAMPLES = 10**15
ALLOWED = "is no plan: give a batch and its samples for each stage, for example (256, 1000000)"


@dataclass(frozen=True)
class Stage:
    """One stage of a batch ramp.

    batch: its global batch; kappa: that over the base batch; change: that over the batch of the stage before (of the base,
    for the first one), the kappa by which to move the optimizer's state when the stage begins; excess: q of that change, by
    which second moments are then more than v / kappa (1 where no noise scale says otherwise); first_sample, samples: where it
    begins and how long it is; steps: samples / batch, rounded; surplus: samples of these steps beyond the planned ones;
    scaled: the configuration, whose lengths in steps are those of a whole run at this batch.
    """

    batch: int
    kappa: float
    change: float
    excess: float
    first_sample: int
    samples: int
    steps: int
    scaled: ScaledConfig

    @property
    def surplus(self) -> int:
        """Samples that the rounded steps see beyond the planned ones (below 0: fewer)."""
        return self.steps * self.batch - self.samples

    def as_dict(self) -> dict[str, Any]:
        """The JSON object of ``sqrtscale stages --json``: the stage's numbers, then its configuration and warnings."""
        scaled = self.scaled.as_dict()
        return {"batch": self.batch, "kappa": self.kappa, "change": self.change, "excess": self.excess,
                "first_sample": self.first_sample, "samples": self.samples, "steps": self.steps, "surplus": self.surplus,
                "scaled": scaled["scaled"], "warnings": scaled["warnings"]}


def stages(config: TrainingConfig, plan: Iterable[tuple[object, object]], decay_form: DecayForm = "linear",
           momentum_form: MomentumForm = "kept", noise_scale: float | None = None) -> tuple[Stage, ...]:
    """The stages of a run that takes ``plan``'s batches one after the other, each for its number of samples.

    config: the base, whose batch none of the stages needs to have; plan: (global batch, samples) for each stage, as somebody
    gave them; noise_scale: in samples, for the noise-aware transfer from batch to batch. Raises FieldError for what is no whole
    number, for a plan that is none, for a stage of less than one step, and for what ``scale`` refuses.
    """
    ramp: list[Stage] = []
    before, first = config.batch_size, 0
    for batch, samples in _checked(plan):
        steps, _ = rounded(samples, Fraction(batch))
        if steps < 1:
            raise FieldError("samples", samples, f"is less than one step of batch {batch}: give at least {batch}")
        scaled = scale(config, batch, decay_form, momentum_form, noise_scale=noise_scale)
        q = excess(before, batch, noise_scale) if noise_scale and family(config.optimizer).follows_noise_scale else 1.0
        ramp.append(Stage(batch, scaled.kappa, batch / before, q, first, samples, steps, scaled))
        before, first = batch, first + samples
    return tuple(ramp)


def _checked(plan: Iterable[tuple[object, object]]) -> list[tuple[int, int]]:
    if isinstance(plan, (str, bytes)) or not isinstance(plan, Iterable):
        raise FieldError("stages", plan, ALLOWED)
    pairs = list(plan)
    if not 1 <= len(pairs) <= MOST_STAGES:
        raise FieldError("stages", f"{len(pairs)} stages", f"is no plan: give from 1 to {MOST_STAGES} stages")
    for pair in pairs:
        if not isinstance(pair, (tuple, list)) or len(pair) != 2:
            raise FieldError("stages", pair, ALLOWED)
    return [(whole("batch", batch, 1, 256, LARGEST_BATCH), whole("samples", samples, 1, 1_000_000, MOST_SAMPLES))
            for batch, samples in pairs]
