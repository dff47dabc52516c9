"""What each optimizer in a checkpoint holds, as JSON has it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ..optimizer_state import StateDict, step_counts
from ..other_libraries import in_torch_form
from .contents import find_contents
from .reading import Place, place_text
from .result import OptimizerSummary

LONGEST_LIST = 16  # of a group's value
LONGEST_NAME, LONGEST_TEXT = 80, 200  # characters


def summary(content: Any) -> tuple[OptimizerSummary, ...]:
    """What each optimizer in the content of a file holds. Raises FieldError for one that is not in order."""
    return summarised(find_contents(content).optimizers)


def summarised(optimizers: Sequence[tuple[Place, StateDict]]) -> tuple[OptimizerSummary, ...]:
    """What each of these state dicts holds. Raises FieldError for one that is not in order."""
    return tuple(_summary(place_text(place), state_dict) for place, state_dict in optimizers)


def _summary(where: str, state_dict: StateDict) -> OptimizerSummary:
    family = in_torch_form(state_dict).family
    tensors = Counter(
        str(name)[:LONGEST_NAME]
        for entry in state_dict["state"].values()
        for name, value in entry.items()
        if isinstance(value, Tensor) and name != "step"
    )
    groups = tuple(
        {
            str(name)[:LONGEST_NAME]: len(value) if name == "params" else _as_json(value)
            for name, value in group.items()
            if name != "param_names"
        }
        for group in state_dict["param_groups"]
    )
    return OptimizerSummary(where, family, groups, step_counts(state_dict), dict(tensors))


def _as_json(value: Any, nested: bool = False) -> Any:
    """A value of a group as JSON has it; what is no number, text or short list of them is named by its type."""
    if isinstance(value, Tensor) and value.numel() == 1 and not (value.is_meta or value.is_complex() or value.is_quantized):
        value = _shortest_decimal(value)
    if isinstance(value, (list, tuple)) and not nested and len(value) <= LONGEST_LIST:
        return [_as_json(item, nested=True) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if value is None or (isinstance(value, int) and value.bit_length() <= 64):
        return value
    return value[:LONGEST_TEXT] if isinstance(value, str) else type(value).__name__


def _shortest_decimal(value: Tensor) -> Any:
    """The number in a tensor in the fewest digits that its type keeps: 0.001, not 0.0010000000474974513 (float32)."""
    exact = value.item()
    shorter = (float(f"{exact:.{digits}g}") for digits in range(1, 10)) if value.is_floating_point() else ()
    return next((number for number in shorter if torch.tensor(number, dtype=value.dtype).item() == exact), exact)
