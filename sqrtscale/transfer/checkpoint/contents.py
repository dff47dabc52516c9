"""What is in a checkpoint beside weights: optimizers and schedulers by their form, averages and counters by their names."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from ..optimizer_state import is_state_dict
from ..scheduler_state import MOST_STEPS, is_scheduler_state
from .reading import Place, place_text, refusal, walk

MOMENTS = {"exp_avg", "exp_avg_sq", "max_exp_avg_sq", "square_avg", "grad_avg", "momentum_buffer", "state1", "state2"}
COUNTER = re.compile(r"(step|iter|update|batches_that)", re.IGNORECASE)
AVERAGE = re.compile(r"(^|_)(ema|swa)(_|$)|^n_averaged$|shadow_params", re.IGNORECASE)
SHALLOW = 2  # keys from the root of the file: further inside a name may mean anything
LONGEST_NAME = 80


@dataclass(frozen=True)
class Contents:
    """All in a file that a change of the batch touches, each with its place.

    optimizers, schedulers: state dicts; unknown_state: places of optimizer state in a form that is no state dict; counters:
    whole numbers whose names count steps; epochs: those whose names count epochs; averages: what holds averaged weights, or
    counts them; unknown_schedulers: places with "sched" in their name that hold no scheduler's state dict.
    """

    optimizers: tuple[tuple[Place, dict[str, Any]], ...]
    schedulers: tuple[tuple[Place, dict[str, Any]], ...]
    unknown_state: tuple[Place, ...]
    counters: tuple[tuple[Place, int], ...]
    epochs: tuple[int, ...]
    averages: tuple[tuple[Place, Any], ...]
    unknown_schedulers: tuple[str, ...]


def find_contents(content: Any) -> Contents:
    """Everything in what a file holds that a change of the batch touches."""
    optimizers: list[tuple[Place, dict[str, Any]]] = []
    schedulers: list[tuple[Place, dict[str, Any]]] = []
    unknown_state: list[Place] = []
    unknown_schedulers: list[str] = []
    counters: list[tuple[Place, int]] = []
    epochs: list[int] = []
    averages: list[tuple[Place, Any]] = []
    for place, value in walk(content, descend=lambda value: not is_state_dict(value) and not is_scheduler_state(value)):
        if is_state_dict(value):
            optimizers.append((place, value))
        elif is_scheduler_state(value):
            schedulers.append((place, value))
        elif isinstance(value, dict):
            for key, child in value.items():
                if not isinstance(key, str) or len(key) > LONGEST_NAME:
                    continue
                here = (*place, key)
                if isinstance(child, Tensor) and key.rpartition(".")[2] in MOMENTS:
                    unknown_state.append(here)
                if type(child) is int and 0 <= child < MOST_STEPS:
                    if COUNTER.search(place_text(here)):
                        counters.append((here, child))
                    elif len(place) < SHALLOW and "epoch" in key.lower():
                        epochs.append(child)
                if len(place) < SHALLOW and AVERAGE.search(key):
                    averages.append((here, child))
                if len(place) < SHALLOW and "sched" in key.lower() and _is_unknown_scheduler(child):
                    unknown_schedulers.append(place_text(here))
    return Contents(
        tuple(optimizers),
        tuple(schedulers),
        tuple(unknown_state),
        tuple(counters),
        tuple(epochs),
        tuple(averages),
        tuple(unknown_schedulers),
    )


def check_movable(path: str | Path, contents: Contents) -> None:
    """Raises FieldError for a file with optimizer state that would stay as it was, or with none at all."""
    if contents.unknown_state:
        place = contents.unknown_state[0]
        reason = "in a form that is not known: save what optimizer.state_dict() returns"
        if "base_optimizer_state" in place:
            reason = (
                'DeepSpeed\'s elastic form without hyperparameters: save with "elastic_checkpoint": false in '
                "zero_optimization, and move the file of every rank"
            )
        elif "." in place[-1]:
            reason = "flattened: save it nested, without flatten_optimizer_state_dict"
        raise refusal(path, f"holds optimizer state at {place_text(place)[:120]}, {reason}")
    if not contents.optimizers:
        raise refusal(
            path, "holds no optimizer state: give a file with what optimizer.state_dict() returned, by itself or under any name"
        )


def _is_unknown_scheduler(value: Any) -> bool:
    """Whether a value under a scheduler's name is filled, and no state dict of a scheduler, or list or table of them."""
    if not isinstance(value, (dict, list, tuple)) or is_scheduler_state(value):
        return False
    children = value.values() if isinstance(value, dict) else value
    return not all(is_scheduler_state(child) for child in children)
