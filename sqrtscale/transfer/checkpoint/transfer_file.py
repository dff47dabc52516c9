"""Saved checkpoints moved to another batch size, written to a new file; and a process that does it for others.

    python -m sqrtscale.transfer.checkpoint.transfer_file FILE
    python -m sqrtscale.transfer.checkpoint.transfer_file FILE --out OUT --kappa 4

prints what the optimizers in a file hold, or what was moved, as one JSON object: for a process that must not load torch
itself, and must not be endangered by a file. It bounds its own memory and time by the file's size.
"""

from __future__ import annotations

import argparse
import gc
import json
import math
import os
import sys
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from fractions import Fraction
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ...rules import DecayForm, FieldError, MomentumForm
from ..optimizer import family_named, ratio, transfer_state_dict, understood
from ..optimizer_state import steps_of
from ..scheduler_state import is_scheduler
from .contents import Contents, check_nothing_left, contents
from .notes import files_beside, notes
from .reading import INSTEAD, TOO_LARGE, is_out_of_memory, limit_resources, place_text, read, refused
from .result import OptimizerSummary, Transferred, part_of
from .schedulers import OptimizerMove, by_rule, move_scheduler, seen_by_schedulers

LONGEST_LIST = 16  # of a group's value, in a summary


def summary(content: Any) -> tuple[OptimizerSummary, ...]:
    """What each optimizer in the content of a file holds. Raises FieldError for one that is not in order."""
    return _summaries(contents(content))


def transfer_checkpoint(source: str | Path, out: str | Path, kappa: float, optimizer: str | None = None,
                        decay_form: DecayForm = "linear", momentum_form: MomentumForm = "kept") -> Transferred:
    """Write ``source`` to the new file ``out`` with every optimizer and scheduler in it moved to a batch ``kappa`` times larger.

    The arguments are those of :func:`sqrtscale.transfer.optimizer.transfer_state_dict`. The file may also hold a scheduler alone;
    what an optimizer's file beside it says then decides how it moves. Weights and everything else stay as they are, and so
    does ``source``. ``out`` appears whole or not at all, with its tensors on the CPU. Raises FieldError for a file that exists,
    one without an optimizer, and all that the transfer refuses.
    """
    source, out = Path(source), Path(out)
    _check_new(out)
    exact = ratio(kappa)
    content = read(source)
    found = contents(content)
    if not is_scheduler(content):
        check_nothing_left(source, found)
    before = _summaries(found)
    options = (optimizer, decay_form, momentum_form)
    optimizers = []
    for _, state_dict in found.optimizers:
        moved = transfer_state_dict(state_dict, kappa, *options)
        optimizers.append(seen_by_schedulers(state_dict, moved))
        dict.update(state_dict, moved)  # in place, so that every reference in the file sees it
    if not optimizers:  # a scheduler alone
        family = "adamw" if optimizer is None else family_named(optimizer)
        optimizers = _optimizers_beside(source, kappa, options) or [by_rule(family, exact, momentum_form)]
    schedulers = tuple(move_scheduler(place, state, exact, optimizers, found) for place, state in found.schedulers)
    after = _summaries(found)
    told = Transferred(float(exact), before, after, schedulers,
                       notes(source, content, found, exact, before, after, schedulers))
    _write(content, out)
    return told


def _optimizers_beside(source: Path, kappa: float, options: tuple[str | None, DecayForm, MomentumForm]) -> list[OptimizerMove]:
    """The optimizers in files beside a scheduler's, as far as they can be read and moved."""
    optimizers = []
    for path in files_beside(source, "optim"):
        with suppress(FieldError):
            for _, state_dict in contents(read(path)).optimizers:
                groups_alone = {**state_dict, "state": {}}
                optimizers.append(seen_by_schedulers(state_dict, transfer_state_dict(groups_alone, kappa, *options)))
    return optimizers


def _check_new(out: Path) -> None:
    if os.path.lexists(out):
        raise FieldError("out", str(out), "exists already and is not overwritten: give a new file")
    if not out.parent.is_dir():
        raise FieldError("out", str(out), f"cannot be written, {out.parent} is no folder: give a file in one that exists")


def _write(content: Any, out: Path) -> None:
    """Write to a file beside it first, so that nobody ever sees half a checkpoint."""
    part = part_of(out, os.getpid())
    try:
        with part.open("xb") as file:
            torch.save(content, file)
            file.flush()
            os.fsync(file.fileno())
        _check_new(out)  # somebody may have made it meanwhile
        part.rename(out)
    finally:
        part.unlink(missing_ok=True)


