"""State dicts of torch's learning rate schedulers: known by their keys, and moved to another batch size.

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
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from torch import Tensor

from ..rules import FieldError
from .optimizer_state import number

COMMON = {"base_lrs", "last_epoch", "verbose", "_step_count", "_last_lr", "_get_lr_called_within_step", "_is_initial"}
MOST_STEPS = 10**12
NUMBERS = {"T_max", "eta_min", "T_0", "T_i", "T_mult", "T_cur", "start_factor", "end_factor", "total_iters", "factor", "power",
           "step_size", "gamma", "total_steps"}
INTACT = "give what scheduler.state_dict() returned"

State = Mapping[str, Any]
Rates = list[float]


@dataclass(frozen=True)
class Kind:
    """One of torch's classes: the keys that its state has beside the common ones, and how they move.

    lengths: counts of steps; rates: learning rates; per_step: factors per step; rates_at: the lr of every group at last_epoch
    by the scheduler's own formula, where its state holds all of it; advice: what else is to be done; optional: keys that only
    some versions or settings write.
    """

    name: str
    keys: set[str]
    lengths: tuple[str, ...] = ()
    rates: tuple[str, ...] = ()
    per_step: tuple[str, ...] = ()
    rates_at: Callable[[State], Rates] | None = None
    advice: str = ""
    optional: set[str] = field(default_factory=set)
    counts_evaluations: bool = False


@dataclass(frozen=True)
class Shift:
    """How schedulers move: kappa, the factor of the learning rate, and whether they count steps (or else epochs)."""

    kappa: Fraction
    factor: float
    counts_steps: bool = True

    def shrunk(self, name: str, value: float, least: int, roundings: list[str]) -> int | float:
        """A count of steps at the target batch; what was rounded is added to the list, in words."""
        if not self.counts_steps:
            return value
        exact = value / float(self.kappa)
        whole = max(round(exact), min(least, round(value)))
        if not math.isclose(exact, whole, rel_tol=1e-9):
            roundings.append(f"{name} = {value:.10g} / {float(self.kappa):.6g} = {exact:.10g} is rounded to {whole}")
        return whole


def _each(state: State, shape: float) -> Rates:
    return [float(base) * shape for base in state["base_lrs"]]


def _cosine(state: State, position: float, period: float) -> Rates:
    lowest = float(state["eta_min"])
    return [lowest + (float(base) - lowest) * (1 + math.cos(math.pi * position / period)) / 2 for base in state["base_lrs"]]


def _linear(state: State) -> Rates:
    start, end, total = state["start_factor"], state["end_factor"], state["total_iters"]
    return _each(state, start + (end - start) * min(total, state["last_epoch"]) / total)


def _polynomial(state: State) -> Rates:
    total = state["total_iters"]
    return _each(state, (1 - min(total, state["last_epoch"]) / total) ** state["power"])


def _milestones_passed(state: State) -> int:
    return sum(times for milestone, times in state["milestones"].items() if milestone <= state["last_epoch"])


KINDS = (
    Kind("LambdaLR", {"lr_lambdas"}, advice="its function stands in your code: divide the lengths in it by {kappa}"),
    Kind("CosineAnnealingLR", {"T_max", "eta_min"}, ("T_max",), ("eta_min",),
         rates_at=lambda s: _cosine(s, s["last_epoch"], s["T_max"])),
    Kind("CosineAnnealingWarmRestarts", {"T_0", "T_i", "T_mult", "T_cur", "eta_min"}, ("T_0", "T_i"), ("eta_min",),
         rates_at=lambda s: _cosine(s, s["T_cur"], s["T_i"])),
    Kind("LinearLR", {"start_factor", "end_factor", "total_iters"}, ("total_iters",), rates_at=_linear),
    Kind("ConstantLR", {"factor", "total_iters"}, ("total_iters",),
         rates_at=lambda s: _each(s, s["factor"] if s["last_epoch"] < s["total_iters"] else 1.0)),
    Kind("PolynomialLR", {"total_iters", "power"}, ("total_iters",), rates_at=_polynomial),
    Kind("StepLR", {"step_size", "gamma"}, ("step_size",),
         rates_at=lambda s: _each(s, float(s["gamma"]) ** (s["last_epoch"] // s["step_size"]))),
    Kind("MultiStepLR", {"milestones", "gamma"}, rates_at=lambda s: _each(s, float(s["gamma"]) ** _milestones_passed(s))),
    Kind("ExponentialLR", {"gamma"}, per_step=("gamma",), rates_at=lambda s: _each(s, float(s["gamma"]) ** s["last_epoch"])),
    Kind("OneCycleLR", {"total_steps", "_schedule_phases", "_anneal_func_type", "cycle_momentum"}, ("total_steps",),
         advice="with cycle_momentum it writes beta1 (or momentum) anew in every step, between base_momentum and max_momentum of "
         "the parameter groups, which moved", optional={"use_beta1"}),
    Kind("ReduceLROnPlateau", {"factor", "min_lrs", "patience", "cooldown", "eps", "best", "cooldown_counter", "num_bad_epochs",
                               "mode_worse", "mode", "threshold", "threshold_mode"}, rates=("min_lrs", "default_min_lr"),
         advice="it counts evaluations: evaluate after as many samples as before", optional={"default_min_lr"},
         counts_evaluations=True),
    Kind("SequentialLR", {"_schedulers", "_milestones"}),
)


def is_scheduler(value: Any) -> bool:
    """Whether this is what a scheduler's ``state_dict()`` returns, known here or not."""
    return isinstance(value, dict) and ("_schedulers" in value or (
        "last_epoch" in value and not value.keys().isdisjoint({"_step_count", "_last_lr", "num_bad_epochs"})))


