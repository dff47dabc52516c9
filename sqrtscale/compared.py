"""What a stored comparison compares: a calibration's plan (``plan.py``) says it, or ``ImportedPlan`` where others trained.

Pure data, no pandas: the store keeps it, judging, reports and pages read it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, Protocol, get_args

from .rules import FieldError
from .rules.config import LARGEST_BATCH
from .rules.errors import choice, positive_margin, shown, whole
from .tasks import Metric

MEASURED = ("noise", "signal", "noise_pre", "signal_pre", "second_moment", "clipped")  # by a NoiseMeter, beside the metric
NO_ARMS = ("warm start",)  # runs of a calibration that are no arm
LONGEST_NAME = 80  # characters of an arm, a metric; what the store keeps
Values = Literal["evaluation", "window", "batch"]
VALUES: Mapping[Values, str] = {
    "evaluation": "evaluations at the points where they stand",
    "window": "training losses, each the mean over the steps since the one before",
    "batch": "training losses of single batches",
}
Axis = Literal["steps", "samples", "tokens"]
AXES: tuple[Axis, ...] = get_args(Axis)
ImportedGroup = Literal["base", "rule", "control"]
CONTROLS = ("linear", "linear lr", "unscaled", "same", "sqrt lr")  # names that an arm has which should differ from base


class ComparedArm(Protocol):
    """One configuration under comparison."""

    @property
    def name(self) -> str: ...

    @property
    def group(self) -> str:
        """base, rule, control, or another one of ``arms.GROUPS``."""

    @property
    def batch_size(self) -> int:
        """Its global batch size."""


class Compared(Protocol):
    """What is compared with what, in which metric.

    kind: calibration or imported; metrics: by name, in the order shown; judged: the name of the one that the verdict is about;
    rule: the arm that follows the rule at the target batch; margin: the one that was chosen with it, None for the default;
    paired: whether runs of the same seed saw the same samples; warm_samples: before the arms began; counted: what the curves
    count, samples or tokens.
    """

    @property
    def kind(self) -> str: ...

    @property
    def base_batch(self) -> int: ...

    @property
    def target_batch(self) -> int: ...

    @property
    def arms(self) -> Sequence[ComparedArm]: ...

    @property
    def seeds(self) -> tuple[int, ...]: ...

    @property
    def metrics(self) -> Mapping[str, Metric]: ...

    @property
    def judged(self) -> str: ...

    @property
    def rule(self) -> str: ...

    @property
    def margin(self) -> float | None: ...

    @property
    def paired(self) -> bool: ...

    @property
    def warm_samples(self) -> int: ...

    @property
    def counted(self) -> str: ...

    @property
    def subject(self) -> str:
        """What was trained, in a word or two."""

    @property
    def looks(self) -> tuple[int, ...]:
        """After how many seeds it is judged."""

    @property
    def frontier(self) -> tuple[tuple[float, str], ...]:
        """(kappa, arm) of the rule at each target batch, smallest kappa first."""

    @property
    def evaluation_points(self) -> tuple[int, ...]:
        """Where every run is going to be measured, empty where nobody knows."""

    def batch_of(self, arm: str) -> int:
        """The global batch size of that arm."""

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON types."""


@dataclass(frozen=True)
class LogFile:
    """A file that a run was read from: its name, its SHA-256, and the key of its reader."""

    name: str
    sha256: str
    reader: str


@dataclass(frozen=True)
class ImportedArm:
    """An arm that was trained elsewhere; group: what it is for, ``control`` if it should differ from base."""

    name: str
    batch_size: int
    group: ImportedGroup


@dataclass(frozen=True)
class ImportedRun:
    """A run that was trained elsewhere.

    seed: what pairs it with a run of another arm where these are paired, else its place among its arm's; name: as its log has it;
    resumed_at: where it went back and on again, on the axis of the log.
    """

    arm: str
    seed: int
    name: str
    files: tuple[LogFile, ...]
    resumed_at: tuple[float, ...] = ()


