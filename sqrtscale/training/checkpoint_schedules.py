"""The schedulers of a checkpoint: which optimizer each belongs to, whether it counts that one's steps, and its move.

A scheduler's state says neither. It belongs to the optimizer whose learning rates it set last, and counts steps where its
count is the optimizer's: a count of epochs is far smaller, and an equal number of samples is an equal number of epochs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from torch import Tensor

from ..rules import MomentumForm, TrainingConfig, scale
from .checkpoint_contents import Contents
from .checkpoint_reading import Place, place_text
from .checkpoint_summary import SchedulerChange
from .optimizer_state import number, steps_of
from .schedulers import Kind, Shift, check, kind_of, like, move

SKIPPED = 0.05  # of the steps: a gradient scaler leaves out some of the optimizer's, never of the scheduler's


@dataclass
class OptimizerMove:
    """What a scheduler must know of an optimizer's move: the moved groups, their lr before it, steps, and lr's factor.

    rates: None where nothing is known but the rule; has_scheduler: whether one was found for it already.
    """

    groups: Sequence[dict[str, Any]]
    rates: list[float] | None
    steps: float | None
    factor: float | None
    has_scheduler: bool = False


def seen_by_schedulers(old: Mapping[str, Any], new: Mapping[str, Any]) -> OptimizerMove:
    """The same optimizer before and after its move, as its scheduler sees it."""
    steps = steps_of(old)
    if not old["state"] and "dampening" not in old["param_groups"][0]:  # all but SGD keep something from the first step on
        steps = (0.0, 0.0)
    rates = [number("lr", group["lr"]) for group in old["param_groups"]]
    factors = [factor for pair in zip(old["param_groups"], new["param_groups"], strict=True)
               if (factor := _factor(*pair)) is not None]
    same = factors and all(math.isclose(factor, factors[0], rel_tol=1e-9) for factor in factors)
    return OptimizerMove(new["param_groups"], rates, steps[1] if steps else None, factors[0] if same else None)


def _factor(old: Mapping[str, Any], new: Mapping[str, Any]) -> float | None:
    for name in ("initial_lr", "lr"):
        if name in old and number(name, old[name]):
            return number(name, new[name]) / number(name, old[name])
    return None


def by_rule(family: str, kappa: Fraction, momentum_form: MomentumForm) -> OptimizerMove:
    """What the rule alone says of lr, with the library's other values: for a scheduler without its optimizer."""
    config = TrainingConfig(family, kappa.denominator, {"lr": 1.0})
    rows = scale(config, kappa.numerator, "half-life", momentum_form).fields
    return OptimizerMove([], None, None, next(row.scaled for row in rows if row.name == "lr"))


def move_scheduler(place: Place, state: dict[str, Any], kappa: Fraction, optimizers: Sequence[OptimizerMove],
                   found: Contents) -> SchedulerChange:
    """Move one scheduler in place, with the lr of its optimizer's groups where rounding moves its position."""
    kind, where = kind_of(state), place_text(place)
    if kind is None:
        return SchedulerChange(where, None, {}, {}, f"is not known and stays as it is: {anew(_position(state), kappa)}")
    check(kind, state)
    optimizer = _optimizer_of(state, optimizers)
    if optimizer is None or optimizer.factor is None:
        return SchedulerChange(where, kind.name, {}, {}, "stays as it is, because no optimizer here, or not only one, fits its "
                               f"learning rates: {anew(_position(state), kappa)}")
    counts_steps, evidence = _counts_steps(state["last_epoch"], optimizer, found)
    change, roundings = move(state, Shift(kappa, optimizer.factor, counts_steps))
    note = _note(kind, state, kappa, counts_steps, evidence)
    before, after = _differences(state, {**state, **change})
    _correct(optimizer, state.get("_last_lr", []), change.get("_last_lr", []))
    dict.update(state, change)
    optimizer.has_scheduler = True
    return SchedulerChange(where, kind.name, before, after, "; ".join([note, *roundings]))


def anew(steps: float | None, kappa: Fraction) -> str:
    """How to make a scheduler that goes on after so many steps of the old batch."""
    by = f"{float(kappa):.6g}"
    if steps is None:
        return f"make it anew with its lengths in steps / {by} and last_epoch = steps so far / {by} - 1"
    exact = steps / float(kappa) - 1
    last = round(exact + 1) - 1
    rounded = "" if math.isclose(exact, last, rel_tol=1e-9, abs_tol=1e-9) else f" = {exact:.6g}, rounded"
    return f"make it anew with its lengths in steps / {by} and last_epoch = {last} ({steps:.10g} / {by} - 1{rounded})"


def counts(position: int, steps: float) -> bool:
    """Whether a scheduler at this position counts the steps of an optimizer that has made so many."""
    return abs(position - steps) <= max(1, SKIPPED * steps)


