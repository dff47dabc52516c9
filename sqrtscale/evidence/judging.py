"""The verdict on every arm of a calibration: matches, differs, cannot tell, or not a test of the rule.

The curves of an arm and of base, paired by seed or not, are compared in three numbers that are fixed beforehand (the means over
the first quarter, the whole curve and the last tenth), against a margin that is stated:

- matches: each of the three lies within the margin (two one-sided t-tests each; as all must hold, no correction is due);
- differs: one of the three lies beyond the margin (Holm's correction for three; the uncertainty of an estimated margin counts),
  or more runs diverged than of base;
- cannot tell: neither. A difference that is surely there but may be smaller than the margin belongs here, and a match while
  no control has been told from base yet;
- not a test: the signal dominates, so that the rule promises nothing, or the calibration has no power: the controls, which
  should differ from base, do not, and no number of seeds would show that they do.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from scipy import stats

from ..rules import FieldError
from ..rules.errors import positive_margin
from .equivalence import compare, holm, pairs_needed, rate
from .noise import Regime
from .pairing import Contrast, at_end, contrast, runs_of, samples_ahead, whole_runs
from .verdict import Margin, Outcome, Reason, Verdict
from .wording import sentence

FEWEST_PAIRS = 3  # planned for where the spread is not yet known


@dataclass(frozen=True)
class Comparison:
    """What is compared, and which arms play a part of their own.

    metric, unit: what is compared; practical: a difference in that unit that is of no practical use, None for 1 % of the base
    arm's end value; base: the arm that every other one is held against; controls: arms that should differ from it, which show
    whether this calibration can tell arms apart; paired: whether runs of the same seed share what chance decides (seed and order
    of the data), else all runs of an arm are held against all of base; counted: what the curves count, in the sentences.
    """

    metric: str
    unit: str = ""
    practical: float | None = None
    base: str = "base"
    controls: frozenset[str] = frozenset()
    paired: bool = True
    counted: str = "samples"


def judge(
    curves: pd.DataFrame, comparison: Comparison, *, margin: float | None = None, alpha: float = 0.05,
    regime: Regime | Mapping[str, Regime] | None = None, level: float | None = None,
) -> dict[str, Verdict]:
    """A Verdict by arm, in the order of the curves (columns arm, seed, metric, samples, value; base among the arms).

    margin: in the metric's unit, or None for :func:`default_margin`; alpha: rate of wrong "matches" and of wrong "differs" that
    is allowed; regime: what dominates the gradient, one for every arm, or by arm where their batches differ (an arm without one
    is judged by its curves); level: that of this look where seeds are judged several times
    (:class:`~sqrtscale.evidence.sequential.Looks`). Empty before there is a base run. Raises FieldError.
    """
    rate("alpha", alpha)
    level = alpha if level is None else rate("level", level)
    metric = comparison.metric
    if len(curves) and metric not in set(curves["metric"]):
        raise FieldError("metric", metric, f"was not measured: give any of {', '.join(sorted(set(curves['metric'])))}")
    arms = list(dict.fromkeys(curves["arm"][curves["metric"] == metric]))
    if comparison.base not in arms:
        return {}
    base = runs_of(curves, metric, comparison.base)
    of_margin = base if comparison.paired else whole_runs(base)[0]
    limit = default_margin(of_margin, comparison.unit, comparison.practical, "seeds" if comparison.paired else "runs") \
        if margin is None else given_margin(margin, of_margin, comparison.unit)
    contrasts = {arm: contrast(base, runs_of(curves, metric, arm), comparison.paired, comparison.counted)
                 for arm in arms if arm != comparison.base}
    by_curves = {arm: _compare(arm, arm in comparison.controls, of_both, limit, alpha, level)
                 for arm, of_both in contrasts.items()}
    blind = _blind(by_curves)
    regimes: Mapping[str, Regime | None] = regime if isinstance(regime, Mapping) else dict.fromkeys(arms, regime)
    return {arm: _finish(verdict, contrasts[arm], regimes.get(arm), blind) for arm, verdict in by_curves.items()}


def default_margin(base: pd.DataFrame, unit: str, practical: float | None = None, runs: str = "seeds") -> Margin:
    """The margin where the user gives none: the practical size and the base arm's own spread between seeds, added.

    base: its curves [seeds, samples]; practical: a difference of no practical use, or None for 1 % of the base arm's mean end
    value; runs: what they are called. The spread of a few seeds is itself uncertain, which a "differs" takes into account
    (docs/error_rates.md).
    """
    ends = _ends(base)
    if practical is None:
        practical = 0.01 * abs(float(ends.mean())) if len(ends) else math.nan
        words = f"1 % of base's end value, {practical:.3g}"
    else:
        words = f"a practical size of {practical:g} {unit}"
    spread = _spread(ends)
    if math.isnan(spread):
        return Margin(practical, unit, f"{words}; how far base's own {runs} spread is not known yet", practical, spread)
    return Margin(practical + spread, unit, f"{words}, plus the standard deviation {spread:.3g} of base between its "
                                            f"{len(ends)} {runs}", practical, spread)


def given_margin(value: float, base: pd.DataFrame, unit: str) -> Margin:
    """The margin that the user gave; raises FieldError where nothing could lie within it."""
    return Margin(positive_margin(value), unit, "given", None, _spread(_ends(base)))


def _ends(base: pd.DataFrame) -> np.ndarray:
    """End values of the base runs that have one."""
    complete = base.replace(math.inf, math.nan).dropna()
    ends: np.ndarray = complete.to_numpy()[:, at_end(complete.columns.to_numpy(float))].mean(1) if len(complete) else np.empty(0)
    return ends


def _spread(ends: np.ndarray) -> float:
    return float(np.std(ends, ddof=1)) if len(ends) > 1 else math.nan


def _compare(arm: str, control: bool, curves: Contrast, margin: Margin, alpha: float, level: float) -> Verdict:
    """The verdict on the curves alone; its sentence is written when the other arms are known."""
    n = curves.pairs
    tested = holm([compare(name, values, margin.value, level, margin.estimated, base)
                   for name, (values, base) in curves.functionals.items()])
    outcome: Outcome = "cannot tell"
    reason: Reason = ""
    further = None
    if _diverges_more(curves, level):
        outcome, reason = "differs", "diverged"
    elif any(functional.beyond for functional in tested):
        outcome = "differs"
    elif curves.uneven:
        reason = "diverged"
    elif n < 2:
        reason, further = "one seed" if n else "no pairs", FEWEST_PAIRS - n
    elif all(functional.within for functional in tested):
        outcome = "matches"
    else:
        needed = pairs_needed(tested, margin.value, alpha, margin.estimated)
        further = None if needed is None else max(1, needed - n)
    verdict = Verdict(arm, control, outcome, "", tested, margin, curves.paired, len(curves.arm), len(curves.base), math.nan, None,
                      further, reason)
    if verdict.end is None:
        return verdict
    ahead, _ = samples_ahead(verdict.end.difference, curves.base, curves.samples)
    effect = verdict.end.difference / margin.spread if margin.spread > 0 else math.nan
    return replace(verdict, effect_sd=effect, samples_ahead=ahead)


def _diverges_more(curves: Contrast, level: float) -> bool:
    """More runs diverged than of base, beyond chance: Fisher's exact test, one-sided."""
    diverged, begun = np.array([curves.arm_diverged, curves.base_diverged]), np.array([curves.arm_begun, curves.base_begun])
    table = np.stack([diverged, begun - diverged], 1)
    return curves.arm_diverged > 0 and stats.fisher_exact(table, alternative="greater").pvalue <= level * (1 + 1e-9)


