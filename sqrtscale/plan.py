"""The plan of a calibration: what is trained, from where, for how long, and which arms compete.

Pure data, no torch: pages build it, the store keeps it, the training child reads it back.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, Literal

from .arms import KINDS, MOST_SVAG, Arm, default_arms, frontier_name, make_arm
from .devices import devices
from .points import COMPLETE, rounded_up, spread
from .rules import DecayForm, FieldError, MomentumForm, ScaledConfig, TrainingConfig, scale
from .rules.errors import choice, shown, whole
from .rules.reduction import averaged
from .rules.translate import translate
from .schedules import CONSTANT, Schedule, schedule
from .tasks import SMALLEST, Checkpoint, Metric, OwnFile, OwnTask, remember, task
from .training.optimizers import TRAINED

Start = Literal["warm", "scratch", "checkpoint"]
STARTS: tuple[Start, ...] = ("warm", "scratch", "checkpoint")
WARM_START = "warm start"  # name of the run that trains the branch point; not an arm

MOST_SEEDS = 64
# What says nothing about a single run: which others stand beside it, where it runs, how its configuration was found.
NOT_OF_A_RUN = ("arms", "seeds", "target_batch", "device", "reuse", "decay_form", "momentum_form", "correct_lr", "stop_early",
                "go_on", "own")
FOLLOWS = 2  # version of how an arm follows what base's runs measure
LOOKS = (3, 5, 8, 13, 21, 34)  # seeds after which a calibration that may stop early is judged


def trainable(config: TrainingConfig) -> TrainingConfig | None:
    """The configuration as a calibration can train it, or None where the engine has no optimizer for it.

    Another library's convention is translated into PyTorch's, and a summed loss into its mean. What a calibration does not do
    (averages, parameter groups) is left out, and so is a schedule, which is the plan's; gradient-norm clipping is kept.
    :func:`sqrtscale.schedules.schedule_of` says which one the configuration carries.
    """
    try:
        trained = translate(averaged(config), "pytorch").config
    except FieldError:
        return None
    if trained.optimizer not in TRAINED:
        return None
    kept = {name: trained.run[name] for name in ("clip_norm",) if name in trained.run}
    return replace(trained, run=kept, groups=())


@dataclass(frozen=True)
class CalibrationPlan:
    """A task, a base configuration, a target, arms, seeds, a budget in samples and a start.

    samples: per run, counted from the branch point, a multiple of every batch size (with SVAG, samples of the base run's time:
    l^2 steps are one batch of it, though each draws two); warm_samples: samples that the warm start trains the base
    configuration before the arms branch (0 without one); evaluations: how many times the judged metric is measured after the
    branch point, the others more rarely; device: a name that :func:`sqrtscale.devices.devices` knows; decay_form,
    momentum_form, correct_lr: as for ``scale``; reuse: take runs that are stored already instead of training them again;
    stop_early: train the seeds in parts, judge after each, and leave out the rest where the verdict is clear, so that ``seeds``
    are the most; go_on: train the arms also where the noise scale at the branch point says that none of them can test the rule;
    size: of the model, a task's; schedule: of the learning rate after the branch point, the same in every arm (the warm start
    trains at the peak); own: the file of a task of the user's own, whose hash is part of the task's name.
    Raises FieldError for what cannot be run.
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
    reuse: bool = True
    stop_early: bool = False
    size: str = SMALLEST
    schedule: Schedule = CONSTANT
    go_on: bool = False
    own: OwnFile | None = None

    # The same of every calibration (``compared.Compared``), so no fields.
    kind, rule, margin, paired, counted = "calibration", "scaled", None, True, "samples"

    def __post_init__(self) -> None:
        about = remember(self.own) if self.own else task(self.task)
        if about.name != self.task:
            raise FieldError("task", self.task, f"is another version than the file of task {about.name}: use that name")
        if isinstance(about, OwnTask) and self.own is None:
            object.__setattr__(self, "own", about.file)
        if not self.task_version:
            object.__setattr__(self, "task_version", about.version)
        if not isinstance(self.size, str) or self.size not in about.sizes:
            raise FieldError("size", self.size, f"is no model of task {self.task}: give one of {', '.join(about.sizes)}")
        _check_fits(self.task, self.base.batch_size, self.target_batch, *self.targets)
        plain = replace(self.base, groups=())
        if trainable(plain) != plain or [group.name for group in self.base.groups] != [
                group.name for group in (self.own.facts.groups if self.own else ())]:
            raise FieldError("optimizer", self.base.optimizer, "cannot be trained here as it is: give one of "
                             f"{', '.join(TRAINED)} with its hyperparameters, warm-up and clip_norm alone")
        choice("start", self.start, STARTS)
        names = [arm.name for arm in self.arms]
        if "base" not in names or "scaled" not in names or len(set(names)) < len(names):
            raise FieldError("arms", ", ".join(names), "cannot be compared: give base, scaled and any controls, each once")
        for seed in self.seeds:
            whole("seeds", seed, 0, 1)
        if not 1 <= len(self.seeds) <= MOST_SEEDS or len(set(self.seeds)) < len(self.seeds):
            raise FieldError("seeds", str(list(self.seeds)), f"is not allowed: give 1 to {MOST_SEEDS} different seeds")
        for arm in self.arms:
            if not 0 <= arm.svag <= MOST_SVAG or (arm.svag and arm.config.batch_size != self.base.batch_size):
                raise FieldError("arms", arm.name, f"is no SVAG: give l from 1 to {MOST_SVAG} at the base batch size")
            if about.micro and arm.config.batch_size % about.micro:
                raise FieldError("arms", arm.name, f"has batch {arm.config.batch_size}, which is not made of whole micro-batches "
                                                   f"of {about.micro}: give a kappa at which it is")
        whole("samples", self.samples, self.unit, self.unit * 100)
        if self.samples % self.unit:
            raise FieldError("samples", self.samples, f"is not a multiple of every batch size: give a multiple of {self.unit}")
        whole("evaluations", self.evaluations, 1, 24, 10_000)
        if self.start == "warm":
            whole("warm_samples", self.warm_samples, self.base.batch_size, 64_000)
            if self.warm_samples % self.base.batch_size:
                raise FieldError("warm_samples", self.warm_samples,
                                 f"is not a multiple of the base batch: give a multiple of {self.base.batch_size}")
        elif self.warm_samples:
            raise FieldError("warm_samples", self.warm_samples, "has no meaning without a warm start: give 0")
        if self.start == "checkpoint":
            _check_checkpoint(self.checkpoint, self.base)
        if not isinstance(self.device, str):
            raise FieldError("device", self.device, "is not text: give auto, cpu, cuda or cuda:0")
        devices(self.device, ())
        if not isinstance(self.schedule, Schedule):
            raise FieldError("schedule", self.schedule, 'is not a schedule: give one, for example schedule("cosine")')

    @property
    def base_batch(self) -> int:
        """The global batch size of base."""
        return self.base.batch_size

    @property
    def metrics(self) -> Mapping[str, Metric]:
        """The task's."""
        return task(self.task).metrics

    @property
    def judged(self) -> str:
        """The metric that the task judges."""
        return task(self.task).judged

    @property
    def version(self) -> int | str:
        """Of the task; of a user's own the beginning of the hash of its file."""
        return self.own.sha256[:12] if self.own else self.task_version

    @property
    def subject(self) -> str:
        """The task."""
        return self.task

    @property
    def unit(self) -> int:
        """Samples after which every arm stands on a whole step: the least common multiple of the batch sizes."""
        return math.lcm(*(arm.config.batch_size for arm in self.arms))

    @property
    def checkpoint(self) -> Checkpoint | None:
        """The one that the arms branch from, where they do."""
        return self.own.facts.checkpoint if self.own and self.start == "checkpoint" else None

    @property
    def age(self) -> int:
        """Samples that the model has seen before the arms branch, as far as that is known."""
        return round((self.checkpoint.steps or 0) * self.base.batch_size) if self.checkpoint else self.warm_samples

    @property
    def evaluation_points(self) -> tuple[int, ...]:
        """Samples seen, from the branch point, at which every run of every arm is measured; 0 comes first."""
        return spread(self.samples, self.unit, self.evaluations)

    @property
    def warm_points(self) -> tuple[int, ...]:
        """Samples at which the warm start is measured, on whole steps; none without one."""
        if self.start != "warm":
            return ()
        return spread(self.warm_samples, self.base.batch_size, min(self.evaluations, COMPLETE))

    @property
    def looks(self) -> tuple[int, ...]:
        """After how many seeds the arms are judged, the last time after all of them; once unless it may stop early."""
        count = len(self.seeds)
        return (*(look for look in LOOKS if look < count), count) if self.stop_early else (count,)

    @property
    def seeds_in_words(self) -> str:
        """``3 seeds``, or ``up to 8 seeds`` where it may stop early."""
        count = len(self.seeds)
        return f"{'up to ' * (len(self.looks) > 1)}{count} seed{'s' * (count > 1)}"

    @property
    def frontier(self) -> tuple[tuple[float, str], ...]:
        """(kappa, arm) of the full rule at each target batch, smallest kappa first; one entry where there is one target."""
        names = [arm.name for arm in self.arms if arm.group == "rule"]
        return tuple(sorted((self.arm_kappa(name), name) for name in names))

    @property
    def targets(self) -> tuple[int, ...]:
        """The target batches of the frontier, smallest first; empty where there is only ``target_batch``."""
        batches = tuple(self.arm(name).config.batch_size for _, name in self.frontier)
        return batches if len(batches) > 1 else ()

    @property
    def work(self) -> int:
        """Samples that all runs together draw for training: what the time is made of."""
        return self.warm_samples + self.samples * len(self.seeds) * sum(arm.work for arm in self.arms)

    @property
    def scaled(self) -> ScaledConfig:
        """The transfer that is tested."""
        return scale(self.base, self.target_batch, self.decay_form, self.momentum_form, self.correct_lr)

    @property
    def runs(self) -> tuple[tuple[str, int], ...]:
        """(arm, seed) of every run; the warm start's own run, if any, comes first."""
        first = ((WARM_START, self.seeds[0]),) if self.start == "warm" else ()
        return first + tuple((arm.name, seed) for arm in self.arms for seed in self.seeds)

    def arm(self, name: str) -> Arm:
        """The arm of that name; the warm start counts as one with the base configuration."""
        if name == WARM_START:
            return Arm(name, self.base, group="base")
        return next(arm for arm in self.arms if arm.name == name)

    def config_of(self, arm: str) -> TrainingConfig:
        """The configuration that a run of that arm trains."""
        return self.arm(arm).config

    @property
    def follows(self) -> bool:
        """Whether an arm follows the noise scale that base's runs measure as they train, so that those must train beside it."""
        return any(arm.measured for arm in self.arms)

    @property
    def memory(self) -> float:
        """Samples over which base's second moment averages, B / (1 - decay); 0 where it has none."""
        decay = next((self.base[name] for name in ("beta2", "alpha") if name in self.base.hyperparameters), None)
        return 0.0 if decay is None else self.base.batch_size / max(1 - decay, 1e-12)

    def noise_aware(self, arm: str, noise_scale: float) -> TrainingConfig:
        """The configuration at that arm's batch by the noise-aware transfer."""
        return scale(self.base, self.config_of(arm).batch_size, self.decay_form, self.momentum_form,
                     noise_scale=noise_scale).config

    def ends(self, arm: str) -> tuple[TrainingConfig, TrainingConfig]:
        """Between which configurations an arm moves as it trains: noise alone, signal alone; the same twice of most arms."""
        config = self.config_of(arm)
        return config, self.noise_aware(arm, 1e-9) if self.arm(arm).measured else config

    def batch_of(self, arm: str) -> int:
        """The global batch size of that arm."""
        return self.config_of(arm).batch_size

    def arm_kappa(self, arm: str) -> float:
        """The batch of that arm over the base batch."""
        return self.config_of(arm).batch_size / self.base.batch_size

    def identity(self, arm: str, seed: int) -> str:
        """Everything in the plan that this run's curve depends on, as text: with the same one it is the same run.

        A field that a plan gets one day counts, until somebody names it in NOT_OF_A_RUN. The name counts, and so does the first
        seed, because more is measured of some arms and of that seed.
        """
        shared = {name: value for name, value in self.as_dict().items() if name not in NOT_OF_A_RUN}
        if self.own:  # its text is in its name; its data may have grown
            facts = replace(self.own.facts, checkpoint=None, configuration=None)
            shared["facts"] = facts.as_dict() | ({"checkpoint": self.checkpoint.sha256} if self.checkpoint else {})
        own = self.arm(arm)
        # Of what the noise scale is measured that it follows, and in which parts.
        others = {"follows": FOLLOWS, "followed_seeds": self.seeds, "stop_early": self.stop_early, "decay_form": self.decay_form,
                  "momentum_form": self.momentum_form} if own.measured else {}
        return json.dumps(shared | others | {
            "arm": arm, "config": own.config.as_dict(), "svag": own.svag, "seed": seed, "first_seed": self.seeds[0],
            "points": self.evaluation_points,
        }, sort_keys=True)

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON types; :meth:`from_dict` reads them back. What older plans did not have is left out where it is usual."""
        as_they_are = {name: getattr(self, name) for name in (
            "task", "task_version", "target_batch", "samples", "start", "warm_samples", "decay_form",
            "evaluations", "device", "momentum_form", "correct_lr", "reuse", "stop_early", "size")}
        return as_they_are | {
            "base": self.base.as_dict(),
            "arms": [arm.as_dict() for arm in self.arms],
            "seeds": list(self.seeds),
        } | ({} if self.schedule == CONSTANT else {"schedule": str(self.schedule)}) | ({"go_on": True} if self.go_on else {}) | (
            {"own": self.own.as_dict()} if self.own else {})

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> CalibrationPlan:
        """The inverse of :meth:`as_dict`; raises FieldError for what is no plan, or one of a version that knows more."""
        try:
            return cls(**{**data, "base": TrainingConfig.from_dict(data["base"]), "seeds": tuple(_listed("seeds", data["seeds"])),
                          "schedule": schedule(data.get("schedule", str(CONSTANT))),
                          "own": OwnFile.from_dict(data["own"]) if data.get("own") else None,
                          "arms": tuple(Arm.from_dict(arm) for arm in _listed("arms", data["arms"]))})
        except FieldError:
            raise
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            raise FieldError("plan", list(data) if isinstance(data, Mapping) else data,
                             f"is not a plan of this version of sqrtscale ({shown(error)}): use the one that wrote it") from error


def make_plan(
    task_name: str, base: TrainingConfig, target_batch: int, *, arms: Iterable[str] | None = None,
    targets: Iterable[int] = (), seeds: int | None = None, samples: int | None = None, start: Start = "warm",
    warm_samples: int | None = None, decay_form: DecayForm = "linear", device: str = "auto",
    momentum_form: MomentumForm = "kept", correct_lr: bool = False, reuse: bool = True, stop_early: bool = False,
    size: str = SMALLEST, schedule: Schedule = CONSTANT, evaluations: int | None = None, go_on: bool = False,
) -> CalibrationPlan:
    """A plan from a few choices; what is left out takes the task's default.

    arms: names as :func:`sqrtscale.arms.make_arm` knows them, base and scaled being always there, ``default_arms`` if left out;
    targets: more target batches for the full rule, each an arm ``scaled 2x``; seeds: how many (0, 1, ...); samples and
    warm_samples are rounded up to whole batches of every arm. Raises FieldError for what cannot be run.
    """
    about = task(task_name)
    task_name, defaults = about.name, about.defaults
    base = about.grouped(base) if isinstance(about, OwnTask) else base
    targets = [whole("targets", target, 1, 64) for target in _listed("targets", targets)]
    _check_fits(task_name, base.batch_size, whole("target_batch", target_batch, 1, 64), *targets)
    scaled = scale(base, target_batch, decay_form, momentum_form, correct_lr)
    seeds = whole("seeds", defaults.seeds if seeds is None else seeds, 1, 3, MOST_SEEDS)
    samples = whole("samples", defaults.samples if samples is None else samples, 1, defaults.samples)
    warm = 0
    if choice("start", start, STARTS) == "warm":
        warm = whole("warm_samples", defaults.warm_samples if warm_samples is None else warm_samples, 1, defaults.warm_samples)
    names = default_arms(scaled) if arms is None else arms
    further = [frontier_name(Fraction(batch, base.batch_size)) for batch in targets if batch != scaled.target_batch]
    chosen = _in_order(make_arm(name, scaled) for name in ("base", "scaled", *further, *_listed("arms", names)))
    unit = math.lcm(*(arm.config.batch_size for arm in chosen))
    if unit > samples and len({arm.config.batch_size for arm in chosen}) > 2:
        raise FieldError("targets", ", ".join(sorted({str(arm.config.batch_size) for arm in chosen}, key=int)),
                         f"stand on whole steps together only every {unit} samples: give batch sizes that divide each other, "
                         f"for example {2 * base.batch_size} and {4 * base.batch_size}, or more samples")
    return CalibrationPlan(
        task=task_name, base=base, target_batch=scaled.target_batch, arms=chosen, seeds=tuple(range(seeds)),
        samples=rounded_up(samples, unit), start=start, warm_samples=rounded_up(warm, base.batch_size), decay_form=decay_form,
        device=device, momentum_form=momentum_form, correct_lr=correct_lr, reuse=reuse, stop_early=stop_early,
        size=size, schedule=schedule, go_on=go_on,
        evaluations=defaults.evaluations if evaluations is None else evaluations,
    )


def _check_checkpoint(checkpoint: Checkpoint | None, base: TrainingConfig) -> None:
    """Raise FieldError where there is none to branch from, or another optimizer's state in it."""
    if checkpoint is None:
        raise FieldError("start", "checkpoint", 'needs one: name it in the file of the task, CHECKPOINT = "last.pt", and add the '
                                                "task again, or give it by --checkpoint")
    if not checkpoint.suits(base.optimizer):
        raise FieldError("optimizer", base.optimizer, f"cannot go on with the state of {checkpoint.optimizer} in "
                                                      f"{checkpoint.path}: give {checkpoint.optimizer}")


