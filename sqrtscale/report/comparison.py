"""Calibrations and imported comparisons side by side: a line for each, and their courses in one table that is ready to draw."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd

from ..evidence import Regime, Verdict, differences_over_samples
from ..evidence.judging import default_margin
from ..evidence.pairing import runs_of
from ..plan import WARM_START, CalibrationPlan
from ..rules import FieldError, family
from ..rules.errors import shown
from ..store import DamagedChunk, NotFound, Record, Store
from ..store.text import as_cells
from ..tasks import Metric, task
from .judging import comparable, regimes, tested_at, verdicts

RULE = "scaled"  # stands for the arm that a line is about, whatever its name
JUDGED = "judged"  # stands for the metric that each calibration's own task judges
Axis = Literal["samples", "steps", "epochs"]
AXES: tuple[Axis, ...] = get_args(Axis)
COLUMNS = ["place", "arm", "x", "value", "low", "high", "seeds", "diverged"]
NO_CURVES = pd.DataFrame({"arm": np.empty(0, object), "seed": np.empty(0, int), "metric": np.empty(0, object),
                          "samples": np.empty(0, int), "value": np.empty(0)})


@dataclass(frozen=True)
class Member:
    """A calibration, or an imported comparison, among others.

    curves: of its arms, without the warm start, the arm that follows the rule being called RULE; verdicts: by arm, empty until
    it has ended; regime: what dominates the gradient at its target batch, None where that was not measured.
    """

    record: Record
    curves: pd.DataFrame
    verdicts: dict[str, Verdict]
    regime: Regime | None

    @property
    def title(self) -> str:
        """Its own name, or what it does."""
        return self.record.title

    def name_of(self, metric: str) -> str:
        """The metric's name here, where ``metric`` may be JUDGED."""
        return self.record.plan.judged if metric == JUDGED else metric

    def metric(self, name: str) -> Metric:
        """What the metric of that name, or JUDGED, is here."""
        return self.record.plan.metrics[self.name_of(name)]

    def margin(self, metric: str) -> float:
        """Its margin in that metric, as the verdict has it where that metric is judged; NaN before anything was measured."""
        if self.record.plan.margin is not None:
            return self.record.plan.margin
        base = runs_of(self.curves, self.name_of(metric), "base")
        about = self.metric(metric)
        return math.nan if base.empty else default_margin(base, about.unit, about.margin).value

    def per_unit(self, arm: str, axis: Axis) -> Fraction | None:
        """Samples for each unit of the axis: one, a step of that arm, or the training samples of the task.

        None where that is not known: what was imported knows no epochs, and over tokens no steps.
        """
        plan = self.record.plan
        if axis == "samples":
            return Fraction(1)
        if isinstance(plan, CalibrationPlan):
            return plan.arm(arm).samples_per_step if axis == "steps" else Fraction(task(plan.task).train_size)
        known = axis == "steps" and plan.counted == "samples"
        return Fraction(plan.batch_of(plan.rule if arm == RULE else arm)) if known else None

    @property
    def diverged(self) -> frozenset[str]:
        """Its arms with a run that diverged."""
        return frozenset(run.arm for run in self.record.runs if run.state == "DIVERGED")


@dataclass(frozen=True)
class Row:
    """One line a calibration or imported comparison: what was tried, and what came out for the full rule at the target batch.

    difference, low, high: at the end, in ``unit``, with the interval of the test; margin: what they are held against;
    noise_scale: in samples; seeds: that were compared. None, and outcome "", where there is nothing to tell, now or ever;
    what nobody knows of an imported one is "" or None.
    """

    id: str
    name: str
    state: str
    task: str
    size: str
    optimizer: str
    base_batch: int
    target_batch: int
    kappa: float
    lr: float | None
    scaled_lr: float | None
    outcome: str
    difference: float | None
    low: float | None
    high: float | None
    margin: float | None
    unit: str
    noise_scale: float | None
    seeds: int | None

    @classmethod
    def of(cls, member: Member) -> Row:
        """The line of a calibration."""
        record, plan, verdict = member.record, member.record.plan, member.verdicts.get(RULE)
        told = verdict if verdict and verdict.told else None
        end = told.end if told else None
        several = end is not None and end.pairs > 1
        trained: dict[str, Any] = {"size": "", "optimizer": "", "lr": None, "scaled_lr": None}
        if isinstance(plan, CalibrationPlan):
            named = len(task(plan.task).sizes) > 1
            trained = {"size": plan.size if named else "", "optimizer": family(plan.base.optimizer).label,
                       "lr": plan.base["lr"], "scaled_lr": plan.config_of(RULE)["lr"]}
        return cls(
            id=record.id, name=member.title, state=record.state, task=plan.subject, **trained, base_batch=plan.base_batch,
            target_batch=plan.target_batch, kappa=plan.target_batch / plan.base_batch,
            outcome=told.outcome if told else "", difference=end.difference if end else None,
            low=end.low if end and several else None, high=end.high if end and several else None,
            margin=told.margin.value if told else None, unit=member.metric(JUDGED).unit,
            noise_scale=member.regime.noise_scale if member.regime else None, seeds=told.pairs if told else None)


