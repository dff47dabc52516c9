"""The plan of a calibration: what is trained, from where, for how long, and which arms compete.

Pure data, no torch: pages build it, the store keeps it, the training child reads it back.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from .rules import DecayForm, FieldError, MomentumForm, ScaledConfig, TrainingConfig, scale
from .rules.errors import whole
from .rules.translate import translate
from .tasks import task

Start = Literal["warm", "scratch"]
STARTS: tuple[Start, ...] = ("warm", "scratch")
WARM_START = "warm start"  # name of the run that trains the branch point; not an arm

ARMS: dict[str, str] = {
    "base": "The base configuration at the base batch size.",
    "scaled": "The full square-root rule at the target batch size.",
    "unscaled": "Control: the base hyperparameters at the target batch size.",
    "linear lr": "Control: kappa times the learning rate, everything else as in the base.",
}
MOST_SEEDS = 64
TRAINED = ("adam", "adamw", "rmsprop")  # what the engine has an optimizer for


@dataclass(frozen=True)
class Arm:
    """One configuration under comparison, by name."""

    name: str
    config: TrainingConfig


def trainable(config: TrainingConfig) -> TrainingConfig | None:
    """The configuration as a calibration can train it, or None where the engine has no optimizer for it.

    Another library's convention is translated into PyTorch's. What a calibration does not do (schedules after
    the warm-up, averages, parameter groups) is left out; gradient-norm clipping is kept.
    """
    try:
        found = translate(config, "pytorch").config
    except FieldError:
        return None
    if found.optimizer not in TRAINED:
        return None
    kept = {name: found.run[name] for name in ("clip_norm",) if name in found.run}
    return TrainingConfig(found.optimizer, found.batch_size, found.hyperparameters, found.total_steps, found.warmup_steps, kept)


def make_arm(name: str, scaled: ScaledConfig) -> Arm:
    """The arm of that name; raises FieldError for an unknown name or a field without a number."""
    if name == "base":
        return Arm(name, scaled.base)
    if name == "scaled":
        return Arm(name, scaled.config)
    if name not in ARMS:
        raise FieldError("arms", name, f"is not an arm: give any of {', '.join(ARMS)}")
    values = dict(scaled.base.hyperparameters)
    if name == "linear lr":
        values["lr"] *= scaled.kappa
    lengths = {row.name: row.scaled for row in scaled.fields if row.name in ("total_steps", "warmup_steps")}
    return Arm(name, TrainingConfig(scaled.base.optimizer, scaled.target_batch, values, **lengths, run=scaled.base.run))


@dataclass(frozen=True)
class CalibrationPlan:
    """A task, a base configuration, a target, arms, seeds, a budget in samples and a start.

    samples: per run, counted from the branch point, a multiple of both batch sizes; warm_samples:
    samples that the warm start trains the base configuration before the arms branch (0 from scratch);
    evaluations: how many times curves are measured after the branch point; device: ``auto``, ``cpu``,
    ``cuda`` or ``cuda:N``; decay_form, momentum_form, correct_lr: as for ``scale``. Raises FieldError for what cannot be run.
    """

    task: str
    base: TrainingConfig
    target_batch: int
    arms: tuple[Arm, ...]
    seeds: tuple[int, ...]
    samples: int
    start: Start
    warm_samples: int
    decay_form: DecayForm = "linear"
    evaluations: int = 24
    device: str = "auto"
    task_version: int = 0
    momentum_form: MomentumForm = "kept"
    correct_lr: bool = False

    def __post_init__(self):
        about = task(self.task)
        if not self.task_version:
            object.__setattr__(self, "task_version", about.version)
        _check_fits(self.task, self.base.batch_size, self.target_batch)
        if trainable(self.base) != self.base:
            raise FieldError("optimizer", self.base.optimizer, "cannot be trained here as it is: give one of "
                             f"{', '.join(TRAINED)} with its hyperparameters, warm-up and clip_norm alone")
        if self.start not in STARTS:
            raise FieldError("start", self.start, f"is not known: give one of {', '.join(STARTS)}")
        names = [arm.name for arm in self.arms]
        if "base" not in names or "scaled" not in names or len(set(names)) < len(names):
            raise FieldError("arms", ", ".join(names), "cannot be compared: give base, scaled and any controls, each once")
        if not 1 <= len(self.seeds) <= MOST_SEEDS or len(set(self.seeds)) < len(self.seeds):
            raise FieldError("seeds", str(list(self.seeds)), f"is not allowed: give 1 to {MOST_SEEDS} different seeds")
        unit = math.lcm(*(arm.config.batch_size for arm in self.arms))
        whole("samples", self.samples, unit, unit * 100)
        if self.samples % unit:
            raise FieldError("samples", self.samples, f"is not a multiple of both batch sizes: give a multiple of {unit}")
        whole("evaluations", self.evaluations, 1, 24, 10_000)
        if self.start == "warm":
            whole("warm_samples", self.warm_samples, self.base.batch_size, 64_000)
            if self.warm_samples % self.base.batch_size:
                raise FieldError("warm_samples", self.warm_samples,
                                 f"is not a multiple of the base batch: give a multiple of {self.base.batch_size}")
        elif self.warm_samples:
            raise FieldError("warm_samples", self.warm_samples, "has no meaning from scratch: give 0")
        if not (self.device in ("auto", "cpu", "cuda") or self.device.removeprefix("cuda:").isdecimal()):
            raise FieldError("device", self.device, "is not known: give auto, cpu, cuda or cuda:0")

    @property
    def evaluation_points(self) -> tuple[int, ...]:
        """Samples seen, from the branch point, at which every run of every arm is measured; 0 comes first."""
        unit = math.lcm(*(arm.config.batch_size for arm in self.arms))
        units = self.samples // unit
        count = min(self.evaluations, units)
        return tuple(unit * round(units * i / count) for i in range(count + 1))

    @property
    def scaled(self) -> ScaledConfig:
        """The transfer that is tested."""
        return scale(self.base, self.target_batch, self.decay_form, self.momentum_form, self.correct_lr)

    @property
    def runs(self) -> tuple[tuple[str, int], ...]:
        """(arm, seed) of every run; the warm start's own run, if any, comes first."""
        first = ((WARM_START, self.seeds[0]),) if self.start == "warm" else ()
        return first + tuple((arm.name, seed) for arm in self.arms for seed in self.seeds)

    def config_of(self, arm: str) -> TrainingConfig:
        """The configuration that a run of that arm trains."""
        if arm == WARM_START:
            return self.base
        return next(found.config for found in self.arms if found.name == arm)

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON types; :meth:`from_dict` reads them back."""
        plain = {key: getattr(self, key) for key in (
            "task", "task_version", "target_batch", "samples", "start", "warm_samples", "decay_form",
            "evaluations", "device", "momentum_form", "correct_lr")}
        return plain | {
            "base": self.base.as_dict(),
            "arms": [{"name": arm.name, "config": arm.config.as_dict()} for arm in self.arms],
            "seeds": list(self.seeds),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> CalibrationPlan:
        """The inverse of :meth:`as_dict`."""
        return cls(**{**data, "base": TrainingConfig.from_dict(data["base"]), "seeds": tuple(data["seeds"]),
                      "arms": tuple(Arm(arm["name"], TrainingConfig.from_dict(arm["config"])) for arm in data["arms"])})


def make_plan(
    task_name: str, base: TrainingConfig, target_batch: int, *, arms: Iterable[str] = tuple(ARMS),
    seeds: int | None = None, samples: int | None = None, start: Start = "warm",
    warm_samples: int | None = None, decay_form: DecayForm = "linear", device: str = "auto",
    momentum_form: MomentumForm = "kept", correct_lr: bool = False,
) -> CalibrationPlan:
    """A plan from a few choices; what is left out takes the task's default.

    seeds: how many (0, 1, ...); samples and warm_samples are rounded up to whole batches of every arm.
    Raises FieldError for what cannot be run.
    """
    defaults = task(task_name).defaults
    _check_fits(task_name, base.batch_size, whole("target_batch", target_batch, 1, 64))
    scaled = scale(base, target_batch, decay_form, momentum_form, correct_lr)
    names = [name for name in ARMS if name in set(arms) | {"base", "scaled"}]
    for name in arms:
        make_arm(name, scaled)
    seeds = whole("seeds", defaults.seeds if seeds is None else seeds, 1, 3, MOST_SEEDS)
    samples = whole("samples", defaults.samples if samples is None else samples, 1, defaults.samples)
    warm = 0
    if start == "warm":
        warm = whole("warm_samples", defaults.warm_samples if warm_samples is None else warm_samples, 1, defaults.warm_samples)
    return CalibrationPlan(
        task=task_name, base=base, target_batch=scaled.target_batch,
        arms=tuple(make_arm(name, scaled) for name in names), seeds=tuple(range(seeds)),
        samples=_round_up(samples, math.lcm(base.batch_size, scaled.target_batch)), start=start,
        warm_samples=_round_up(warm, base.batch_size), decay_form=decay_form, device=device,
        momentum_form=momentum_form, correct_lr=correct_lr,
    )


def _check_fits(task_name: str, base_batch: int, target_batch: int) -> None:
    """Raise FieldError for a batch larger than the task's training data."""
    most = task(task_name).train_size
    for name, value in (("batch_size", base_batch), ("target_batch", target_batch)):
        if value > most:
            raise FieldError(name, value, f"is more than the {most} training samples of task {task_name}: "
                                          f"give at most {most}")


def _round_up(value: int, unit: int) -> int:
    return -(-value // unit) * unit
