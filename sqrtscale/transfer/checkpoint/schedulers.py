"""The schedulers of a checkpoint: which optimizer each belongs to, whether it counts that one's steps, and its move.

A scheduler's state says neither. It belongs to the optimizer whose learning rates it set last, and counts steps where its
count is the optimizer's: a count of epochs is far smaller, and an equal number of samples is an equal number of epochs.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from torch import Tensor

from ...rules import MomentumForm, TrainingConfig, scale
from ..optimizer_state import StateDict, as_number, step_counts
from ..scheduler_move import SchedulerMove, rate_like
from ..scheduler_state import MOST_STEPS, SchedulerKind, SchedulerState, check_scheduler, kind_of, known_children
from .contents import Contents
from .reading import place_text
from .result import SchedulerChange

SKIPPED = 0.05  # of the steps: a gradient scaler leaves out some of the optimizer's, never of the scheduler's
MOST_NAMES, LONGEST_NAME = 6, 40  # of lengths that a LambdaLR's function keeps, in a note


@dataclass(frozen=True, eq=False)  # each is itself: tensors in the groups have no one answer to ==
class MovedOptimizer:
    """What a scheduler must know of an optimizer's move.

    groups: the moved parameter groups, whose lr may still be corrected; rates: their lr before the move, or None where nothing
    is known but the rule; steps: how many it has made, before the move; lr_factor: by which the move multiplies lr, or None
    where that differs between groups.
    """

    groups: Sequence[dict[str, Any]]
    rates: list[float] | None
    steps: float | None
    lr_factor: float | None

    @classmethod
    def of(cls, old: StateDict, new: StateDict) -> MovedOptimizer:
        """The optimizer whose state dict was ``old`` before its move and is ``new`` after it."""
        steps = step_counts(old)
        if not old["state"] and "dampening" not in old["param_groups"][0]:  # all but SGD keep something from the first step on
            steps = (0.0, 0.0)
        rates = [as_number("lr", group["lr"]) for group in old["param_groups"]]
        factors = [
            factor
            for pair in zip(old["param_groups"], new["param_groups"], strict=True)
            if (factor := _lr_factor(*pair)) is not None
        ]
        agree = factors and all(math.isclose(factor, factors[0], rel_tol=1e-9) for factor in factors)
        return cls(new["param_groups"], rates, steps[1] if steps else None, factors[0] if agree else None)

    @classmethod
    def by_rule(
        cls, family: str, batches: tuple[int, int], momentum_form: MomentumForm, noise_scale: float | None = None
    ) -> MovedOptimizer:
        """One of which only the family is known, with the library's other values: for a scheduler without its optimizer."""
        config = TrainingConfig(family, batches[0], {"lr": 1.0})
        fields = scale(config, batches[1], "half-life", momentum_form, noise_scale=noise_scale).fields
        return cls([], None, None, next(field.scaled for field in fields if field.name == "lr"))


def _lr_factor(old: Mapping[str, Any], new: Mapping[str, Any]) -> float | None:
    """By how much the lr of a group grew; None where it was 0."""
    for name in ("initial_lr", "lr"):
        if name in old and as_number(name, old[name]):
            factor: float = as_number(name, new[name]) / as_number(name, old[name])
            return factor
    return None


def move_schedulers(contents: Contents, kappa: Fraction, optimizers: Sequence[MovedOptimizer]) -> tuple[SchedulerChange, ...]:
    """Move every scheduler of a file in place, and the lr of its optimizer's groups where rounding moves its position.

    Raises FieldError where the state of a known scheduler is not in order.
    """
    changes: list[SchedulerChange] = []
    taken: list[MovedOptimizer] = []
    for place, state in contents.schedulers:
        where, kind = place_text(place), kind_of(state)
        if kind is None:
            advice = how_to_recreate(_position(state), kappa)
            changes.append(SchedulerChange(where, None, {}, {}, f"is not known and stays as it is: {advice}"))
            continue
        check_scheduler(kind, state)
        optimizer = _optimizer_of(state, optimizers, taken)
        if optimizer is None or optimizer.lr_factor is None:
            advice = how_to_recreate(_position(state), kappa)
            changes.append(
                SchedulerChange(
                    where,
                    kind.name,
                    {},
                    {},
                    f"stays as it is, because no optimizer here, or not only one, fits its learning rates: {advice}",
                )
            )
            continue
        taken.append(optimizer)
        counts_steps, remark = _counts_steps(state["last_epoch"], optimizer, contents)
        change, roundings = SchedulerMove(kappa, optimizer.lr_factor, counts_steps).moved(kind, state)
        note = _note(kind, state, kappa, counts_steps, remark)
        before, after = _differences(state, {**state, **change})
        _correct_rates(optimizer.groups, optimizer.lr_factor, state.get("_last_lr", []), change.get("_last_lr", []))
        dict.update(state, change)
        changes.append(SchedulerChange(where, kind.name, before, after, "; ".join([note, *roundings])))
    return tuple(changes)


def how_to_recreate(steps: float | None, kappa: Fraction) -> str:
    """How to make a scheduler anew that goes on after so many steps of the old batch, if that is known."""
    by = f"{float(kappa):.6g}"
    if steps is None:
        return f"make it anew with its lengths in steps / {by} and last_epoch = steps so far / {by} - 1"
    exact = steps / float(kappa) - 1
    last = round(exact + 1) - 1
    rounded = "" if math.isclose(exact, last, rel_tol=1e-9, abs_tol=1e-9) else f" = {exact:.6g}, rounded"
    return f"make it anew with its lengths in steps / {by} and last_epoch = {last} ({steps:.10g} / {by} - 1{rounded})"


