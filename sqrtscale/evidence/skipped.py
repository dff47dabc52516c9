"""Steps that a loss scaler left out: an arm that made fewer of them than it was given is no test of a rule about steps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pandas as pd

from .verdict import Verdict

METRIC = "skipped"


def with_skipped(verdicts: Mapping[str, Verdict], curves: pd.DataFrame, base: str = "base") -> dict[str, Verdict]:
    """The verdicts; of an arm that left steps out, and of all where base did, that there is none.

    curves: columns arm, metric, value, from the branch point on.
    """
    counts = curves[curves["metric"] == METRIC].groupby("arm")["value"].sum()
    steps = {str(arm): int(count) for arm, count in counts.items() if count > 0}
    return {arm: _refused(verdict, steps, base) if {arm, base} & steps.keys() else verdict for arm, verdict in verdicts.items()}


def _refused(verdict: Verdict, steps: Mapping[str, int], base: str) -> Verdict:
    parts = [f"{steps[arm]:,} of {arm}" for arm in (verdict.arm, base) if arm in steps]
    sentence = (f"**{verdict.arm}** has no verdict: gradients overflowed in float16 and the loss scaler left steps out "
                f"({' and '.join(parts)}), so the arms made other numbers of steps than planned. Take bf16, or begin from a warm "
                "start, during which the scale settles.")
    return replace(verdict, outcome="not a test", reason="skipped steps", further_seeds=None, sentence=sentence)