def _blind(verdicts: Mapping[str, Verdict]) -> tuple[Verdict, ...]:
    """The controls, where there are any and none of them could be told from base."""
    controls = tuple(verdict for verdict in verdicts.values() if verdict.control and verdict.reason != "no pairs")
    return () if any(verdict.outcome == "differs" for verdict in controls) else controls


def _finish(verdict: Verdict, curves: Contrast, regime: Regime | None, blind: tuple[Verdict, ...]) -> Verdict:
    """What the other arms and the regime make of a comparison, and its sentence.

    A match beside controls that are not told yet waits for them; beside controls that match, or never will be told, it
    is none. What differs has been told.
    """
    if verdict.control:
        return replace(verdict, sentence=sentence(verdict, curves))
    if regime and regime.signal:
        no_test = replace(verdict, outcome="not a test", reason="signal dominates", further_seeds=None)
        return replace(no_test, sentence=sentence(no_test, curves, regime.signal))
    if blind and verdict.outcome in ("matches", "cannot tell"):
        more = [control.further_seeds for control in blind if control.further_seeds]
        if all(control.outcome == "matches" or (not control.reason and not control.further_seeds) for control in blind):
            verdict = replace(verdict, outcome="not a test", reason="no power", further_seeds=None)
        elif verdict.outcome == "matches":
            verdict = replace(verdict, outcome="cannot tell", reason="no power", further_seeds=min(more, default=None))
    return replace(verdict, sentence=sentence(verdict, curves, " and ".join(control.arm for control in blind)))
