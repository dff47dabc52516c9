"""What is known from all stored calibrations of a kind: how the verdicts fell, and how far the rule was seen to hold."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ..evidence import OUTCOMES
from ..store import CalibrationSummary

WORDS = {"matches": ("matches", "match"), "differs": ("differs", "differ"), "cannot tell": ("cannot tell yet",) * 2,
         "not a test": ("was not a test", "were not a test")}  # of one, of several
MOST_KAPPAS = 4  # that are named


@dataclass(frozen=True)
class Place:
    """Where a calibration stands: its kappa, and the larger of its batches in noise scales, with the interval.

    Above 1 the signal dominates. bound: the noise scale is beyond what was measured, so that ``share`` is the most it can be.
    """

    calibration: CalibrationSummary
    kappa: float
    share: float
    low: float
    high: float
    bound: bool


def places(calibrations: Iterable[CalibrationSummary]) -> list[Place]:
    """A place for each calibration whose noise scale was measured, or at least bounded from below."""
    found = (_place(calibration) for calibration in calibrations)
    return [place for place in found if place is not None]


def _place(calibration: CalibrationSummary) -> Place | None:
    scale, least = calibration.noise_scale, calibration.noise_low
    if scale is None:
        return None
    bound = math.isinf(scale)
    value = least or 0.0 if bound else scale
    if not 0 < value < math.inf:
        return None
    largest = max(calibration.base_batch, calibration.target_batch)
    low = largest / calibration.noise_high if calibration.noise_high else 0.0
    high = largest / least if least else math.inf
    return Place(calibration, calibration.kappa, largest / value, low, high, bound)


def sentence(calibrations: Sequence[CalibrationSummary], total: int | None = None) -> str:
    """How many there are, how the verdicts fell, and up and down to which kappa the rule was seen to hold, in words.

    total: how many there are of this kind, where these are only the newest of them.
    """
    if not calibrations:
        return "No calibration of this kind has been judged yet."
    counted = Counter(calibration.outcome for calibration in calibrations)
    fell = ", ".join(f"{counted[outcome]:,} {WORDS[outcome][counted[outcome] > 1]}" for outcome in OUTCOMES if counted[outcome])
    count = len(calibrations)
    many = f"{count:,} calibration{'s' * (count != 1)}"
    if total is not None and total > count:
        many = f"The newest {count:,} of {total:,} calibrations"
    return f"{many}: {fell}. {_reach(calibrations)}"


def _reach(calibrations: Sequence[CalibrationSummary]) -> str:
    """The furthest kappas at which it matched, and those at which it differed."""
    held = {calibration.kappa for calibration in calibrations if calibration.outcome == "matches"}
    failed = {calibration.kappa for calibration in calibrations if calibration.outcome == "differs"}
    ends = [f"up to kappa = {_kappa(max(held))}"] if held and max(held) >= 1 else []
    ends += [f"down to kappa = {_kappa(min(held))}"] if held and min(held) < 1 else []
    parts = [f"the rule was seen to hold {' and '.join(ends)}"] if ends else ["the rule was not seen to hold"]
    if failed:
        parts.append(f"it was seen to fail at kappa = {_listed(sorted(failed))}")
    text = "; ".join(parts)
    return f"{text[0].upper()}{text[1:]}."


def _listed(kappas: list[float]) -> str:
    texts = [_kappa(kappa) for kappa in kappas]
    if len(texts) > MOST_KAPPAS:
        return f"{', '.join(texts[: MOST_KAPPAS - 1])} ... {texts[-1]}"
    return " and ".join(filter(None, [", ".join(texts[:-1]), texts[-1]]))


def _kappa(kappa: float) -> str:
    """8, 1/4 or 1.5: as it is read, not as it is copied."""
    inverse = round(1 / kappa, 9)
    return f"1/{inverse:g}" if kappa < 1 and inverse.is_integer() else f"{kappa:.4g}"
