"""State dicts of torch's learning rate schedulers: which class wrote one, what it must look like, and its rates by formula.

A scheduler's class is known by the keys of its state alone. After k steps it has last_epoch = k, and the learning rate of the
next optimizer step in _last_lr, one for each parameter group.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from ..rules import FieldError
from .optimizer_state import as_number

COMMON_KEYS = {"base_lrs", "last_epoch", "verbose", "_step_count", "_last_lr", "_get_lr_called_within_step", "_is_initial"}
MOST_STEPS = 10**12
NUMBER_KEYS = {
    "T_max",
    "eta_min",
    "T_0",
    "T_i",
    "T_mult",
    "T_cur",
    "start_factor",
    "end_factor",
    "total_iters",
    "factor",
    "power",
    "step_size",
    "gamma",
    "total_steps",
}
REMEDY = "give what scheduler.state_dict() returned"

SchedulerState = Mapping[str, Any]
Rates = list[float]  # the learning rate of each parameter group


@dataclass(frozen=True)
class SchedulerKind:
    """One of torch's classes: the keys that its state has beside the common ones, and how they move.

    lengths: counts of steps; rates: learning rates; per_step: factors per step; rates_at: the learning rate of every group at
    last_epoch by the scheduler's own formula, where its state holds all of it; advice: what else is to be done; optional: keys
    that only some versions or settings write.
    """

    name: str
    keys: set[str]
    lengths: tuple[str, ...] = ()
    rates: tuple[str, ...] = ()
    per_step: tuple[str, ...] = ()
    rates_at: Callable[[SchedulerState], Rates] | None = None
    advice: str = ""
    optional: set[str] = field(default_factory=set)
    counts_evaluations: bool = False


def _times_base(state: SchedulerState, factor: float) -> Rates:
    """The base learning rates times a factor."""
    return [float(base) * factor for base in state["base_lrs"]]


def _cosine(state: SchedulerState, position: float, period: float) -> Rates:
    """Half a period of a cosine from the base learning rates to eta_min."""
    lowest = float(state["eta_min"])
    return [lowest + (float(base) - lowest) * (1 + math.cos(math.pi * position / period)) / 2 for base in state["base_lrs"]]


def _linear(state: SchedulerState) -> Rates:
    start, end, total = state["start_factor"], state["end_factor"], state["total_iters"]
    return _times_base(state, start + (end - start) * min(total, state["last_epoch"]) / total)


def _polynomial(state: SchedulerState) -> Rates:
    total = state["total_iters"]
    return _times_base(state, (1 - min(total, state["last_epoch"]) / total) ** state["power"])


def _milestones_passed(state: SchedulerState) -> int:
    passed: int = sum(times for milestone, times in state["milestones"].items() if milestone <= state["last_epoch"])
    return passed


KINDS = (
    SchedulerKind("LambdaLR", {"lr_lambdas"}, advice="its function stands in your code: divide the lengths in it by {kappa}"),
    SchedulerKind(
        "CosineAnnealingLR",
        {"T_max", "eta_min"},
        ("T_max",),
        ("eta_min",),
        rates_at=lambda s: _cosine(s, s["last_epoch"], s["T_max"]),
    ),
    SchedulerKind(
        "CosineAnnealingWarmRestarts",
        {"T_0", "T_i", "T_mult", "T_cur", "eta_min"},
        ("T_0", "T_i"),
        ("eta_min",),
        rates_at=lambda s: _cosine(s, s["T_cur"], s["T_i"]),
    ),
    SchedulerKind("LinearLR", {"start_factor", "end_factor", "total_iters"}, ("total_iters",), rates_at=_linear),
    SchedulerKind(
        "ConstantLR",
        {"factor", "total_iters"},
        ("total_iters",),
        rates_at=lambda s: _times_base(s, s["factor"] if s["last_epoch"] < s["total_iters"] else 1.0),
    ),
    SchedulerKind("PolynomialLR", {"total_iters", "power"}, ("total_iters",), rates_at=_polynomial),
    SchedulerKind(
        "StepLR",
        {"step_size", "gamma"},
        ("step_size",),
        rates_at=lambda s: _times_base(s, float(s["gamma"]) ** (s["last_epoch"] // s["step_size"])),
    ),
    SchedulerKind(
        "MultiStepLR", {"milestones", "gamma"}, rates_at=lambda s: _times_base(s, float(s["gamma"]) ** _milestones_passed(s))
    ),
    SchedulerKind(
        "ExponentialLR", {"gamma"}, per_step=("gamma",), rates_at=lambda s: _times_base(s, float(s["gamma"]) ** s["last_epoch"])
    ),
    SchedulerKind(
        "OneCycleLR",
        {"total_steps", "_schedule_phases", "_anneal_func_type", "cycle_momentum"},
        ("total_steps",),
        advice="with cycle_momentum it writes beta1 (or momentum) anew in every step, between base_momentum and "
        "max_momentum of the parameter groups, which moved",
        optional={"use_beta1"},
    ),
    SchedulerKind(
        "ReduceLROnPlateau",
        {
            "factor",
            "min_lrs",
            "patience",
            "cooldown",
            "eps",
            "best",
            "cooldown_counter",
            "num_bad_epochs",
            "mode_worse",
            "mode",
            "threshold",
            "threshold_mode",
        },
        rates=("min_lrs", "default_min_lr"),
        advice="it counts evaluations: evaluate after as many samples as before",
        optional={"default_min_lr"},
        counts_evaluations=True,
    ),
    SchedulerKind("SequentialLR", {"_schedulers", "_milestones"}),
)


def is_scheduler_state(value: Any) -> bool:
    """Whether this is what a scheduler's ``state_dict()`` returns, known here or not."""
    return isinstance(value, dict) and (
        "_schedulers" in value
        or ("last_epoch" in value and not value.keys().isdisjoint({"_step_count", "_last_lr", "num_bad_epochs"}))
    )