@dataclass(frozen=True)
class ImportedPlan:
    """Curves that were logged elsewhere, and what somebody answered who knows how they came about.

    metric: its name in the logs; values: what one of them is; axis: what the logs count (steps are turned into samples by the
    arm's batch); since: samples (or tokens) at which the comparison begins, of which the curves then count; margin: in the
    metric's unit, None for the default one. Raises FieldError for what cannot be compared.
    """

    metric: str
    arms: tuple[ImportedArm, ...]
    runs: tuple[ImportedRun, ...]
    axis: Axis
    values: Values
    paired: bool = False
    margin: float | None = None
    since: int = 0

    kind = "imported"

    def __post_init__(self) -> None:
        _name("metric", self.metric, MEASURED)
        choice("x", self.axis, AXES)
        choice("values", self.values, tuple(VALUES))
        names = [arm.name for arm in self.arms]
        if len(set(names)) < len(names):
            raise FieldError("arms", ", ".join(names), "has a name twice: give every arm its own")
        if [arm.group for arm in self.arms].count("base") != 1 or "base" not in names:
            raise FieldError("arms", ", ".join(names), "has not one base: name the arm that the others are held against base")
        for arm in self.arms:
            _name("arms", arm.name, NO_ARMS)
            choice("group", arm.group, get_args(ImportedGroup))
            whole("batch_size", arm.batch_size, 1, 256, LARGEST_BATCH)
            if not any(run.arm == arm.name for run in self.runs):
                raise FieldError("runs", arm.name, "is an arm without a run: give the logs of at least one")
        if not any(arm.group == "rule" for arm in self.arms):
            raise FieldError("arms", ", ".join(names), "has none to judge: give the logs of the scaled runs")
        labels = [(run.arm, run.seed) for run in self.runs]
        if len(set(labels)) < len(labels) or not {run.arm for run in self.runs} <= set(names):
            raise FieldError("runs", ", ".join(run.name for run in self.runs), "cannot be told apart: give every run of an arm a "
                                                                               "seed of its own")
        whole("from_samples", self.since, 0, 0)
        if self.margin is not None:
            positive_margin(self.margin)

    @property
    def base_batch(self) -> int:
        """The global batch size of base."""
        return self.batch_of("base")

    @property
    def target_batch(self) -> int:
        """The global batch size of the arm that follows the rule."""
        return self.batch_of(self.rule)

    @property
    def rule(self) -> str:
        """The arm called scaled, else the first one that is no control."""
        names = [arm.name for arm in self.arms if arm.group == "rule"]
        return "scaled" if "scaled" in names else names[0]

    @property
    def seeds(self) -> tuple[int, ...]:
        """Of all runs, each once."""
        return tuple(sorted({run.seed for run in self.runs}))

    @property
    def metrics(self) -> dict[str, Metric]:
        """The one that was imported; its unit is not known, so its name stands for it."""
        split: Literal["validation", "train"] = "validation" if self.values == "evaluation" else "train"
        return {self.metric: Metric(self.metric, self.metric, split, self.metric)}

    @property
    def judged(self) -> str:
        """The metric."""
        return self.metric

    @property
    def counted(self) -> str:
        """What the curves count."""
        return "tokens" if self.axis == "tokens" else "samples"

    @property
    def subject(self) -> str:
        """What was trained is not known."""
        return "imported"

    @property
    def warm_samples(self) -> int:
        """What was left out at the beginning."""
        return self.since

    @property
    def looks(self) -> tuple[int, ...]:
        """Judged once."""
        return (len(self.seeds),)

    @property
    def evaluation_points(self) -> tuple[int, ...]:
        """Not known, and not needed: it has ended."""
        return ()

    @property
    def frontier(self) -> tuple[tuple[float, str], ...]:
        """(kappa, arm) of the rule at each batch, smallest kappa first; where several arms have one, ``rule`` or the first."""
        names = {arm.batch_size: arm.name for arm in reversed(self.arms) if arm.group == "rule"} | {self.target_batch: self.rule}
        return tuple(sorted((batch / self.base_batch, name) for batch, name in names.items()))

    def batch_of(self, arm: str) -> int:
        """The global batch size of that arm."""
        return next(known.batch_size for known in self.arms if known.name == arm)

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON types; :meth:`from_dict` reads them back."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ImportedPlan:
        """The inverse of :meth:`as_dict`; raises FieldError for what is none of this version."""
        try:
            runs = (ImportedRun(**{**run, "files": tuple(LogFile(**file) for file in run["files"]),
                                   "resumed_at": tuple(run["resumed_at"])}) for run in data["runs"])
            return cls(**{**data, "arms": tuple(ImportedArm(**arm) for arm in data["arms"]), "runs": tuple(runs)})
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            if isinstance(error, FieldError):
                raise
            raise FieldError("plan", list(data) if isinstance(data, Mapping) else data,
                             f"is no imported comparison of this version of sqrtscale ({shown(error)}): use the one that wrote "
                             "it") from error


def _name(field: str, name: object, reserved: tuple[str, ...]) -> None:
    if not isinstance(name, str) or not 0 < len(name) <= LONGEST_NAME or not name.isprintable():
        raise FieldError(field, name, f"is no name that can be kept: give 1 to {LONGEST_NAME} printable characters, in the logs "
                                      "if need be")
    if name in reserved:
        raise FieldError(field, name, "has a meaning of its own here: give another name, in the logs if need be")