def other_count(position: int, steps: float) -> str:
    """What a scheduler counts that does not count the optimizer's steps."""
    what = "epochs" if position < steps else "the steps of several processes"
    return f"counts {position} where the optimizer has made {steps:.10g} steps, so it is taken to count {what}"


def _counts_steps(position: int, optimizer: OptimizerMove, found: Contents) -> tuple[bool, str]:
    """Whether a scheduler counts steps, and what is to be said of that."""
    if optimizer.steps is not None:
        same = counts(position, optimizer.steps)
        return same, "" if same else other_count(position, optimizer.steps)
    if any(abs(position - value) <= 1 for _, value in found.counters):
        return True, ""
    if any(abs(position - value) <= 1 for value in found.epochs):
        return False, f"counts {position}, as an epoch of the file does, so it is taken to count epochs"
    if not found.optimizers:  # a scheduler alone, which is there to be moved
        return True, "is taken to count steps, because nothing here says what it counts"
    return False, f"counts {position}, and nothing here says whether steps or epochs"


def _position(state: Mapping[str, Any]) -> int | None:
    position = state.get("last_epoch")
    return position if type(position) is int and 0 <= position < 10**12 else None


def _optimizer_of(state: Mapping[str, Any], optimizers: Sequence[OptimizerMove]) -> OptimizerMove | None:
    """The optimizer whose learning rates a scheduler set last, or one with as many groups; None where several differ."""
    rates = _rates(state)
    fitting = [one for one in optimizers if one.rates is None or len(one.rates) == len(rates)]
    set_last = [one for one in fitting if one.rates is not None and all(
        math.isclose(rate, own, rel_tol=1e-6) for rate, own in zip(rates, one.rates, strict=True))]
    candidates = set_last or fitting
    free = [one for one in candidates if not one.has_scheduler] or candidates
    alike = len({(one.steps, one.factor) for one in candidates}) == 1
    return free[0] if alike else None


def _rates(state: Mapping[str, Any]) -> list[float]:
    rates = state.get("_last_lr") or [*state.get("_schedulers", []), state][0].get("base_lrs", [])
    return [number("lr", rate) for rate in rates]


def _correct(optimizer: OptimizerMove, old: Sequence[Any], new: Sequence[Any]) -> None:
    """Where rounding has moved the schedule's position, the groups' lr follow: the next lr is computed from them."""
    for group, before, after in zip(optimizer.groups, old, new, strict=False):
        expected, reached = float(before) * optimizer.factor, float(after)
        if not math.isclose(reached, expected, rel_tol=1e-9):
            lr = number("lr", group["lr"]) * reached / expected if expected else reached
            group["lr"] = like(group["lr"], lr)


def _note(kind: Kind, state: Mapping[str, Any], kappa: Fraction, counts_steps: bool, evidence: str) -> str:
    """What became of a scheduler, and what is left to do."""
    if kind.counts_evaluations:
        return f"its learning rates moved; {kind.advice}"
    if not counts_steps:
        return (f"{evidence}: its learning rates moved, its position and lengths did not; where it counts steps, "
                f"{anew(_position(state), kappa)}")
    kinds = [kind, *(kind_of(child) for child in state.get("_schedulers", ()))]
    advice = [kind.advice for kind in kinds if kind.advice]
    stored = [name[:40] for table in state.get("lr_lambdas", ()) if isinstance(table, dict) for name in table
              if isinstance(name, str)]
    if stored:
        advice.append(f"loading it sets {', '.join(stored[:6])} of that function to the old values: set the new ones after it")
    position = round(state["last_epoch"] / kappa)
    start = f"goes on at step {position} of the new batch (made anew instead, it needs last_epoch = {position - 1})"
    return "; ".join(dict.fromkeys(filter(None, [start, evidence, *advice]))).replace("{kappa}", f"{float(kappa):.6g}")


def _differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What differs between two states of a scheduler, as JSON has it; a scheduler inside goes by its number."""
    before, after = {}, {}
    for name in old:
        if name == "_schedulers":
            for i, pair in enumerate(zip(old[name], new[name], strict=True)):
                for values, inside in zip((before, after), _differences(*pair), strict=True):
                    values |= {f"{i}.{key}": value for key, value in inside.items()}
        elif old[name] is not new[name] and _plain(old[name]) != _plain(new[name]):
            before[name], after[name] = _plain(old[name]), _plain(new[name])
    return before, after


def _plain(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return [_plain(one["end_step"] if isinstance(one, dict) and "end_step" in one else one) for one in value]
    if isinstance(value, dict):
        return [_plain(one) for one in value]
    return value.item() if isinstance(value, Tensor) and value.numel() == 1 else value
