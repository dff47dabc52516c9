"""The verdict on every arm of a calibration: matches, differs, cannot tell, or not a test of the rule.

The curves of an arm and of base are paired by seed and compared in three numbers that are fixed beforehand (the means over
the first quarter, the whole curve and the last tenth), against a margin that is stated:

- matches: each of the three lies within the margin (two one-sided t-tests each; as all must hold, no correction is due);
- differs: one of the three lies beyond the margin (Holm's correction for three), or more runs diverged than of base;
- cannot tell: neither. A difference that is surely there but may be smaller than the margin belongs here, and a match while
  no control has been told from base yet;
- not a test: the signal dominates, so that the rule promises nothing, or the calibration has no power: the controls, which
  should differ from base, do not, and no number of seeds would show that they do.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
import pandas as pd
from scipy import stats

from ..rules import FieldError
from ..rules.errors import real
from .equivalence import Functional, compare, holm, pairs_needed, rate
from .gaps import NAMES, Gaps, functionals, gaps, runs_of, samples_ahead
from .noise import Regime
from .wording import headline, sentence

__all__ = ["CONTROLS", "OUTCOMES", "Margin", "Outcome", "Verdict", "default_margin", "headline", "judge"]

Outcome = Literal["matches", "differs", "cannot tell", "not a test"]
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)
CONTROLS = ("unscaled", "linear lr")  # not arms of the rule: they show whether this calibration can tell arms apart
NOT_ARMS = ("base", "warm start")
FEWEST_PAIRS = 3  # planned for where the spread is not yet known


@dataclass(frozen=True)
class Margin:
    """How far apart curves may lie and still match: ``value`` in ``unit``, and in words where it comes from.

    practical: the size below which a difference is of no practical use (None where the user gave the margin); spread:
    standard deviation of the base arm's end values over its seeds (NaN for one seed).
    """

    value: float
    unit: str
    origin: str
    practical: float | None
    spread: float


@dataclass(frozen=True)
class Verdict:
    """What is said of one arm against base.

    sentence: Markdown with the arm in bold; functionals: the three comparisons, empty without a pair; pairs: seeds on which
    both arms have a whole curve; effect_sd: difference at the end in standard deviations of base between seeds (NaN where
    unknown); samples_ahead: the same in samples (negative: behind), None where the base curve does not allow it;
    further_seeds: how many more are needed about (power 0.8), None where decided, unknown or out of reach;
    reason: "" or why it is no plain comparison: "signal dominates", "no power", "diverged", "one seed", "no pairs".
    """

    arm: str
    outcome: Outcome
    sentence: str
    functionals: tuple[Functional, ...]
    margin: Margin
    pairs: int
    effect_sd: float
    samples_ahead: float | None
    further_seeds: int | None
    reason: str


def judge(
    curves: pd.DataFrame, *, metric: str, unit: str = "", practical: float | None = None, margin: float | None = None,
    alpha: float = 0.05, regime: Regime | Mapping[str, Regime] | None = None, level: float | None = None,
) -> dict[str, Verdict]:
    """A Verdict by arm, in the order of the curves (columns arm, seed, metric, samples, value; base among the arms).

    practical: a difference of no practical use, in the metric's unit; margin: in the same, or None for :func:`default_margin`;
    alpha: rate of wrong "matches" and of wrong "differs" that is allowed; regime: what dominates the gradient, one for every
    arm, or by arm where their batches differ (an arm without one is judged by its curves); level: that of this look where
    seeds are judged several times (:class:`~sqrtscale.evidence.sequential.Looks`). Empty before there is a base run. Raises
    FieldError.
    """
    rate("alpha", alpha)
    level = alpha if level is None else rate("level", level)
    if len(curves) and metric not in set(curves["metric"]):
        raise FieldError("metric", metric, f"was not measured: give any of {', '.join(sorted(set(curves['metric'])))}")
    names = list(dict.fromkeys(curves["arm"][curves["metric"] == metric]))
    if "base" not in names:
        return {}
    base = runs_of(curves, metric, "base")
    limit = given_margin(margin, base, unit) if margin is not None else default_margin(base, unit, practical)
    found = {name: gaps(base, runs_of(curves, metric, name)) for name in names if name not in NOT_ARMS}
    plain = {name: _compare(name, one, limit, alpha, level) for name, one in found.items()}
    blind = _blind(plain)
    of_arm = dict(regime) if isinstance(regime, Mapping) else dict.fromkeys(plain, regime)
    return {name: _finish(one, found[name], of_arm.get(name), blind) for name, one in plain.items()}


def default_margin(base: pd.DataFrame, unit: str, practical: float | None = None) -> Margin:
    """The margin where the user gives none: the practical size and the base arm's own spread between seeds, added.

    base: its curves [seeds, samples]; practical: a difference of no practical use, or None for 1 % of the base arm's mean end
    value. The spread of a few seeds is itself uncertain, so the error rates at the very margin hold for a margin that is given
    (docs/error_rates.md).
    """
    ends = _ends(base)
    words = f"a practical size of {practical:g} {unit}"
    if practical is None:
        practical = 0.01 * abs(float(ends.mean())) if len(ends) else math.nan
        words = f"1 % of base's end value, {practical:.3g}"
    spread = _spread(ends)
    if math.isnan(spread):
        return Margin(practical, unit, f"{words}; how far base's own seeds spread is not known yet", practical, spread)
    return Margin(practical + spread, unit, f"{words}, plus the standard deviation {spread:.3g} of base between its "
                                            f"{len(ends)} seeds", practical, spread)


def given_margin(value: float, base: pd.DataFrame, unit: str) -> Margin:
    """The margin that the user gave; raises FieldError where nothing could lie within it."""
    allowed = "is no margin: give a positive number in the unit of the metric, for example 0.01"
    if real("margin", value, allowed) <= 0:
        raise FieldError("margin", value, allowed)
    return Margin(float(value), unit, "given", None, _spread(_ends(base)))


def _ends(base: pd.DataFrame) -> np.ndarray:
    """End values of the base runs that have one."""
    whole = base.replace(math.inf, math.nan).dropna()
    return functionals(whole.to_numpy(), whole.columns.to_numpy(float))[:, -1] if len(whole) else np.empty(0)


def _spread(ends: np.ndarray) -> float:
    return float(np.std(ends, ddof=1)) if len(ends) > 1 else math.nan


def _compare(arm: str, found: Gaps, margin: Margin, alpha: float, level: float) -> Verdict:
    """The verdict on the curves alone; its sentence is written when the other arms are known."""
    n = len(found.differences)
    tested = holm([compare(name, column, margin.value, level)
                   for name, column in zip(NAMES, found.differences.T, strict=True)]) if n else ()
    outcome, reason, further = "cannot tell", "", None
    if _diverges_more(found, level):
        outcome, reason = "differs", "diverged"
    elif any(one.beyond for one in tested):
        outcome = "differs"
    elif found.split:  # a run without an end has no difference to average, so the others alone show no match
        reason = "diverged"
    elif n < 2:
        reason, further = "one seed" if n else "no pairs", FEWEST_PAIRS - n
    elif all(one.within for one in tested):
        outcome = "matches"
    else:
        needed = pairs_needed(tested, margin.value, alpha)
        further = None if needed is None else max(1, needed - n)
    end = tested[-1].difference if tested else math.nan
    ahead, _ = samples_ahead(end, found.base, found.samples) if n else (None, "")
    effect = end / margin.spread if margin.spread > 0 else math.nan
    return Verdict(arm, outcome, "", tested, margin, n, effect, ahead, further, reason)


def _diverges_more(found: Gaps, level: float) -> bool:
    """More runs diverged than of base, beyond chance: Fisher's exact test, one-sided."""
    table = [[found.arm_diverged, found.runs - found.arm_diverged], [found.base_diverged, found.runs - found.base_diverged]]
    return found.arm_diverged > 0 and stats.fisher_exact(table, alternative="greater").pvalue <= level * (1 + 1e-9)


