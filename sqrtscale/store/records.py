"""What the store hands out: frozen records, so that no page holds a database session."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from ..compared import Compared, ImportedPlan
from ..plan import CalibrationPlan
from ..rules import FieldError, TrainingConfig
from ..tasks import without_version
from .connect import Damaged
from .models import Calibration, Run, Spread
from .states import FINAL_STATES

JUDGING = 1  # raised where what is kept of a verdict changes: lists then judge again what was judged before
CALIBRATION, IMPORTED = "calibration", "imported"  # kinds of a row
COURSE = 24  # numbers of a course at most


def title(name: str, subject: str, base_batch: int, target_batch: int) -> str:
    """What a calibration or an imported comparison is called: its own name, or what it compares."""
    return name or f"{subject}: batch {base_batch} → {target_batch}"


@dataclass(frozen=True)
class Result:
    """What lists show of the verdict on the full rule at the target batch, by the default margin.

    outcome, answer: in a word or two and in a sentence, both empty until it was judged, outcome also where there was nothing to
    compare; difference, low, high: of scaled - base at the end, with the interval of the test, and the margin it was held
    against, in the unit of what the task judges (None without a pair, an interval of one pair is infinite); noise_scale,
    noise_low, noise_high: of the base arm in samples, with its interval (None where it was not measured); course: the mean
    difference over samples, from the branch point on, in at most COURSE numbers.
    """

    outcome: str = ""
    answer: str = ""
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    margin: float | None = None
    noise_scale: float | None = None
    noise_low: float | None = None
    noise_high: float | None = None
    course: tuple[float, ...] = ()

    @property
    def result(self) -> Result:
        """These fields alone, also of what has more."""
        return Result(**{field.name: getattr(self, field.name) for field in fields(Result)})


@dataclass(frozen=True)
class RunRecord:
    """One arm with one seed. final: last value of each metric; best: lowest loss, highest accuracy.

    config: of a run that was trained here; executor: the name of what carried its steps out; empty where that is not known, or
    before it began.
    """

    arm: str
    seed: int
    state: str
    reason: str
    config: TrainingConfig | None
    executor: str
    final: dict[str, float]
    best: dict[str, float]


@dataclass(frozen=True, kw_only=True)
class Record(Result):
    """One calibration or imported comparison, whole. Times are aware and in UTC; done and total are samples over all runs.

    resume_after_restart: whether its user chose that it goes on by itself where a restart of the machine interrupts it.
    """

    id: str
    name: str
    note: str
    note_version: int
    state: str
    reason: str
    plan: Compared
    environment: dict[str, Any]
    judging: int
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    deleted_at: datetime | None
    cancel_requested_at: datetime | None
    heartbeat_at: datetime | None
    phase: str
    done: int
    total: int
    samples_per_second: float | None
    device: str
    host: str
    boot_id: str
    pid: int | None
    pid_started: str
    resume_after_restart: bool
    runs: tuple[RunRecord, ...]

    @property
    def title(self) -> str:
        """What it is called."""
        return title(self.name, without_version(self.plan.subject), self.plan.base_batch, self.plan.target_batch)

    @property
    def progress(self) -> float:
        """Share of the samples that are done, 0 to 1."""
        return self.done / self.total if self.total else float(self.state == "DONE")

    @property
    def final(self) -> bool:
        """True when nothing more will happen to it."""
        return self.state in FINAL_STATES

    @property
    def judged(self) -> bool:
        """True where what lists show of its verdict is of today's kind."""
        return self.judging >= JUDGING

    @property
    def executors(self) -> str:
        """Every name of what carried out its runs' steps, as a rule one; empty where nobody noted it."""
        return ", ".join(dict.fromkeys(run.executor for run in self.runs if run.executor))


@dataclass(frozen=True, kw_only=True)
class CalibrationRecord(Record):
    """What was trained here, or is going to be."""

    plan: CalibrationPlan


@dataclass(frozen=True, kw_only=True)
class ImportedRecord(Record):
    """What was trained elsewhere; environment: ``notes``, what was done to the curves, a sentence each."""

    plan: ImportedPlan


def record_of(row: Calibration, runs: Iterable[Run]) -> CalibrationRecord | ImportedRecord:
    """The record of a row and its runs; raises FieldError for a plan that this version refuses."""
    columns = {name: getattr(row, name) for name in Record.__dataclass_fields__ if name not in ("plan", "runs")}
    runs = list(runs)
    for field, value in (("plan", row.plan), *((f"configuration of {run.arm}", run.config) for run in runs)):
        if isinstance(value, Damaged):
            raise FieldError(f"{field} of calibration {row.id}", "", "is damaged: restore the database from a backup")
    columns["runs"] = tuple(
        RunRecord(run.arm, run.seed, run.state, run.reason, TrainingConfig.from_dict(run.config) if run.config else None,
                  run.executor, run.final, run.best)
        for run in runs)
    if row.kind == IMPORTED:
        return ImportedRecord(**columns, plan=ImportedPlan.from_dict(row.plan))
    return CalibrationRecord(**columns, plan=CalibrationPlan.from_dict(row.plan))


@dataclass(frozen=True)
class Unreadable:
    """A calibration that has not ended and cannot be trained from here, and why: its task is gone, or its plan is refused."""

    id: str
    state: str
    created_at: datetime
    heartbeat_at: datetime | None
    host: str
    boot_id: str
    pid: int | None
    pid_started: str
    reason: str

    @classmethod
    def of(cls, row: Calibration, reason: str) -> Unreadable:
        """What is known of a row all the same."""
        return cls(**{name: getattr(row, name) for name in cls.__dataclass_fields__ if name != "reason"},
                   reason=reason)


@dataclass(frozen=True, kw_only=True)
class CalibrationSummary(Result):
    """One line of a list. final: arm -> metric -> (mean, standard deviation, seeds), finite values only; lr, scaled_lr: of the
    arms base and scaled; tags: in order of the alphabet.
    """

    id: str
    kind: str
    name: str
    state: str
    reason: str
    task: str
    optimizer: str
    base_batch: int
    target_batch: int
    seeds: int
    start: str
    lr: float | None
    scaled_lr: float | None
    created_at: datetime
    ended_at: datetime | None
    deleted_at: datetime | None
    progress: float
    final: Spread
    tags: tuple[str, ...]

    @property
    def title(self) -> str:
        """What it is called."""
        return title(self.name, without_version(self.task), self.base_batch, self.target_batch)

    @property
    def kappa(self) -> float:
        """Target batch over base batch."""
        return self.target_batch / self.base_batch


def ends(runs: Iterable[tuple[str, Mapping[str, float]]]) -> Spread:
    """arm -> metric -> spread of the last values, from (arm, metric -> last value) of every run, in that order."""
    values: dict[str, dict[str, list[float]]] = {}
    for arm, final in runs:
        for metric, value in final.items():
            values.setdefault(arm, {}).setdefault(metric, []).append(value)
    return {arm: {metric: spread(numbers) for metric, numbers in metrics.items()} for arm, metrics in values.items()}


def spread(values: list[float]) -> tuple[float, float, int]:
    """Mean, standard deviation (NaN below two) and number of the finite values."""
    finite = [value for value in values if math.isfinite(value)]
    if not finite:
        return math.nan, math.nan, 0
    # Neither sum may raise an overflow: a loss may be as large as a number can be before its run counts as diverged.
    count, mean = len(finite), math.fsum(value / len(finite) for value in finite)
    squares = sum((value - mean) * (value - mean) for value in finite)
    std = math.sqrt(squares / (count - 1)) if count > 1 else math.nan
    return mean, std, count
