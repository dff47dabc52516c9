"""The verdicts on a stored calibration: its plan says what each arm is to be held against."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from itertools import takewhile
from typing import NamedTuple

import pandas as pd
from sqlalchemy.exc import SQLAlchemyError

from .. import evidence
from ..evidence import Comparison, Looks, Outcome, Regime, Verdict, judge
from ..plan import WARM_START
from ..store import CalibrationRecord, Store
from ..tasks import task

NO_TEST = "not trained, because no arm could test the rule: the signal dominates at the branch point"  # the reason of such runs


def verdicts(record: CalibrationRecord, curves: pd.DataFrame, margin: float | None = None,
             measured: Mapping[str, Regime] | None = None) -> dict[str, Verdict]:
    """Every arm against base, each with the regime at its own batch; empty before anything was measured.

    curves: as ``store.curves`` gives them; margin: in the unit of the task's judged metric, or None for the default one;
    measured: what ``regimes`` gave, where it was asked before. Raises FieldError.
    """
    arms = curves[curves["arm"] != WARM_START]
    about = task(record.plan.task)
    metric = about.metrics[about.judged]
    if not (arms["metric"] == about.judged).any():
        return {}
    controls = frozenset(arm.name for arm in record.plan.arms if arm.group == "control")
    return judge(arms, Comparison(about.judged, metric.unit, metric.margin, controls=controls), margin=margin,
                 regime=regimes(record, curves) if measured is None else measured, level=level(record))


def level(record: CalibrationRecord) -> float | None:
    """The level of the tests at the look that has been reached; None where all seeds are judged once."""
    if len(record.plan.looks) == 1:
        return None
    looks = Looks(record.plan.looks)
    ended = Counter(run.arm for run in record.runs if run.state in ("DONE", "DIVERGED"))
    fewest = min(ended[arm.name] for arm in record.plan.arms)
    return looks.levels()[looks.look(fewest) or 0]


def was_stopped(record: CalibrationRecord) -> bool:
    """Whether it ended at its branch point, where no arm could become a test of the rule."""
    return any(run.state == "SKIPPED" and run.reason == NO_TEST for run in record.runs)


def stopped_early(record: CalibrationRecord) -> str:
    """That runs were left out because the verdict was clear without them, in a sentence; "" where none were."""
    skipped = [run for run in record.runs if run.state == "SKIPPED"]
    if not skipped:
        return ""
    if was_stopped(record):
        return ("It was stopped after the warm start: the noise scale measured there lies so far below the batch that no arm "
                "would have become a test of the rule, so the arms were not trained.")
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
    if plan.start != "warm":
        return False
    measured = regimes(record, curves)
    whole = all(run.state == "DONE" for run in record.runs if run.arm == "base")
    return all(name in measured and (measured[name].dominated == "signal" if whole
                                     else measured[name].stays_signal(plan.warm_samples, plan.samples))
               for _, name in plan.frontier)


def sentences(verdicts: Mapping[str, Verdict]) -> tuple[str, ...]:
    """What is said of every arm, in Markdown; nothing of those that have no curve to compare."""
    return tuple(verdict.sentence for verdict in verdicts.values() if verdict.reason != "no pairs")


def decided(verdicts: Mapping[str, Verdict]) -> bool:
    """True where more seeds are not needed: every arm is told, or the signal dominates, which seeds do not change."""
    return bool(verdicts) and all(verdict.outcome in ("matches", "differs") or verdict.reason == "signal dominates"
                                  for verdict in verdicts.values())


def judged(store: Store, record: CalibrationRecord) -> CalibrationRecord:
    """The record with its verdict by the default margin, as :func:`keep` stores it; raises DamagedChunk."""
    return keep(store, record, verdicts(record, store.curves(record.id)))


def headline(record: CalibrationRecord, verdicts: Mapping[str, Verdict]) -> str:
    """The first line of the result, about the target batch: arms at other batches have their own sentences."""
    plan = record.plan
    return evidence.headline({arm: verdict for arm, verdict in verdicts.items()
                              if plan.config_of(arm).batch_size == plan.target_batch})


def keep(store: Store, record: CalibrationRecord, verdicts: Mapping[str, Verdict]) -> CalibrationRecord:
    """Store what lists show of the verdicts, where that is not what they show already; returns the record with it.

    The outcome is that of the full rule at the target batch, "" where there is nothing to compare; the answer has the frontier.
    """
    scaled = verdicts.get("scaled")
    outcome = scaled.outcome if scaled and (scaled.pairs or scaled.reason in ("diverged", "signal dominates")) else ""
    answer = " ".join(filter(None, [headline(record, verdicts), frontier(record, verdicts)]))
    if (outcome, answer) != (record.outcome, record.answer):
        with suppress(SQLAlchemyError):  # read-only, locked or full: it is shown all the same, and stored another time
            store.set_verdict(record.id, outcome, answer)
    return replace(record, outcome=outcome, answer=answer)


class Tried(NamedTuple):
    """A target batch at which the full rule was compared with base, and what came out."""

    kappa: float
    batch: int
    outcome: Outcome


def frontier(record: CalibrationRecord, verdicts: Mapping[str, Verdict]) -> str:
    """How far one can go, in a sentence: the last batch, up and down, to which every batch tried on the way matches.

    "" where only one target was tried.
    """
    plan = record.plan
    tried = [Tried(kappa, plan.config_of(name).batch_size, verdicts[name].outcome) for kappa, name in plan.frontier
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


def regimes(record: CalibrationRecord, curves: pd.DataFrame) -> dict[str, Regime]:
    """Arm -> what dominates the gradient between the base batch and that arm's; without those that were not measured.

    None where only the initial weights were: their noise scale says nothing of a training.
    """
    arms = curves[curves["arm"] != WARM_START]
    if record.plan.start == "scratch" and not (arms["samples"] > 0).any():
        return {}
    batches = {arm.name: arm.config.batch_size for arm in record.plan.arms if arm.group not in ("base", "svag")}
    return evidence.regimes(arms, record.plan.base.batch_size, batches)
