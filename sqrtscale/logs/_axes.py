"""Which columns of a log count where a point stands, by their names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

AXIS_NAMES: Mapping[str, tuple[str, ...]] = {
    "step": (
        "step",
        "steps",
        "global_step",
        "current_steps",
        "train_global_step",
        "trainer_global_step",
        "iter",
        "iters",
        "iteration",
        "iterations",
        "iter_num",
        "update",
        "updates",
        "num_updates",
        "optimizer_step",
        "train_step",
        "batch_idx",
    ),
    "samples": (
        "samples",
        "samples_seen",
        "seen_samples",
        "num_samples",
        "n_samples",
        "consumed_samples",
        "consumed_train_samples",
        "train_samples",
        "examples",
        "examples_seen",
        "num_examples",
        "images_seen",
    ),
    "tokens": (
        "tokens",
        "tokens_seen",
        "seen_tokens",
        "num_tokens",
        "n_tokens",
        "consumed_tokens",
        "total_tokens",
        "train_tokens",
        "num_input_tokens_seen",
        "train_num_input_tokens_seen",
    ),
    "epoch": ("epoch", "epochs", "train_epoch", "trainer_epoch"),
    "wall_time": ("wall_time", "timestamp", "runtime", "elapsed_time", "relative_time_process", "relative_time_wall"),
}
_AXIS_OF = {name: axis for axis, names in AXIS_NAMES.items() for name in names}


def normal(name: str) -> str:
    """A column's name without case and separators: ``Train/Global-Step`` is train_global_step."""
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")


def axis_of(name: str) -> str | None:
    """The axis that a column of that name counts, if any."""
    return _AXIS_OF.get(normal(name))


def axes_among(names: Iterable[str]) -> dict[str, list[str]]:
    """Axis -> the columns that may count it."""
    candidates: dict[str, list[str]] = {}
    for name in names:
        axis = axis_of(name)
        if axis is not None:
            candidates.setdefault(axis, []).append(name)
    return candidates