def _in_order(arms: Iterable[Arm]) -> tuple[Arm, ...]:
    """Each arm once: base, scaled, the rule at other batches by these, the kinds in their own order, then the others."""
    order = list(KINDS)

    def place(arm: Arm) -> tuple[int, int]:
        if arm.name in KINDS:
            return order.index(arm.name), 0
        return (order.index("scaled"), arm.config.batch_size) if arm.group == "rule" else (len(order), 0)

    return tuple(sorted({arm.name: arm for arm in arms}.values(), key=place))


def _listed(field: str, values: object) -> list[Any]:
    if not isinstance(values, Iterable) or isinstance(values, (str, bytes, Mapping)):
        raise FieldError(field, values, "is not a list: give a list of them, also where it is only one")
    return list(values)


def _check_fits(task_name: str, base_batch: int, target_batch: int, *targets: int) -> None:
    """Raise FieldError for a batch larger than the task's training data, or not made of its whole micro-batches."""
    most, micro = task(task_name).train_size, task(task_name).micro or 1
    for name, value in (("batch_size", base_batch), ("target_batch", target_batch), *(("targets", target) for target in targets)):
        if value > most:
            raise FieldError(name, value, f"is more than the {most} training samples of task {task_name}: "
                                          f"give at most {most}")
        if value % micro:
            raise FieldError(name, value, f"is not made of whole micro-batches of {micro}, over which task {task_name} takes its "
                                          f"statistics: give a multiple of {micro}")