def _control(arm: str) -> bool:
    """True for a control, also at another kappa (``unscaled 2x``)."""
    return re.sub(r" [\d/]+x$", "", arm) in CONTROLS


def _blind(plain: Mapping[str, Verdict]) -> tuple[Verdict, ...]:
    """The controls, where there are any and none of them could be told from base."""
    controls = tuple(one for name, one in plain.items() if _control(name) and one.reason != "no pairs")
    return () if any(one.outcome == "differs" for one in controls) else controls


def _finish(plain: Verdict, found: Gaps, regime: Regime | None, blind: tuple[Verdict, ...]) -> Verdict:
    """What the other arms and the regime make of a comparison, and its sentence.

    A match beside controls that are not told yet waits for them; beside controls that match, or never will be told, it
    is none. What differs has been told.
    """
    why = ""
    if not _control(plain.arm):
        why = regime.signal if regime else ""
        if why:
            plain = replace(plain, outcome="not a test", reason="signal dominates", further_seeds=None)
        elif blind and plain.outcome in ("matches", "cannot tell"):
            more = [one.further_seeds for one in blind if one.further_seeds]
            why = " and ".join(one.arm for one in blind)
            if all(one.outcome == "matches" or (not one.reason and not one.further_seeds) for one in blind):
                plain = replace(plain, outcome="not a test", reason="no power", further_seeds=None)
            elif plain.outcome == "matches":
                plain = replace(plain, outcome="cannot tell", reason="no power", further_seeds=min(more, default=None))
    return replace(plain, sentence=sentence(plain, found, why))
