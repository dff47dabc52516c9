"""The verdicts on a stored calibration or imported comparison: its plan says what each arm is to be held against."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from itertools import takewhile
from typing import NamedTuple

import numpy as np
import pandas as pd
from sqlalchemy.exc import SQLAlchemyError

from .. import evidence
from ..arms import FOLLOWING
from ..evidence import Comparison, Looks, Outcome, Regime, Verdict, judge
from ..imported import on_common_points
from ..plan import WARM_START
from ..schedules import CONSTANT
from ..store import CalibrationRecord, ImportedRecord, NotFound, Record, Result, Store
from ..store.records import COURSE, JUDGING

NO_TEST = "not trained, because no arm could test the rule: the signal dominates at the branch point"  # the reason of such runs
USUAL_LEVEL = 0.05
NOT_OF_THE_RULE = ("base", "svag", "noise-aware")  # groups of arms that test something whatever dominates the gradient


def comparable(store: Store, record: Record) -> pd.DataFrame:
    """The stored curves as everything here takes them; raises DamagedChunk.

    Those of a calibration as they are, those that were imported on points that all runs have.
    """
    curves = store.curves(record.id)
    return on_common_points(curves, record.plan) if isinstance(record, ImportedRecord) else curves


def verdicts(record: Record, curves: pd.DataFrame, margin: float | None = None,
             measured: Mapping[str, Regime] | None = None) -> dict[str, Verdict]:
    """Every arm against base, each with the regime at its own batch; empty before anything was measured.

    curves: as ``comparable`` gives them; margin: in the unit of the judged metric, or None for the plan's own or the default
    one; measured: what ``regimes`` gave, where it was asked before. Raises FieldError.
    """
    plan, arms = record.plan, curves[curves["arm"] != WARM_START]
    metric = plan.metrics[plan.judged]
    if not (arms["metric"] == plan.judged).any():
        return {}
    controls = frozenset(arm.name for arm in plan.arms if arm.group == "control")
    comparison = Comparison(plan.judged, metric.unit, metric.margin, controls=controls, paired=plan.paired,
                            counted=plan.counted)
    judged = judge(arms, comparison, margin=plan.margin if margin is None else margin,
                   regime=regimes(record, curves) if measured is None else measured, level=level(record))
    if not isinstance(record, CalibrationRecord):
        return judged
    if record.plan.schedule == CONSTANT:
        judged = evidence.with_curvature(judged, arms, {arm.name: arm.config for arm in record.plan.arms if not arm.measured})
    return evidence.with_skipped(judged, arms)


def level(record: Record) -> float | None:
    """The level of the tests at the look that has been reached; None where all seeds are judged once."""
    if len(record.plan.looks) == 1:
        return None
    looks = Looks(record.plan.looks)
    ended = Counter(run.arm for run in record.runs if run.state in ("DONE", "DIVERGED"))
    fewest = min(ended[arm.name] for arm in record.plan.arms)
    return looks.levels()[looks.look(fewest) or 0]


def was_stopped(record: Record) -> bool:
    """Whether it ended at its branch point, where no arm could become a test of the rule."""
    return any(run.state == "SKIPPED" and run.reason == NO_TEST for run in record.runs)


def stopped_early(record: Record) -> str:
    """That runs were left out because the verdict was clear without them, in a sentence; "" where none were."""
    skipped = [run for run in record.runs if run.state == "SKIPPED"]
    if not skipped:
        return ""
    if was_stopped(record):
        rest = "the others" if any(run.state == "DONE" and run.arm != WARM_START for run in record.runs) else "the arms"
        where = "after the warm start" if record.plan.warm_samples else "at the branch point"
        return (f"It was stopped {where}: the noise scale measured lies so far below the batch that no arm of the "
                f"rule would have become a test of it, so {rest} were not trained.")
    left, count = len({run.seed for run in skipped}), len(record.plan.seeds)
    return (f"Every verdict was clear after {count - left} seeds, so the other {left} of at most {count} were not "
            "trained. Judging several times shares one error rate, so that it makes no more wrong verdicts.")


def never_a_test(record: CalibrationRecord, curves: pd.DataFrame) -> bool:
    """Whether no arm of the rule will be a test at the end, from what was measured when the arms branched from a warm start.

    Not from scratch: the noise scale of the initial weights says nothing about later, and often lies a hundred times lower.
    Base runs that are stored whole, taken from another calibration, say what the end will; else the batch has to lie above
    the noise scale by what it might still grow (:meth:`sqrtscale.evidence.Regime.stays_signal`).
    """
    plan = record.plan
    if plan.start == "scratch" or any(arm.group == "noise-aware" for arm in plan.arms):
        return False
    measured = regimes(record, curves)
    whole = all(run.state == "DONE" for run in record.runs if run.arm == "base")
    return all(name in measured and (measured[name].dominated == "signal" if whole
                                     else measured[name].stays_signal(plan.age, plan.samples))
               for _, name in plan.frontier)


def sentences(verdicts: Mapping[str, Verdict]) -> tuple[str, ...]:
    """What is said of every arm, in Markdown; nothing of those that have no curve to compare."""
    return tuple(verdict.sentence for verdict in verdicts.values() if verdict.reason != "no pairs")


def decided(verdicts: Mapping[str, Verdict]) -> bool:
    """True where more seeds are not needed: every arm is told, or the signal dominates, which seeds do not change."""
    return bool(verdicts) and all(verdict.outcome in ("matches", "differs") or verdict.reason == "signal dominates"
                                  for verdict in verdicts.values())


def judged(store: Store, record: Record) -> Record:
    """The record with its verdict by the default margin, as :func:`keep` stores it; raises DamagedChunk."""
    curves = comparable(store, record)
    measured = regimes(record, curves)
    judged = verdicts(record, curves, measured=measured)
    return keep(store, record, judged, measured, differences(record, curves, judged))


def catch_up(store: Store, seconds: float) -> int:
    """Judge what has ended and is not judged as today, newest first, for about so long; returns how many still wait.

    Calibrations of an earlier version, and what was cancelled or failed, come into lists and library that way. What cannot be
    judged keeps the verdict that it has. None wait where verdicts cannot be stored: it would judge the same again for ever.
    """
    until = time.monotonic() + seconds
    waiting = store.unjudged()
    while waiting and time.monotonic() < until:
        id = waiting[0]
        try:
            judged(store, store.record(id))
        except ValueError:  # its curves are damaged, its task is gone, its plan is refused, or nobody can judge it
            _store(store, id)
        except NotFound:  # removed for good meanwhile
            pass
        waiting = store.unjudged()
        if id in waiting:
            return 0
    return len(waiting)


def differences(record: Record, curves: pd.DataFrame, verdicts: Mapping[str, Verdict]) -> pd.DataFrame:
    """The differences to base over samples, with intervals of the level that the verdicts were tested at."""
    arms = curves[curves["arm"] != WARM_START]
    return evidence.differences_over_samples(arms, record.plan.judged, tested_at(verdicts), paired=record.plan.paired)


def tested_at(verdicts: Mapping[str, Verdict]) -> float:
    """The level of the verdicts' tests; the usual one where nothing was tested."""
    return next((test.level for verdict in verdicts.values() for test in verdict.functionals), USUAL_LEVEL)


