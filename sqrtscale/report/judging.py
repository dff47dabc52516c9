"""The verdicts on a stored calibration: its plan says what each arm is to be held against."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from itertools import takewhile

import pandas as pd
from sqlalchemy.exc import SQLAlchemyError

from .. import evidence
from ..evidence import Looks, Regime, Verdict, headline, judge
from ..plan import WARM_START
from ..store import CalibrationRecord, Store
from ..tasks import task


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
    return judge(arms, metric=about.judged, unit=metric.unit, practical=metric.margin, margin=margin,
                 regime=regimes(record, curves) if measured is None else measured, level=level(record))


def level(record: CalibrationRecord) -> float | None:
    """The level of the tests at the look that has been reached; None where all seeds are judged once."""
    if len(record.plan.looks) == 1:
        return None
    looks = Looks(record.plan.looks)
    ended = Counter(run.arm for run in record.runs if run.state in ("DONE", "DIVERGED"))
    fewest = min(ended[arm.name] for arm in record.plan.arms)
    return looks.levels()[looks.look(fewest) or 0]


def stopped_early(record: CalibrationRecord) -> str:
    """That seeds were left out because every verdict was clear, in a sentence; "" where none were."""
    left = {run.seed for run in record.runs if run.state == "SKIPPED"}
    if not left:
        return ""
    count = len(record.plan.seeds)
    return (f"Every verdict was clear after {count - len(left)} seeds, so the other {len(left)} of at most {count} were not "
            "trained. The looks share the error rate.")


def decided(found: Mapping[str, Verdict]) -> bool:
    """True where more seeds are not needed: every arm is told, or the signal dominates, which seeds do not change."""
    return bool(found) and all(one.outcome in ("matches", "differs") or one.reason == "signal dominates"
                               for one in found.values())


def judged(store: Store, record: CalibrationRecord) -> CalibrationRecord:
    """The record with its verdict by the default margin, as :func:`keep` stores it; raises DamagedChunk."""
    return keep(store, record, verdicts(record, store.curves(record.id)))


def keep(store: Store, record: CalibrationRecord, found: Mapping[str, Verdict]) -> CalibrationRecord:
    """Store what lists show of the verdicts, where that is not what they show already; returns the record with it.

    The outcome is that of the full rule at the target batch, "" where there is nothing to compare; the answer has the frontier.
    """
    scaled = found.get("scaled")
    compared = scaled is not None and (scaled.pairs or scaled.reason == "diverged")
    outcome = scaled.outcome if compared else ""
    answer = " ".join(filter(None, [headline(found), frontier(record, found)]))
    if (outcome, answer) != (record.outcome, record.answer):
        with suppress(SQLAlchemyError):  # read-only, locked or full: it is shown all the same, and stored another time
            store.set_verdict(record.id, outcome, answer)
    return replace(record, outcome=outcome, answer=answer)


def frontier(record: CalibrationRecord, found: Mapping[str, Verdict]) -> str:
    """How far one can go, in a sentence: the last batch, up and down, to which every batch tried on the way matches.

    "" where only one target was tried.
    """
    plan = record.plan
    tried = [(kappa, plan.arm(name).config.batch_size, found[name].outcome) for kappa, name in plan.frontier if name in found]
    if len(tried) < 2:
        return ""
    parts = [_reach(side, way) for side, way in (([one for one in tried if one[0] > 1], "up"),
                                                 ([one for one in reversed(tried) if one[0] < 1], "down")) if side]
    return f"How far the rule goes here: {'; '.join(parts)}."


def _reach(side: list[tuple[float, int, str]], way: str) -> str:
    """side: (kappa, batch, outcome), nearest to the base first."""
    good = list(takewhile(lambda one: one[2] == "matches", side))
    rest = side[len(good):]
    said = f"{way} to kappa = {good[-1][0]:g} (batch {good[-1][1]})" if good else f"{way}wards no batch that was tried matches"
    return said + (f", while batch {rest[0][1]} comes out as “{rest[0][2]}”" if rest else ", the furthest that was tried")


def regimes(record: CalibrationRecord, curves: pd.DataFrame) -> dict[str, Regime]:
    """Arm -> what dominates the gradient between the base batch and that arm's; without those that were not measured."""
    batches = {arm.name: arm.config.batch_size for arm in record.plan.arms if arm.name != "base" and not arm.svag}
    return evidence.regimes(curves[curves["arm"] != WARM_START], record.plan.base.batch_size, batches)
