"""What a calibration can tell, said before it is launched: its batches against the noise scale, and the power of its seeds."""

from __future__ import annotations

import math
from bisect import bisect_left
from dataclasses import dataclass
from typing import Literal

import pandas as pd

from ..evidence import Looks, base_sharpness
from ..evidence.equivalence import power_beyond, power_within
from ..plan import CalibrationPlan
from ..rules import stability
from ..rules.forecast import sentence as forecast_in_words
from ..store import CalibrationRecord, Filter, Store
from ..tasks import NoiseScale, task
from .judging import regimes, verdicts, was_stopped

Level = Literal["good", "doubtful", "another", "hopeless"]
ALPHA = 0.05
FUNCTIONALS = 3  # numbers that a verdict compares, for which it corrects
LIKELY = 0.8  # power below which a calibration is doubtful
SURE = 0.9  # power at which a difference is said to be seen
WORTH_SAYING = 0.05  # of the drift that the rule loses by itself
FEWEST_PAIRS = 3  # that know a spread
OTHER = "Its noise-aware arm gets a verdict all the same."
CANDIDATES = 20  # stored calibrations whose plans are looked at


@dataclass(frozen=True)
class Spread:
    """How far an arm scatters about base from seed to seed, as a calibration has shown it.

    sd: the largest standard deviation of the paired differences; margin: what they were held against, in ``unit``; estimated: the
    part of it that is base's own spread between seeds, 0 for one that was given.
    """

    sd: float
    margin: float
    unit: str
    estimated: float = 0.0


@dataclass(frozen=True)
class Known:
    """What is known before a calibration starts.

    own: whether it was measured in a calibration of this very configuration; sharpness: of base there, preconditioned, where it
    was measured.
    """

    noise_scale: NoiseScale | None
    spread: Spread | None = None
    own: bool = False
    sharpness: float | None = None


@dataclass(frozen=True)
class Foresight:
    """What a calibration can tell. hopeless: every arm of the rule would be *not a test*; another: so it would, but there is an
    arm of another transfer, which is a test; sentences: Markdown."""

    level: Level
    sentences: tuple[str, ...]


def foresee(plan: CalibrationPlan, known: Known) -> Foresight:
    """The foresight on a plan.

    Hopeless where ``evidence`` would say of every arm of the rule that the signal dominates, were the noise scale measured to be
    what is known of it.
    """
    noise = _batches(plan, known)
    sentences = [text for _, text in noise]
    hopeless = bool(noise) and all(level == "hopeless" for level, _ in noise)
    certain, power = _power(plan, known.spread)
    if hopeless and any(arm.group == "noise-aware" for arm in plan.arms):
        return Foresight("another", tuple(filter(None, (*sentences, OTHER, power, _source(plan, known)))))
    if hopeless:  # nothing else matters: no budget and no seeds mend it
        return Foresight("hopeless", (*sentences, _source(plan, known)))
    doubts = list(filter(None, (_start(plan, known), _memory(plan), _curvature(plan, known))))
    good = bool(noise) and all(level == "good" for level, _ in noise) and not doubts and certain
    return Foresight("good" if good else "doubtful", tuple(filter(None, (
        *sentences, *doubts, _drift(plan), power, _source(plan, known)))))


def newest_alike(store: Store, plan: CalibrationPlan) -> CalibrationRecord | None:
    """The newest stored calibration of the same task, size, start, base configuration and evaluations that ran to its end, and
    was not stopped after its warm start: the noise scale of a branch point may still grow.
    """
    kind = Filter(states=("DONE",), tasks=(plan.task,), optimizers=(plan.base.optimizer,))
    rows = [row for row in store.summaries(kind) if (row.base_batch, row.start) == (plan.base.batch_size, plan.start)]
    for row in rows[:CANDIDATES]:
        record = store.get(row.id)
        if _alike(record.plan, plan) and not was_stopped(record):
            return record
    return None


def learnt(record: CalibrationRecord, curves: pd.DataFrame) -> Known:
    """What a calibration has shown: noise scale and sharpness of its base arm, and how far its scaled arm scatters about base.

    Where the noise scale was not measured it is the task's.
    """
    measured = regimes(record, curves)
    scaled = verdicts(record, curves, measured=measured).get("scaled")
    spread = None
    if scaled is not None and scaled.pairs >= FEWEST_PAIRS and (sd := max(test.sd for test in scaled.functionals)) > 0:
        spread = Spread(sd, scaled.margin.value, scaled.margin.unit, scaled.margin.estimated)
    if "scaled" not in measured:
        return Known(task(record.plan.task).noise_scale, spread, sharpness=base_sharpness(curves, record.plan.base))
    regime = measured["scaled"]
    source = f"measured in calibration `{record.id}` of this configuration"
    return Known(NoiseScale(regime.noise_scale, regime.low, regime.high, source), spread, own=True,
                 sharpness=base_sharpness(curves, record.plan.base))


def _alike(stored: CalibrationPlan, plan: CalibrationPlan) -> bool:
    # The noise scale grows with the warm start, and how far an end value scatters hangs on the evaluations.
    names = ("task", "task_version", "size", "base", "start", "warm_samples", "checkpoint", "evaluations")
    return all(getattr(stored, name) == getattr(plan, name) for name in names)