def member(record: Record, curves: pd.DataFrame) -> Member:
    """What is stored with its curves, as ``report.comparable`` gives them, ready to be compared."""
    arms = curves[curves["arm"] != WARM_START]
    measured = regimes(record, arms)
    judged = verdicts(record, arms, measured=measured) if record.final else {}
    rule = record.plan.rule
    if rule != RULE:
        arms = arms.assign(arm=arms["arm"].where(arms["arm"] != rule, RULE))
        judged = {RULE if arm == rule else arm: verdict for arm, verdict in judged.items()}
    return Member(record, arms, judged, measured.get(rule))


def stored_member(store: Store, record: Record) -> Member:
    """What is stored; raises DamagedChunk where its curves cannot be read."""
    return member(record, comparable(store, record))


def gather(store: Store, ids: Iterable[str], read: Callable[[Store, Record], Member] = stored_member,
           ) -> tuple[tuple[Member, ...], tuple[str, ...]]:
    """The calibrations of these ids, each once, and a sentence about each that cannot be shown, or not with its curves.

    read: what makes a member of a record, for those who keep what was read.
    """
    members, problems = [], []
    for id in dict.fromkeys(ids):
        try:
            record = store.record(id)
        except NotFound:
            problems.append(f"There is no calibration {shown(id)}: it may have been removed for good.")
            continue
        except FieldError as error:  # its task is gone, or today's rules refuse its plan
            problems.append(f"Calibration {id} cannot be shown by this version of sqrtscale: {error}.")
            continue
        try:
            members.append(read(store, record))
        except DamagedChunk as error:
            problems.append(f"The curves of calibration {id} cannot be read: {error}.")
            members.append(Member(record, NO_CURVES, {}, None))
    return tuple(members), tuple(problems)


def metrics(members: Sequence[Member]) -> tuple[dict[str, str], tuple[str, ...]]:
    """Name -> label of the metrics in which all can be compared, and the labels of those that only some have.

    Where they share none, each is compared in the metric that its own task judges.
    """
    known = [member.record.plan.metrics for member in members]
    shared = [name for name in known[0] if all(name in metrics for metrics in known)] if known else []
    left_out = dict.fromkeys(metric.label for metrics in known for name, metric in metrics.items() if name not in shared)
    labels = {name: known[0][name].label for name in shared}
    return labels or ({JUDGED: "What each one judges"} if known else {}), tuple(left_out)


def unit(members: Sequence[Member], metric: str) -> str:
    """The unit of a metric, in words where tasks have their own."""
    units = {member.metric(metric).unit for member in members}
    return units.pop() if len(units) == 1 else "each in its own unit"


def arms(members: Sequence[Member]) -> tuple[str, ...]:
    """The names of all arms, the full rule first and base second, the others in the order of the plans."""
    plans = [member.record.plan for member in members]
    return tuple(dict.fromkeys([RULE, "base", *(RULE if arm.name == plan.rule else arm.name for plan in plans
                                                for arm in plan.arms)]))


def differences(members: Sequence[Member], metric: str, chosen: Sequence[str], axis: Axis = "samples",
                in_margins: bool = False) -> pd.DataFrame:
    """The differences to base of the chosen arms at every point, the mean over paired seeds with its interval.

    Columns: place (of the calibration), arm, x, value, low, high (NaN for one pair), seeds, diverged (whether a run of the arm
    did); in the metric's unit, or in margins, each calibration's own.
    """
    tables = []
    for place, member in enumerate(members):
        curves = member.curves[member.curves["arm"].isin(["base", *chosen])]
        table = differences_over_samples(curves, member.name_of(metric), tested_at(member.verdicts),
                                         paired=member.record.plan.paired)
        table = table.rename(columns={"difference": "value", "pairs": "seeds"})
        if in_margins:
            table[["value", "low", "high"]] = table[["value", "low", "high"]].astype(float) / member.margin(metric)
        tables.append(_on_axis(table, member, place, axis))
    return _joined(tables)


def courses(members: Sequence[Member], metric: str, chosen: Sequence[str], axis: Axis = "samples") -> pd.DataFrame:
    """The mean over seeds of the chosen arms at every point, from the smallest to the largest; columns as in ``differences``.

    What is not finite is left out.
    """
    tables = []
    for place, member in enumerate(members):
        curves = member.curves
        curves = curves[curves["arm"].isin(chosen) & (curves["metric"] == member.name_of(metric)) & np.isfinite(curves["value"])]
        table = curves.groupby(["arm", "samples"], sort=False)["value"].agg(["mean", "min", "max", "count"]).reset_index()
        table = table.rename(columns={"mean": "value", "min": "low", "max": "high", "count": "seeds"})
        tables.append(_on_axis(table, member, place, axis))
    return _joined(tables)


def _on_axis(table: pd.DataFrame, member: Member, place: int, axis: Axis) -> pd.DataFrame:
    units = {arm: member.per_unit(arm, axis) for arm in dict.fromkeys(table["arm"])}
    per_unit = {arm: float(unit) for arm, unit in units.items() if unit is not None}
    table = table[table["arm"].isin(per_unit)]
    x = table["samples"].astype(float) / table["arm"].map(per_unit).astype(float)
    return table.assign(place=place, x=x, diverged=table["arm"].isin(member.diverged))[COLUMNS]


def _joined(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    kept = [table for table in tables if not table.empty]
    return pd.concat(kept, ignore_index=True) if kept else pd.DataFrame(columns=COLUMNS)


def csv(members: Sequence[Member]) -> str:
    """The lines of the calibrations as CSV, all digits."""
    return as_cells(pd.DataFrame([vars(Row.of(member)) for member in members])).to_csv(index=False, lineterminator="\n")