def headline(record: Record, verdicts: Mapping[str, Verdict]) -> str:
    """The first line of the result, about the target batch: arms at other batches have their own sentences."""
    plan = record.plan
    at_target = {arm: verdict for arm, verdict in verdicts.items() if plan.batch_of(arm) == plan.target_batch}
    others = (evidence.of_another_transfer(at_target[arm.name], _transfer(arm.name)) for arm in plan.arms
              if arm.group == "noise-aware" and arm.name in at_target)
    return " ".join(filter(None, [evidence.headline(at_target, plan.rule), *others]))


def _transfer(arm: str) -> str:
    given = arm.removeprefix("noise-aware ").replace(" ", ", ")
    return f"The noise-aware transfer (noise scale {'as measured' if arm.startswith(FOLLOWING) else given})"


def keep(store: Store, record: Record, verdicts: Mapping[str, Verdict], measured: Mapping[str, Regime],
         differences: pd.DataFrame) -> Record:
    """Store what lists show of the verdicts, where that is not what they show already; returns the record with it.

    The outcome is that of the full rule at the target batch, "" where there is nothing to compare; the answer has the frontier.
    measured, differences: what ``regimes`` and :func:`differences` gave.
    """
    rule = record.plan.rule
    scaled = verdicts.get(rule)
    result = Result(
        outcome=scaled.outcome if scaled and scaled.told else "",
        answer=" ".join(filter(None, [headline(record, verdicts), frontier(record, verdicts)])),
        **(_end(scaled) if scaled else {}), **(_noise(measured[rule]) if rule in measured else {}),
        course=_course(differences[differences["arm"] == rule]["difference"].to_numpy(float)))
    if result != record.result or not record.judged:
        _store(store, record.id, result)
    return replace(record, **vars(result), judging=JUDGING)