def kind_of(state: SchedulerState) -> SchedulerKind | None:
    """The class that wrote a state, or None where no class of torch writes just these keys (or it holds others inside it)."""
    keys = state.keys() - COMMON_KEYS
    kind = next((kind for kind in KINDS if kind.keys <= keys <= kind.keys | kind.optional), None)
    if kind is None or "last_epoch" not in state or (kind.rates_at and "base_lrs" not in state):
        return None
    if "_schedulers" in kind.keys:
        children = state["_schedulers"]
        all_known = isinstance(children, list) and 0 < len(children) == len(known_children(state))
        return kind if all_known else None
    return kind


def known_children(state: SchedulerState) -> list[tuple[SchedulerKind, SchedulerState]]:
    """The schedulers inside of a SequentialLR, in their order, each with its class: those that are known."""
    children = state.get("_schedulers")
    return [
        (kind, child)
        for child in (children if isinstance(children, list) else ())
        if is_scheduler_state(child) and "_schedulers" not in child and (kind := kind_of(child))
    ]


def check_scheduler(kind: SchedulerKind, state: SchedulerState) -> None:
    """Raises FieldError where a value of a known scheduler is not what torch writes there."""
    for name in ("last_epoch", *({"_step_count"} & state.keys())):
        _check_number(name, state[name], (int,), least=-1)
    for name in NUMBER_KEYS & kind.keys & state.keys():
        _check_number(name, state[name], (int, float, Tensor) if name == "eta_min" else (int, float))
    for name in {"base_lrs", "_last_lr", "min_lrs", "_milestones"} & state.keys():
        for value in _container(name, state[name], list):
            _check_number(name, value, (int, float) if name == "_milestones" else (int, float, Tensor))
    _container("lr_lambdas", state.get("lr_lambdas", []), list)
    if state.get("default_min_lr") is not None:
        _check_number("default_min_lr", state["default_min_lr"], (int, float))
    if len({len(state[name]) for name in ("base_lrs", "_last_lr") if name in state}) > 1:
        raise FieldError("base_lrs", f"{len(state['base_lrs'])} rates", f"are not as many as those in _last_lr: {REMEDY}")
    if "milestones" in kind.keys:
        for milestone, times in _container("milestones", state["milestones"], dict).items():
            _check_number("milestones", milestone, (int, float))
            _check_number("milestones", times, (int,))
    if "_schedule_phases" in kind.keys:
        for phase in _container("_schedule_phases", state["_schedule_phases"], list):
            _check_number("end_step", _container("_schedule_phases", phase, dict).get("end_step"), (int, float))
        _check_number("total_steps", state["total_steps"], (int, float), least=1)
    if "_schedulers" in kind.keys:
        if len(state["_milestones"]) != len(state["_schedulers"]) - 1:
            raise FieldError("_milestones", len(state["_milestones"]), f"are not one fewer than the schedulers: {REMEDY}")
        for child_kind, child in known_children(state):
            check_scheduler(child_kind, child)


def _container(name: str, value: Any, form: type) -> Any:
    """The list or table itself; raises FieldError for anything else."""
    if not isinstance(value, form):
        raise FieldError(name, type(value).__name__, f"is no {form.__name__}: {REMEDY}")
    return value


def _check_number(name: str, value: Any, types: tuple[type, ...], least: float = -MOST_STEPS) -> None:
    """Raises FieldError for what is no number of these types in [least, 10^12]."""
    number = as_number(name, value)
    if not isinstance(value, types) or isinstance(value, bool) or not least <= number <= MOST_STEPS:  # NaN is in no range
        raise FieldError(name, number, f"is not what a scheduler keeps: {REMEDY}")
