"""The verdicts on a stored calibration: its plan says what each arm is to be held against."""

from __future__ import annotations

import pandas as pd

from ..evidence import Regime, Verdict, judge, regime
from ..plan import WARM_START
from ..store import CalibrationRecord
from ..tasks import task


def verdicts(record: CalibrationRecord, curves: pd.DataFrame, margin: float | None = None) -> dict[str, Verdict]:
    """Every arm against base, each with the regime at its own batch; empty before anything was measured.

    curves: as ``store.curves`` gives them; margin: in the unit of the loss, or None for the default one. Raises FieldError.
    """
    arms = curves[curves["arm"] != WARM_START]
    if not (arms["metric"] == "val_loss").any():
        return {}
    return judge(arms, unit=task(record.plan.task).metrics["val_loss"], margin=margin, regime=regimes(record, curves))


def regimes(record: CalibrationRecord, curves: pd.DataFrame) -> dict[str, Regime]:
    """Arm -> what dominates the gradient between the base batch and that arm's; without those that were not measured."""
    arms = curves[curves["arm"] != WARM_START]
    found = {arm.name: regime(arms, record.plan.base.batch_size, arm.config.batch_size, arm=arm.name)
             for arm in record.plan.arms if arm.name != "base" and not arm.svag}
    return {name: one for name, one in found.items() if one is not None}