def kind_of(state: State) -> Kind | None:
    """The class that wrote a state, or None where no class of torch writes just these keys (or it holds others inside it)."""
    keys = state.keys() - COMMON
    kind = next((kind for kind in KINDS if kind.keys <= keys <= kind.keys | kind.optional), None)
    if kind is None or "last_epoch" not in state or (kind.rates_at and "base_lrs" not in state):
        return None
    if "_schedulers" in kind.keys:
        children = state["_schedulers"]
        known = isinstance(children, list) and len(children) > 0 and all(
            is_scheduler(child) and "_schedulers" not in child and kind_of(child) for child in children)
        return kind if known else None
    return kind


def move(state: State, shift: Shift, position: int | None = None) -> tuple[dict[str, Any], list[str]]:
    """What changes in the state of a known scheduler in order (``check``), and what was rounded, in words.

    position: where it is to stand, if not at last_epoch / kappa.
    """
    kind = kind_of(state)
    if "_schedulers" in kind.keys:
        return _move_sequence(state, shift)
    roundings: list[str] = []
    moved: dict[str, Any] = {name: _times(state[name], shift.factor) for name in ("base_lrs", *kind.rates) if name in state}
    if not kind.counts_evaluations:
        moved |= _position(state, shift, position, roundings)
    moved |= {name: shift.shrunk(name, state[name], 1, roundings) for name in kind.lengths}
    if shift.counts_steps:
        moved |= {name: state[name] ** float(shift.kappa) for name in kind.per_step if state[name] > 0}
        moved |= _own_form(kind, state, moved, shift, roundings)
    moved["_last_lr"] = _last_rates(kind, state, {**state, **moved}, shift.factor)
    return {name: value for name, value in moved.items() if name in state}, roundings


def _move_sequence(state: State, shift: Shift) -> tuple[dict[str, Any], list[str]]:
    """SequentialLR: each of its schedulers counts from its own milestone; one that is still to come stands at -1."""
    roundings: list[str] = []
    milestones = [shift.shrunk("milestone", milestone, 1, roundings) for milestone in state["_milestones"]]
    moved = _position(state, shift, None, roundings) | {"_milestones": milestones}
    active, children = bisect_right(milestones, moved["last_epoch"]), []
    for i, child in enumerate(state["_schedulers"]):
        place = moved["last_epoch"] - [0, *milestones][i] if i == active else child["last_epoch"] if i > active else None
        change, more = move(child, shift, place if shift.counts_steps else None)
        children.append({**child, **change})
        roundings += [text for text in more if i >= active and "last_epoch" not in text]
    return moved | {"_schedulers": children, "_last_lr": children[active].get("_last_lr", [])}, roundings


def _position(state: State, shift: Shift, position: int | None, roundings: list[str]) -> dict[str, Any]:
    old = state["last_epoch"]
    new = shift.shrunk("last_epoch", old, 0, roundings) if position is None else position
    return {"last_epoch": new} | ({"_step_count": state["_step_count"] + new - old} if "_step_count" in state else {})


