"""How the state dicts of torch's learning rate schedulers move to another batch size.

After k steps a scheduler's state has last_epoch = k, and the lr of the next optimizer step in _last_lr. With kappa = B'/B, the
factor f by which the transfer moves lr, and a prime for the target, the schedule stays the same function of samples seen:

    k' = k / kappa               last_epoch, _step_count; and T_max, total_iters, step_size, milestones ..., all rounded
    base' = f base               base_lrs, eta_min, _last_lr
    gamma' = gamma^kappa         a factor per step (ExponentialLR); one per interval (StepLR, MultiStepLR) is kept

Most of torch's schedulers compute the next lr from the last one. So where rounding moves the position, _last_lr and the lr in
the optimizer's groups become those of the rounded position: what an uninterrupted run at the target batch has there.
A scheduler that counts epochs keeps its position: equal samples are equal epochs.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from torch import Tensor

from .scheduler_state import Rates, SchedulerKind, SchedulerState, known_children


@dataclass(frozen=True)
class SchedulerMove:
    """One transfer: kappa, the factor of the learning rate, and whether the scheduler counts steps (or else epochs)."""

    kappa: Fraction
    lr_factor: float
    counts_steps: bool = True

    def moved(self, kind: SchedulerKind, state: SchedulerState, position: int | None = None) -> tuple[dict[str, Any], list[str]]:
        """What changes in the state of a known scheduler in order (``check_scheduler``), and what was rounded, in words.

        position: where it is to stand, if not at last_epoch / kappa.
        """
        if "_schedulers" in kind.keys:
            return self._moved_sequence(state)
        roundings: list[str] = []
        moved: dict[str, Any] = {
            name: _multiplied(state[name], self.lr_factor) for name in ("base_lrs", *kind.rates) if name in state
        }
        if not kind.counts_evaluations:
            moved |= self._moved_position(state, position, roundings)
        moved |= {name: self._steps_at_target(name, state[name], 1, roundings) for name in kind.lengths}
        if self.counts_steps:
            moved |= {name: state[name] ** float(self.kappa) for name in kind.per_step if state[name] > 0}
            moved |= self._moved_by_class(kind, state, moved, roundings)
        moved["_last_lr"] = self._last_rates(kind, state, {**state, **moved})
        return {name: value for name, value in moved.items() if name in state}, roundings

    def _moved_sequence(self, state: SchedulerState) -> tuple[dict[str, Any], list[str]]:
        """SequentialLR: each of its schedulers counts from its own milestone; one that is still to come stands at -1."""
        roundings: list[str] = []
        milestones = [self._steps_at_target("milestone", milestone, 1, roundings) for milestone in state["_milestones"]]
        moved = self._moved_position(state, None, roundings) | {"_milestones": milestones}
        active, children = bisect_right(milestones, moved["last_epoch"]), []
        for i, (kind, child) in enumerate(known_children(state)):
            position = moved["last_epoch"] - [0, *milestones][i] if i == active else child["last_epoch"] if i > active else None
            change, child_roundings = self.moved(kind, child, position if self.counts_steps else None)
            children.append({**child, **change})
            roundings += [text for text in child_roundings if i >= active and "last_epoch" not in text]
        return moved | {"_schedulers": children, "_last_lr": children[active].get("_last_lr", [])}, roundings

    def _moved_position(self, state: SchedulerState, position: int | None, roundings: list[str]) -> dict[str, Any]:
        old = state["last_epoch"]
        new = self._steps_at_target("last_epoch", old, 0, roundings) if position is None else position
        return {"last_epoch": new} | ({"_step_count": state["_step_count"] + new - old} if "_step_count" in state else {})

    def _moved_by_class(
        self, kind: SchedulerKind, state: SchedulerState, moved: Mapping[str, Any], roundings: list[str]
    ) -> dict[str, Any]:
        """What only one class keeps, in a form of its own."""
        if kind.name == "MultiStepLR":
            milestones: Counter[int | float] = Counter()
            for milestone, times in state["milestones"].items():
                milestones[self._steps_at_target("milestone", milestone, 1, roundings)] += times
            return {"milestones": milestones}
        if kind.name == "OneCycleLR":  # a phase of n steps ends at step n - 1, the second of three another step earlier
            phases, ratio = state["_schedule_phases"], moved["total_steps"] / state["total_steps"]
            early = [2 if len(phases) == 3 and i == 1 else 1 for i in range(len(phases))]
            return {
                "_schedule_phases": [
                    {**phase, "end_step": (phase["end_step"] + steps) * ratio - steps}
                    for phase, steps in zip(phases, early, strict=True)
                ]
            }
        if kind.name == "CosineAnnealingWarmRestarts":
            position, period = self._steps_at_target("T_cur", state["T_cur"], 0, roundings), moved["T_i"]
            return {"T_cur": position} if position < period else {"T_cur": position - period, "T_i": period * state["T_mult"]}
        return {}

    def _last_rates(self, kind: SchedulerKind, old: SchedulerState, new: SchedulerState) -> list[Any]:
        """The learning rates at the new position: the old ones, times what the scheduler's formula says of the two positions."""
        before, after = (_rates_by_formula(kind, state) for state in (old, new))
        last = old.get("_last_lr", [])
        if not after or (before and len(after) != len(last)):
            return [_multiplied(rate, self.lr_factor) for rate in last]
        if not before:
            return [rate_like(value, rate) for value, rate in zip(last, after, strict=True)]
        return [
            rate_like(value, float(value) * new_rate / old_rate if old_rate else new_rate)
            for value, old_rate, new_rate in zip(last, before, after, strict=True)
        ]

    def _steps_at_target(self, name: str, steps: float, least: int, roundings: list[str]) -> int | float:
        """A count of steps at the target batch, at least ``least``; what was rounded is added to the list, in words."""
        if not self.counts_steps:
            return steps
        exact = steps / float(self.kappa)
        rounded = max(round(exact), min(least, round(steps)))
        if not math.isclose(exact, rounded, rel_tol=1e-9):
            roundings.append(f"{name} = {steps:.10g} / {float(self.kappa):.6g} = {exact:.10g} is rounded to {rounded}")
        return rounded


def rate_like(old: Any, new: float) -> Any:
    """The new learning rate as the old one was held: in a tensor, or as Python's own."""
    return old.new_full(old.shape, new) if isinstance(old, Tensor) else new


def _rates_by_formula(kind: SchedulerKind, state: SchedulerState) -> Rates | None:
    """The learning rates by the scheduler's own formula; None before its first step, and where it has no number."""
    if kind.rates_at is None or state["last_epoch"] < 0:
        return None
    try:
        rates = kind.rates_at(state)
    except (ArithmeticError, ValueError):
        return None
    return rates if all(isinstance(rate, float) and math.isfinite(rate) for rate in rates) else None


def _multiplied(value: Any, factor: float) -> Any:
    """A learning rate, or a list of them, times a factor; none stays none."""
    if isinstance(value, list):
        return [_multiplied(rate, factor) for rate in value]
    return None if value is None else value * factor