def counts_optimizer_steps(position: int, steps: float) -> bool:
    """Whether a scheduler at this position counts the steps of an optimizer that has made so many."""
    return abs(position - steps) <= max(1, SKIPPED * steps)


def what_else_it_counts(position: int, steps: float) -> str:
    """What a scheduler counts that does not count the optimizer's steps, in words."""
    unit = "epochs" if position < steps else "the steps of several processes"
    return f"counts {position} where the optimizer has made {steps:.10g} steps, so it is taken to count {unit}"


def _counts_steps(position: int, optimizer: MovedOptimizer, contents: Contents) -> tuple[bool, str]:
    """Whether a scheduler counts steps, and a remark where that is not certain."""
    if optimizer.steps is not None:
        same = counts_optimizer_steps(position, optimizer.steps)
        return same, "" if same else what_else_it_counts(position, optimizer.steps)
    if any(abs(position - count) <= 1 for _, count in contents.counters):
        return True, ""
    if any(abs(position - epoch) <= 1 for epoch in contents.epochs):
        return False, f"counts {position}, as an epoch of the file does, so it is taken to count epochs"
    if not contents.optimizers:  # a scheduler alone, which is there to be moved
        return True, "is taken to count steps, because nothing here says what it counts"
    return False, f"counts {position}, and nothing here says whether steps or epochs"


def _position(state: SchedulerState) -> int | None:
    """The position of any scheduler, known or not, where it is a sound number."""
    position = state.get("last_epoch")
    return position if type(position) is int and 0 <= position < MOST_STEPS else None


def _optimizer_of(
    state: SchedulerState, optimizers: Sequence[MovedOptimizer], taken: Collection[MovedOptimizer]
) -> MovedOptimizer | None:
    """The optimizer whose learning rates a scheduler set last, or one with as many groups; None where several differ.

    taken: those that have a scheduler already, which come last.
    """
    rates = _rates(state)
    fitting = [optimizer for optimizer in optimizers if optimizer.rates is None or len(optimizer.rates) == len(rates)]
    set_last = [
        optimizer
        for optimizer in fitting
        if optimizer.rates is not None
        and all(math.isclose(rate, group_rate, rel_tol=1e-6) for rate, group_rate in zip(rates, optimizer.rates, strict=True))
    ]
    candidates = set_last or fitting
    free = [optimizer for optimizer in candidates if optimizer not in taken] or candidates
    alike = len({(optimizer.steps, optimizer.lr_factor) for optimizer in candidates}) == 1
    return free[0] if alike else None


def _rates(state: SchedulerState) -> list[float]:
    """The learning rates that a scheduler set last, or starts from, one for each group."""
    rates = state.get("_last_lr") or [*state.get("_schedulers", []), state][0].get("base_lrs", [])
    return [as_number("lr", rate) for rate in rates]


def _correct_rates(groups: Sequence[dict[str, Any]], lr_factor: float, old: Sequence[Any], new: Sequence[Any]) -> None:
    """Where rounding has moved the schedule's position, the groups' lr follow: the next lr is computed from them.

    old, new: the scheduler's last learning rates before and after its move.
    """
    for group, before, after in zip(groups, old, new, strict=False):
        expected, reached = float(before) * lr_factor, float(after)
        if not math.isclose(reached, expected, rel_tol=1e-9):
            lr = as_number("lr", group["lr"]) * reached / expected if expected else reached
            group["lr"] = rate_like(group["lr"], lr)


def _note(kind: SchedulerKind, state: SchedulerState, kappa: Fraction, counts_steps: bool, remark: str) -> str:
    """What becomes of a scheduler, and what is left to do."""
    if kind.counts_evaluations:
        return f"its learning rates moved; {kind.advice}"
    if not counts_steps:
        return (
            f"{remark}: its learning rates moved, its position and lengths did not; where it counts steps, "
            f"{how_to_recreate(_position(state), kappa)}"
        )
    kinds = [kind, *(child_kind for child_kind, _ in known_children(state))]
    advice = [kind.advice for kind in kinds if kind.advice]
    lengths = [
        name[:LONGEST_NAME]
        for table in state.get("lr_lambdas", ())
        if isinstance(table, dict)
        for name in table
        if isinstance(name, str)
    ]
    if lengths:
        advice.append(
            f"loading it sets {', '.join(lengths[:MOST_NAMES])} of that function to the old values: set the new ones after it"
        )
    position = round(state["last_epoch"] / kappa)
    start = f"goes on at step {position} of the new batch (made anew instead, it needs last_epoch = {position - 1})"
    return "; ".join(dict.fromkeys(filter(None, [start, remark, *advice]))).replace("{kappa}", f"{float(kappa):.6g}")


def _differences(old: SchedulerState, new: SchedulerState) -> tuple[dict[str, Any], dict[str, Any]]:
    """The values that differ between two states of a scheduler, as JSON has them; those of a scheduler inside by its index."""
    before: dict[str, Any] = {}
    after: dict[str, Any] = {}
    for name in old:
        if name == "_schedulers":
            for i, pair in enumerate(zip(old[name], new[name], strict=True)):
                for values, child_values in zip((before, after), _differences(*pair), strict=True):
                    values |= {f"{i}.{key}": value for key, value in child_values.items()}
        elif old[name] is not new[name] and _as_json(old[name]) != _as_json(new[name]):
            before[name], after[name] = _as_json(old[name]), _as_json(new[name])
    return before, after


def _as_json(value: Any) -> Any:
    """A value of a scheduler as JSON has it: of a phase its last step, of a table of milestones these alone."""
    if isinstance(value, (list, tuple)):
        return [_as_json(item["end_step"] if isinstance(item, dict) and "end_step" in item else item) for item in value]
    if isinstance(value, dict):
        return [_as_json(key) for key in value]
    return value.item() if isinstance(value, Tensor) and value.numel() == 1 else value