def _own_form(kind: Kind, state: State, moved: Mapping[str, Any], shift: Shift, roundings: list[str]) -> dict[str, Any]:
    """What only one class keeps, in a form of its own."""
    if kind.name == "MultiStepLR":
        milestones: Counter[int | float] = Counter()
        for milestone, times in state["milestones"].items():
            milestones[shift.shrunk("milestone", milestone, 1, roundings)] += times
        return {"milestones": milestones}
    if kind.name == "OneCycleLR":  # a phase of n steps ends at step n - 1, the second of three another step earlier
        phases, shrunk = state["_schedule_phases"], moved["total_steps"] / state["total_steps"]
        early = [2 if len(phases) == 3 and i == 1 else 1 for i in range(len(phases))]
        return {"_schedule_phases": [{**phase, "end_step": (phase["end_step"] + less) * shrunk - less}
                                     for phase, less in zip(phases, early, strict=True)]}
    if kind.name == "CosineAnnealingWarmRestarts":
        place, period = shift.shrunk("T_cur", state["T_cur"], 0, roundings), moved["T_i"]
        return {"T_cur": place} if place < period else {"T_cur": place - period, "T_i": period * state["T_mult"]}
    return {}


def _last_rates(kind: Kind, old: State, new: State, factor: float) -> list[Any]:
    """The learning rates at the new position: the old ones, times what the scheduler's formula says of the two positions."""
    before, after = (_by_formula(kind, state) for state in (old, new))
    last = old.get("_last_lr", [])
    if not after or (before and len(after) != len(last)):
        return _times(last, factor)
    if not before:
        return [like(value, rate) for value, rate in zip(last, after, strict=True)]
    return [like(value, float(value) * rate / was if was else rate)
            for value, was, rate in zip(last, before, after, strict=True)]


def _by_formula(kind: Kind, state: State) -> Rates | None:
    """The learning rates by the scheduler's own formula; None before its first step, and where it has no number."""
    if kind.rates_at is None or state["last_epoch"] < 0:
        return None
    try:
        rates = kind.rates_at(state)
    except (ArithmeticError, ValueError):
        return None
    return rates if all(isinstance(rate, float) and math.isfinite(rate) for rate in rates) else None


def _times(value: Any, factor: float) -> Any:
    if isinstance(value, list):
        return [_times(rate, factor) for rate in value]
    return None if value is None else value * factor


def like(old: Any, new: float) -> Any:
    """The new number as the old one was held: in a tensor, or as Python's own."""
    return old.new_full(old.shape, new) if isinstance(old, Tensor) else new


def check(kind: Kind, state: State) -> None:
    """Raises FieldError where a value of a known scheduler is not what torch writes there."""
    for name in ("last_epoch", *({"_step_count"} & state.keys())):
        _check_number(name, state[name], (int,), least=-1)
    for name in NUMBERS & kind.keys & state.keys():
        _check_number(name, state[name], (int, float, Tensor) if name == "eta_min" else (int, float))
    for name in {"base_lrs", "_last_lr", "min_lrs", "_milestones"} & state.keys():
        for value in _items(name, state[name], list):
            _check_number(name, value, (int, float) if name == "_milestones" else (int, float, Tensor))
    _items("lr_lambdas", state.get("lr_lambdas", []), list)
    if state.get("default_min_lr") is not None:
        _check_number("default_min_lr", state["default_min_lr"], (int, float))
    if len({len(state[name]) for name in ("base_lrs", "_last_lr") if name in state}) > 1:
        raise FieldError("base_lrs", f"{len(state['base_lrs'])} rates", f"are not as many as those in _last_lr: {INTACT}")
    if "milestones" in kind.keys:
        for milestone, times in _items("milestones", state["milestones"], dict).items():
            _check_number("milestones", milestone, (int, float))
            _check_number("milestones", times, (int,))
    if "_schedule_phases" in kind.keys:
        for phase in _items("_schedule_phases", state["_schedule_phases"], list):
            _check_number("end_step", _items("_schedule_phases", phase, dict).get("end_step"), (int, float))
        _check_number("total_steps", state["total_steps"], (int, float), least=1)
    if "_schedulers" in kind.keys:
        if len(state["_milestones"]) != len(state["_schedulers"]) - 1:
            raise FieldError("_milestones", len(state["_milestones"]), f"are not one fewer than the schedulers: {INTACT}")
        for child in state["_schedulers"]:
            check(kind_of(child), child)


def _items(name: str, value: Any, form: type) -> Any:
    """The list or table itself; raises FieldError for anything else."""
    if not isinstance(value, form):
        raise FieldError(name, type(value).__name__, f"is no {form.__name__}: {INTACT}")
    return value


def _check_number(name: str, value: Any, types: tuple[type, ...], least: float = -MOST_STEPS) -> None:
    """Raises FieldError for what is no number of these types in [least, 10^12]."""
    known = number(name, value)
    if not isinstance(value, types) or isinstance(value, bool) or not least <= known <= MOST_STEPS:  # NaN is in no range
        raise FieldError(name, known, f"is not what a scheduler keeps: {INTACT}")
