"""A saved checkpoint moved to another batch size, written to a new file."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import torch

from ...rules import DecayForm, FieldError, MomentumForm
from ...rules.signal import excess
from ..optimizer import transfer_state_dict
from ..optimizer_move import BatchChange, batch_pair, check_noise_scale
from ..optimizer_state import StateDict, family_named
from ..scheduler_state import is_scheduler_state
from .contents import check_movable, find_contents
from .notes import clipping, neighbouring_files, notes
from .reading import read
from .result import Transferred, partial_file
from .schedulers import MovedOptimizer, move_schedulers
from .summary import summarised


def transfer_checkpoint(
    source: str | Path,
    out: str | Path,
    kappa: BatchChange,
    optimizer: str | None = None,
    decay_form: DecayForm = "linear",
    momentum_form: MomentumForm = "kept",
    noise_scale: float | None = None,
) -> Transferred:
    """Write ``source`` to the new file ``out`` with every optimizer and scheduler in it moved to a batch ``kappa`` times larger.

    The arguments are those of :func:`sqrtscale.transfer.optimizer.transfer_state_dict`; noise_scale: of every optimizer in it, or
    None for the square-root rule. The file may also hold a scheduler
    alone; what an optimizer's file in the same folder says then decides how it moves. Weights and everything else stay as they
    are, and so does ``source``. ``out`` appears whole or not at all, with its tensors on the CPU. Raises FieldError for a file
    that exists, one without an optimizer, and all that the transfer refuses; OSError where ``out`` cannot be written.
    """
    source, out = Path(source), Path(out)
    _check_new(out)
    batches = batch_pair(kappa)
    check_noise_scale(kappa, noise_scale)
    ratio = Fraction(batches[1], batches[0])
    content = read(source)
    contents = find_contents(content)
    if not is_scheduler_state(content):
        check_movable(source, contents)
    before = summarised(contents.optimizers)
    move = partial(
        transfer_state_dict,
        kappa=kappa,
        optimizer=optimizer,
        decay_form=decay_form,
        momentum_form=momentum_form,
        noise_scale=noise_scale,
    )
    optimizers = []
    for _, state_dict in contents.optimizers:
        moved = move(state_dict)
        optimizers.append(MovedOptimizer.of(state_dict, moved))
        dict.update(state_dict, moved)  # in place, so that every reference in the file sees it
    if not optimizers:  # a scheduler alone
        family = "adamw" if optimizer is None else family_named(optimizer)
        optimizers = _neighbouring_optimizers(source, move) or [
            MovedOptimizer.by_rule(family, batches, momentum_form, noise_scale)
        ]
    schedulers = move_schedulers(contents, ratio, optimizers)
    after = summarised(contents.optimizers)
    q = 1.0 if noise_scale is None else excess(*batches, noise_scale)
    by_hand = notes(source, content, contents, ratio, before, after, schedulers)
    if noise_scale is not None:
        by_hand = (*by_hand, clipping(ratio, q))
    result = Transferred(float(ratio), before, after, schedulers, by_hand, noise_scale, q)
    _write(content, out)
    return result


def _neighbouring_optimizers(source: Path, move: Callable[[StateDict], dict[str, Any]]) -> list[MovedOptimizer]:
    """The optimizers in files in a scheduler's folder, as far as they can be read and moved."""
    optimizers = []
    for path in neighbouring_files(source, "optim"):
        with suppress(FieldError):
            for _, state_dict in find_contents(read(path)).optimizers:
                groups_alone = {**state_dict, "state": {}}
                optimizers.append(MovedOptimizer.of(state_dict, move(groups_alone)))
    return optimizers


def _check_new(out: Path) -> None:
    """Raises FieldError for a file that exists, and for one in a folder that does not."""
    if os.path.lexists(out):
        raise FieldError("out", str(out), "exists already and is not overwritten: give a new file")
    if not out.parent.is_dir():
        raise FieldError("out", str(out), f"cannot be written, {out.parent} is no folder: give a file in one that exists")


def _write(content: Any, out: Path) -> None:
    """Write to a file next to it first, so that nobody ever sees half a checkpoint."""
    partial_copy = partial_file(out, os.getpid())
    try:
        with partial_copy.open("xb") as file:
            torch.save(content, file)
            file.flush()
            os.fsync(file.fileno())
        _check_new(out)  # somebody may have made it meanwhile
        partial_copy.rename(out)
    finally:
        partial_copy.unlink(missing_ok=True)