def _store(store: Store, id: str, result: Result | None = None) -> None:
    # Read-only, locked or full: it is shown all the same, and stored another time. Not found: removed for good meanwhile.
    with suppress(SQLAlchemyError, NotFound):
        store.set_verdict(id, result)


def _end(verdict: Verdict) -> dict[str, float | None]:
    end = verdict.end
    if end is None:
        return {}
    return {"difference": _number(end.difference), "low": _number(end.low), "high": _number(end.high),
            "margin": _number(verdict.margin.value)}


def _noise(regime: Regime) -> dict[str, float | None]:
    return {"noise_scale": _number(regime.noise_scale), "noise_low": _number(regime.low), "noise_high": _number(regime.high)}


def _number(value: float) -> float | None:
    """As the databases keep it: what is not a number is nothing."""
    return None if math.isnan(value) else float(value)


def _course(differences: np.ndarray) -> tuple[float, ...]:
    """The means of COURSE equal parts, or every point where there are fewer, in four digits; nothing of what overflowed."""
    parts = np.array_split(differences, min(COURSE, len(differences)) or 1)
    return tuple(float(f"{part.mean():.4g}") for part in parts) if np.isfinite(differences).all() and len(differences) else ()


class Tried(NamedTuple):
    """A target batch at which the full rule was compared with base, and what came out."""

    kappa: float
    batch: int
    outcome: Outcome


def frontier(record: Record, verdicts: Mapping[str, Verdict]) -> str:
    """How far one can go, in a sentence: the last batch, up and down, to which every batch tried on the way matches.

    "" where only one target was tried.
    """
    plan = record.plan
    tried = [Tried(kappa, plan.batch_of(name), verdicts[name].outcome) for kappa, name in plan.frontier
             if name in verdicts]
    if len(tried) < 2:
        return ""
    up = [target for target in tried if target.kappa > 1]
    down = [target for target in reversed(tried) if target.kappa < 1]
    parts = [_reach(targets, direction) for targets, direction in ((up, "up"), (down, "down")) if targets]
    return f"How far the rule goes here: {'; '.join(parts)}."


def _reach(targets: list[Tried], direction: str) -> str:
    """How far the rule goes in one direction; targets: nearest to the base first."""
    matching = list(takewhile(lambda target: target.outcome == "matches", targets))
    text = f"{direction} to kappa = {matching[-1].kappa:g} (batch {matching[-1].batch})" if matching else \
        f"{direction}wards no batch that was tried matches"
    if len(matching) == len(targets):
        return f"{text}, the furthest that was tried"
    failing = targets[len(matching)]
    return f"{text}, while batch {failing.batch} comes out as “{failing.outcome}”"


def regimes(record: Record, curves: pd.DataFrame) -> dict[str, Regime]:
    """Arm -> what dominates the gradient between the base batch and that arm's; without those that were not measured.

    None where only the initial weights were: their noise scale says nothing of a training.
    """
    arms = curves[curves["arm"] != WARM_START]
    plan = record.plan
    branched = plan.warm_samples or (isinstance(record, CalibrationRecord) and record.plan.checkpoint)
    if not branched and not (arms["samples"] > 0).any():
        return {}
    batches = {arm.name: arm.batch_size for arm in plan.arms if arm.group not in NOT_OF_THE_RULE}
    return evidence.regimes(arms, plan.base_batch, batches)
