"""``sqrtscale transfer-checkpoint``: the optimizer in a saved checkpoint, moved to another batch size, as a new file."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from fractions import Fraction
from typing import TYPE_CHECKING

from ..rules.errors import whole
from . import configuration
from .shared import BadInput, number, table

if TYPE_CHECKING:
    from ..training.checkpoint import Transferred

STATE = {  # what becomes of the tensors of the state
    "exp_avg_sq": "noise / kappa", "max_exp_avg_sq": "noise / kappa", "square_avg": "noise / kappa",
    "exp_avg": "kept", "grad_avg": "kept", "momentum_buffer": "average gradient kept", "mu_product": "of the new steps",
}


def add_arguments(command: argparse.ArgumentParser) -> None:
    """The options of ``sqrtscale transfer-checkpoint``."""
    command.add_argument("source", metavar="IN", help="a file that torch.save wrote; it is left as it is")
    command.add_argument("out", metavar="OUT", help="a file that does not exist yet")
    command.add_argument("--kappa", type=number, metavar="K", help="new global batch over the old one")
    command.add_argument("--from-batch", type=number, metavar="N", help="old global batch, with --target instead of --kappa")
    command.add_argument("--target", type=number, metavar="N", help="new global batch")
    command.add_argument("--optimizer", metavar="NAME", help="the class that wrote it, adamw for example, where the file does "
                         "not tell")
    configuration.add_decay_forms(command)
    command.add_argument("--json", action="store_true", help="print one JSON object")


def run_transfer_checkpoint(options: argparse.Namespace) -> int:
    """``sqrtscale transfer-checkpoint``"""
    kappa = _kappa(options)
    from ..training.checkpoint import transfer_checkpoint  # loads torch

    done = transfer_checkpoint(options.source, options.out, kappa, options.optimizer, options.decay_form, options.momentum_form)
    print(json.dumps(asdict(done), indent=2) if options.json else transferred_text(done, options.out))
    return 0


def _kappa(options: argparse.Namespace) -> float | Fraction:
    batches = (options.from_batch, options.target)
    if options.kappa is not None and batches == (None, None):
        return options.kappa
    if options.kappa is None and None not in batches:
        return Fraction(whole("target", options.target, 1, 1024), whole("from_batch", options.from_batch, 1, 256))
    raise BadInput("sqrtscale transfer-checkpoint: give --kappa, or --from-batch and --target, for example --kappa 4")


def transferred_text(done: Transferred, out: str) -> str:
    """What changed, as one table."""
    rows = [("optimizer", "of", "field", "before", "after")]
    for old, new in zip(done.before, done.after, strict=True):
        where = old.where or "-"
        for i, (group, moved) in enumerate(zip(old.param_groups, new.param_groups, strict=True)):
            rows += [(where, f"group {i}", name, _digits(value), _digits(moved[name])) for name, value in group.items()
                     if moved[name] != value]
        if old.steps and new.steps:
            rows.append((where, "state", "step", f"{old.steps[1]:.8g}", f"{new.steps[1]:.8g}"))
        rows += [(where, "state", name, f"{count} tensors", STATE.get(name, "kept")) for name, count in old.state.items()]
    lines = [f"kappa = {done.kappa:.8g}, written to {out}", "", *table(rows)]
    if done.schedulers:
        lines += ["", f"note: {', '.join(done.schedulers)} still counts steps of the old batch: make the scheduler anew, "
                  "with its lengths divided by kappa"]
    return "\n".join(lines)


def _digits(value: object) -> str:
    if isinstance(value, list):
        return " ".join(map(_digits, value))
    return f"{value:.8g}" if isinstance(value, float) else str(value)
