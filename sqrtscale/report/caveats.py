"""What has to be said beside a verdict: why the rule may have failed, and what was not measured."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from ..evidence import Regime, Verdict, layer_tails, passes_for_normal
from ..plan import WARM_START
from ..store import CalibrationRecord, Record
from .conditions import fault_sentences
from .explanation import reasons
from .foresight import curvature_reach

NOT_MEASURED = ("The regime was not measured: whether gradient noise dominates at these batches, without which the rule promises "
                "nothing, is not known. NoiseMeter measures it in your own training loop (docs/meter.md).")


def caveats(record: Record, curves: pd.DataFrame, verdicts: Mapping[str, Verdict], measured: Mapping[str, Regime]
            ) -> tuple[str, ...]:
    """A sentence each, in Markdown; curves: as ``comparable`` gives them; the others as the functions of their names do."""
    if isinstance(record, CalibrationRecord):
        is_normal = passes_for_normal(layer_tails(curves[curves["arm"] != WARM_START]))
        reach = curvature_reach(record.plan, curves)
        return (*reasons(record, verdicts, measured, is_normal), *([reach] if reach else []),
                *fault_sentences(record.environment))
    regime = measured.get(record.plan.rule)
    return (regime.sentence if regime else NOT_MEASURED,)