def _summaries(found: Contents) -> tuple[OptimizerSummary, ...]:
    return tuple(_summary(place_text(place), state_dict) for place, state_dict in found.optimizers)


def _summary(where: str, state_dict: Mapping[str, Any]) -> OptimizerSummary:
    *_, family = understood(state_dict)
    tensors = Counter(str(name)[:80] for entry in state_dict["state"].values() for name, value in entry.items()
                      if isinstance(value, Tensor) and name != "step")
    groups = tuple({str(name)[:80]: len(value) if name == "params" else _plain(value) for name, value in group.items()
                    if name != "param_names"} for group in state_dict["param_groups"])
    return OptimizerSummary(where, family, groups, steps_of(state_dict), dict(tensors))


def _plain(value: Any, inside: bool = False) -> Any:
    """A value of a group as JSON has it; what is no number, text or short list of them is named by its type."""
    if isinstance(value, Tensor) and value.numel() == 1 and not (value.is_meta or value.is_complex() or value.is_quantized):
        value = _shortest(value)
    if isinstance(value, (list, tuple)) and not inside and len(value) <= LONGEST_LIST:
        return [_plain(one, inside=True) for one in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if value is None or (isinstance(value, int) and value.bit_length() <= 64):
        return value
    return value[:200] if isinstance(value, str) else type(value).__name__


def _shortest(value: Tensor) -> Any:
    """The number in a tensor in the fewest digits that its type keeps: 0.001, not 0.0010000000474974513 (float32)."""
    exact = value.item()
    shorter = (float(f"{exact:.{digits}g}") for digits in range(1, 10)) if value.is_floating_point() else ()
    return next((number for number in shorter if torch.tensor(number, dtype=value.dtype).item() == exact), exact)


def main() -> int:
    """Read or move one file; exit code 2 and one line (and the error as JSON) for a file that cannot be used."""
    parser = argparse.ArgumentParser(prog="python -m sqrtscale.transfer.checkpoint.transfer_file", description="What the optimizers in a "
                                     "checkpoint hold, or with --out a copy moved to another batch size; one JSON object. "
                                     "Nothing in the file is run.")
    parser.add_argument("file", help="a file that torch.save wrote")
    parser.add_argument("--out", help="a file that does not exist yet")
    parser.add_argument("--kappa", type=_kappa, help="new batch over old, a number or a fraction")
    parser.add_argument("--optimizer")
    parser.add_argument("--decay-form", default="linear")
    parser.add_argument("--momentum-form", default="kept")
    options = parser.parse_args()
    try:
        answer = _answer(options)
    except FieldError as error:
        value = error.value if isinstance(error.value, (str, int, float, type(None))) else str(error.value)[:80]
        print(json.dumps({"field": error.field, "value": value, "allowed": error.allowed}))
        print(" ".join(str(error).split()), file=sys.stderr)
        return 2
    except OSError as error:  # a full disk
        print(error, file=sys.stderr)
        return 1
    print(json.dumps(answer, indent=2))
    return 0


def _answer(options: argparse.Namespace) -> dict[str, Any]:
    """What the file holds, or what was moved; whatever else goes wrong with a file's content is told as a FieldError."""
    path = Path(options.file)
    gc.disable()  # millions of small objects, none of them a cycle worth collecting
    try:
        if options.out is None:
            limit_resources(path)
            found = contents(read(path))
            if not found.optimizers:
                check_nothing_left(path, found)
            return {"optimizers": [asdict(optimizer) for optimizer in _summaries(found)]}
        limit_resources(path, *files_beside(path, "optim"), *files_beside(path, "sched"))
        return asdict(transfer_checkpoint(path, options.out, options.kappa, options.optimizer, options.decay_form,
                                          options.momentum_form))
    except (FieldError, OSError):
        raise
    except Exception as error:  # content of a form that nobody thought of
        if is_out_of_memory(error):
            raise refused(path, TOO_LARGE) from error
        raise refused(path, f"holds what was not expected ({type(error).__name__}): {INSTEAD}") from error


def _kappa(text: str) -> Any:
    """A number or a fraction; other text is left for the transfer to refuse by name."""
    for form in (int, Fraction, float):
        with suppress(ValueError, ZeroDivisionError):
            return form(text) if form is not Fraction or "/" in text else float(text)
    return text


if __name__ == "__main__":
    sys.exit(main())
