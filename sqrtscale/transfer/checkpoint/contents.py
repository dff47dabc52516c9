"""What is in a checkpoint beside weights: optimizers and schedulers by their form, averages and counters by their names."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from ..optimizer_state import is_state_dict
from ..scheduler_state import MOST_STEPS, is_scheduler
from .reading import Place, place_text, refused, walk

MOMENTS = {"exp_avg", "exp_avg_sq", "max_exp_avg_sq", "square_avg", "grad_avg", "momentum_buffer", "state1", "state2"}
COUNTER = re.compile(r"(step|iter|update|batches_that)", re.IGNORECASE)
AVERAGE = re.compile(r"(^|_)(ema|swa)(_|$)|^n_averaged$|shadow_params", re.IGNORECASE)
SHALLOW = 2  # further inside a name may mean anything
LONGEST_NAME = 80


@dataclass(frozen=True)
class Contents:
    """What was found, each with its place.

    optimizers, schedulers: state dicts; other_state: places of optimizer state in a form that is not one; counters: whole
    numbers whose names count steps; epochs: those whose names count epochs; averages: what holds averaged weights, or counts
    them; named_schedulers: what a name with "sched" in it holds that is no scheduler's state dict.
    """

    optimizers: tuple[tuple[Place, dict[str, Any]], ...]
    schedulers: tuple[tuple[Place, dict[str, Any]], ...]
    other_state: tuple[Place, ...]
    counters: tuple[tuple[Place, int], ...]
    epochs: tuple[int, ...]
    averages: tuple[tuple[Place, Any], ...]
    named_schedulers: tuple[str, ...]


def contents(content: Any) -> Contents:
    """Everything of a file that a change of the batch touches."""
    optimizers, schedulers, other_state, named_schedulers = [], [], [], []
    counters: list[tuple[Place, int]] = []
    epochs: list[int] = []
    averages: list[tuple[Place, Any]] = []
    for place, value in walk(content, inside=lambda value: not is_state_dict(value) and not is_scheduler(value)):
        if is_state_dict(value):
            optimizers.append((place, value))
        elif is_scheduler(value):
            schedulers.append((place, value))
        elif isinstance(value, dict):
            for key, child in value.items():
                if not isinstance(key, str) or len(key) > LONGEST_NAME:
                    continue
                here = (*place, key)
                if isinstance(child, Tensor) and key.rpartition(".")[2] in MOMENTS:
                    other_state.append(here)
                if type(child) is int and 0 <= child < MOST_STEPS:
                    if COUNTER.search(place_text(here)):
                        counters.append((here, child))
                    elif len(place) < SHALLOW and "epoch" in key.lower():
                        epochs.append(child)
                if len(place) < SHALLOW and AVERAGE.search(key):
                    averages.append((here, child))
                if len(place) < SHALLOW and "sched" in key.lower() and _is_unknown_scheduler(child):
                    named_schedulers.append(place_text(here))
    return Contents(tuple(optimizers), tuple(schedulers), tuple(other_state), tuple(counters), tuple(epochs),
                    tuple(averages), tuple(named_schedulers))


def check_nothing_left(path: str | Path, found: Contents) -> None:
    """Raises FieldError for a file with optimizer state that would stay as it was, or with none at all."""
    if found.other_state:
        place = found.other_state[0]
        why = "in a form that is not known: save what optimizer.state_dict() returns"
        if "base_optimizer_state" in place:
            why = ("DeepSpeed's elastic form without hyperparameters: save with \"elastic_checkpoint\": false in "
                   "zero_optimization, and move the file of every rank")
        elif "." in place[-1]:
            why = "flattened: save it nested, without flatten_optimizer_state_dict"
        raise refused(path, f"holds optimizer state at {place_text(place)[:120]}, {why}")
    if not found.optimizers:
        raise refused(path, "holds no optimizer state: give a file with what optimizer.state_dict() returned, by itself or under "
                      "any name")


def _is_unknown_scheduler(value: Any) -> bool:
    """Whether something under a scheduler's name is filled, and no state dict of a scheduler, or list or table of them."""
    if not isinstance(value, (dict, list, tuple)) or is_scheduler(value):
        return False
    inside = value.values() if isinstance(value, dict) else value
    return not all(is_scheduler(one) for one in inside)