def _batches(plan: CalibrationPlan, known: Known) -> list[tuple[Level, str]]:
    """Level and sentence of every target batch, smallest first, against the noise scale; empty where that is not known."""
    scale = known.noise_scale
    if scale is None:
        return []
    whose = "this configuration's" if known.own else "this task's"
    about = f" of about {float(f'{scale.value:.2g}'):,.0f} samples" if math.isfinite(scale.value) else ""
    size = f"{whose} noise scale{about}"
    said: list[tuple[Level, str]] = []
    for batch in sorted({max(plan.base.batch_size, target) for target in plan.targets or (plan.target_batch,)}):
        if scale.high < batch:
            said.append(("hopeless", f"Batch {batch} lies above {size}: the result would be *not a test*."))
        elif batch < scale.low and (known.own or batch <= scale.safe_batch or _usual(plan)):
            said.append(("good", f"Batch {batch} lies below {size}: noise dominates, so this is a test of the rule."))
        else:
            said.append(("doubtful", f"Batch {batch} lies close to {size}: the result may be *not a test*."))
    return said


def _usual(plan: CalibrationPlan) -> bool:
    """True for the configuration in which the task's own noise scale was measured."""
    about = task(plan.task)
    warmed = plan.start == "warm" and plan.warm_samples >= about.defaults.warm_samples
    return plan.base == about.defaults.base and plan.size == next(iter(about.sizes)) and warmed


def _source(plan: CalibrationPlan, known: Known) -> str:
    scale = known.noise_scale
    if scale is None:
        return "The noise scale of this task is not known: whether noise dominates at these batches will be measured."
    other = "" if known.own or _usual(plan) else "; another configuration may have another one"
    return f"The noise scale was {scale.source} (95% interval {scale.low:.3g} to {scale.high:.3g}){other}."


def _start(plan: CalibrationPlan, known: Known) -> str:
    if plan.start != "scratch" or known.own:
        return ""
    return "From scratch the signal dominates at first, and the rule is not tested there: a warm start is the better test."


def _memory(plan: CalibrationPlan) -> str:
    """That a decay of the base averages over more samples than a run has; "" where none does."""
    decays = [row for row in plan.scaled.rows if row.half_life is not None and 0 < row.base < 1]
    longest = max(decays, key=lambda row: row.base, default=None)
    if longest is None:
        return ""
    memory = round(plan.base.batch_size / (1 - longest.base))
    if memory <= plan.samples:
        return ""
    return (f"{longest.label} = {longest.base:.8g} averages over about {memory:,} samples at batch {plan.base.batch_size}, more "
            f"than the {plan.samples:,} of a run: how it is scaled is hardly tested.")


def _curvature(plan: CalibrationPlan, known: Known) -> str:
    """That the steps at a target would meet curvature, as base's own runs have measured it; "" where they would not."""
    if known.sharpness is None:
        return ""
    furthest = max(plan.targets or (plan.target_batch,)) / plan.base.batch_size
    return _reach(plan, known.sharpness) if furthest > _stable_kappa(plan, known.sharpness) else ""


def curvature_reach(plan: CalibrationPlan, curves: pd.DataFrame) -> str:
    """Up to which kappa the scaled steps bear the curvature that base's runs have measured, in a sentence; "" where none was."""
    sharpness = base_sharpness(curves, plan.base)
    return "" if sharpness is None else _reach(plan, sharpness)


def _reach(plan: CalibrationPlan, sharpness: float) -> str:
    return stability.sentence(plan.base, sharpness, _stable_kappa(plan, sharpness))


def _stable_kappa(plan: CalibrationPlan, sharpness: float) -> float:
    return stability.largest_stable_kappa(plan.base, sharpness, plan.decay_form, plan.momentum_form)


def _drift(plan: CalibrationPlan) -> str:
    """What the rule loses by itself at these decays, where that is much and lr does not make up for it."""
    forecast = plan.scaled.forecast
    if forecast is None or plan.correct_lr or abs(forecast.drift - 1) < WORTH_SAYING:
        return ""
    return forecast_in_words(plan.scaled.kappa, forecast)


def _power(plan: CalibrationPlan, spread: Spread | None) -> tuple[bool, str]:
    """Whether the seeds are enough as far as is known, and what they can show, from a spread that was seen."""
    count = len(plan.seeds)
    if count < 3:
        return False, f"{count} seed{'s' * (count > 1)} can hardly tell a difference from chance: take at least 3."
    if spread is None:
        return True, ""
    level = Looks(plan.looks).levels(ALPHA)[-1] if len(plan.looks) > 1 else ALPHA
    match = power_within(count, 0.0, spread.sd, spread.margin, level)
    text = f"{count} seeds show a match within {spread.margin:.2g} {spread.unit} in {match:.0%} of cases"
    seen = seen_difference(count, spread, level)
    if seen is not None:
        text += f", and a difference of {seen:.2g} in 9 of 10"
    return match >= LIKELY, f"{text}, if they scatter as they did before."


def seen_difference(count: int, spread: Spread, level: float) -> float | None:
    """The smallest true difference that so many seeds show to lie beyond the margin in 9 of 10 cases; None for a huge one."""
    steps, largest = 50, 5000  # of sd / 50, up to 100 sd

    def power(step: int) -> float:
        return power_beyond(count, spread.margin + step * spread.sd / steps, spread.sd, spread.margin, level / FUNCTIONALS,
                            spread.estimated)

    step = bisect_left(range(largest), SURE, key=power)
    return spread.margin + step * spread.sd / steps if step < largest else None
