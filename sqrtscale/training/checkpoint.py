"""Saved checkpoints: read without running anything in them, moved to another batch size, written to a new file.

    python -m sqrtscale.training.checkpoint FILE

prints what the optimizers in a file hold, as one JSON object: for a process that must not load torch itself.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..rules import DecayForm, FieldError, MomentumForm
from .live import is_state_dict, ratio, recognised, transfer_state_dict

DEPTH = 3  # containers that may lie around an optimizer: {"optimizers": {"generator": ...}}
INSTEAD = "save optimizer.state_dict() by itself, or move the live optimizer with sqrtscale.transfer_optimizer_"


@dataclass(frozen=True)
class OptimizerSummary:
    """What one optimizer of a file holds.

    where: its place in the file (empty: the file itself); optimizer: its family, or None where the file does not tell;
    param_groups: the options of each group, ``params`` as a number; steps: smallest and largest step count, if there is one;
    state: name of each tensor kept for a parameter -> for how many parameters.
    """

    where: str
    optimizer: str | None
    param_groups: tuple[dict[str, Any], ...]
    steps: tuple[float, float] | None
    state: dict[str, int]


@dataclass(frozen=True)
class Transferred:
    """What a transfer of a file did: kappa, its optimizers before and after, and the schedulers that it left as they were."""

    kappa: float
    before: tuple[OptimizerSummary, ...]
    after: tuple[OptimizerSummary, ...]
    schedulers: tuple[str, ...]


def read(path: str | Path) -> Any:
    """The content of a .pt file, on the CPU, of tensors and plain values alone (torch's weights_only).

    A pickle can run any code when it is loaded; this one never does: a file that needs more is refused by FieldError, as is
    one that cannot be read or is no checkpoint.
    """
    try:
        with warnings.catch_warnings(action="ignore"):  # torch remarks on the pickle's protocol; what matters is an error
            return torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise FieldError("checkpoint", str(path), f"cannot be read: {error.strerror or error}") from error
    except Exception as error:  # what broken bytes raise has no common class
        needed = re.search(r"GLOBAL ([\w.]+)", str(error))
        why = (f"needs {needed[1]}, and loading it would run code from the file, which is never done: {INSTEAD}" if needed
               else "is no PyTorch checkpoint, or a damaged one: give a file that torch.save wrote")
        raise FieldError("checkpoint", str(path), why) from error


def optimizers(found: Any) -> list[tuple[tuple[Any, ...], Mapping[str, Any]]]:
    """Every optimizer state in the content of a file with its place there, in order.

    They are known by their form, so they are found under "optimizer", "optimizer_state_dict", in Lightning's list
    "optimizer_states", by themselves (Hugging Face's optimizer.pt), or under any other name.
    """
    def search(inside: Any, path: tuple[Any, ...]) -> Iterator[tuple[tuple[Any, ...], Mapping[str, Any]]]:
        if is_state_dict(inside):
            yield path, inside
        elif len(path) < DEPTH and isinstance(inside, (Mapping, list)):
            for key, value in inside.items() if isinstance(inside, Mapping) else enumerate(inside):
                yield from search(value, (*path, key))

    return list(search(found, ()))


def summary(found: Any) -> tuple[OptimizerSummary, ...]:
    """What each optimizer in the content of a file holds."""
    return tuple(_summary(path, one) for path, one in optimizers(found))


def transfer_checkpoint(source: str | Path, out: str | Path, kappa: float, optimizer: str | None = None,
                        decay_form: DecayForm = "linear", momentum_form: MomentumForm = "kept") -> Transferred:
    """Write ``source`` to the new file ``out`` with every optimizer in it moved to a batch ``kappa`` times larger.

    The arguments are those of :func:`sqrtscale.training.live.transfer_state_dict`. Weights and everything else stay as they
    are, and so does ``source``. ``out`` appears whole or not at all, with its tensors on the CPU. Raises FieldError for a
    file that exists, one without an optimizer, and all that the transfer refuses.
    """
    out = Path(out)
    _check_new(out)
    exact = float(ratio(kappa))
    found = read(source)
    places = optimizers(found)
    if not places:
        raise FieldError("checkpoint", str(source), "holds no optimizer state: give a file with what optimizer.state_dict() "
                         "returned, by itself or under any name")
    before = summary(found)
    for path, state_dict in places:
        moved = transfer_state_dict(state_dict, kappa, optimizer, decay_form, momentum_form)
        if not path:
            found = moved
            continue
        inside = found
        for key in path[:-1]:
            inside = inside[key]
        inside[path[-1]] = moved
    _write(found, out)
    schedulers = tuple(str(key) for key in found if "sched" in str(key).lower()) if isinstance(found, Mapping) else ()
    return Transferred(exact, before, summary(found), schedulers)


def _check_new(out: Path) -> None:
    if os.path.lexists(out):
        raise FieldError("out", str(out), "exists already and is not overwritten: give a new file")
    if not out.parent.is_dir():
        raise FieldError("out", str(out), f"cannot be written, {out.parent} is no folder: give a file in one that exists")


def _write(found: Any, out: Path) -> None:
    """Write to a file beside it first, so that nobody ever sees half a checkpoint."""
    part = out.with_name(f".{out.name}.{os.getpid()}.part")
    try:
        with part.open("xb") as file:
            torch.save(found, file)
            file.flush()
            os.fsync(file.fileno())
        _check_new(out)  # somebody may have made it meanwhile
        part.rename(out)
    finally:
        part.unlink(missing_ok=True)


def _summary(path: tuple[Any, ...], state_dict: Mapping[str, Any]) -> OptimizerSummary:
    entries = [entry for entry in state_dict["state"].values() if isinstance(entry, Mapping)]
    steps = [float(entry["step"]) for entry in entries if isinstance(entry.get("step"), (int, float, Tensor))]
    tensors = Counter(str(name) for entry in entries for name, value in entry.items()
                      if isinstance(value, Tensor) and name != "step")
    groups = tuple({str(name): len(value) if name == "params" else _plain(value) for name, value in group.items()
                    if name != "param_names"} for group in state_dict["param_groups"])
    return OptimizerSummary(".".join(map(str, path)), recognised(state_dict), groups,
                            (min(steps), max(steps)) if steps else None, dict(tensors))


def _plain(value: Any) -> Any:
    """A value of a group as JSON has it."""
    if isinstance(value, Tensor):
        return value.tolist()
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    return value if value is None or isinstance(value, (bool, int, float, str)) else str(value)


def main() -> int:
    """Print what the optimizers in a file hold; exit code 2 and one line for a file that cannot be used."""
    options = argparse.ArgumentParser(prog="python -m sqrtscale.training.checkpoint", description="What the optimizers in a "
                                      "checkpoint hold, as one JSON object. Nothing in the file is run.")
    options.add_argument("file", help="a file that torch.save wrote")
    try:
        found = summary(read(options.parse_args().file))
    except FieldError as error:
        print(" ".join(str(error).split()), file=sys.stderr)
        return 2
    print(json.dumps({"optimizers": [asdict(one) for one in found]}, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
