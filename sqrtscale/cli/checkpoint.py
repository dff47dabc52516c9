"""``sqrtscale transfer-checkpoint``: the optimizer in a saved checkpoint, moved to another batch size, as a new file."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from ..rules.errors import whole
from . import configuration
from .shared import BadInput, number, table

if TYPE_CHECKING:
    from ..transfer.checkpoint.result import Transferred

NOISE_OVER_KAPPA = "noise / kappa"
STATE_CHANGES = {  # name of a tensor of the state -> what becomes of it, where it is not kept
    **dict.fromkeys(("exp_avg_sq", "max_exp_avg_sq", "square_avg", "absmax2"), NOISE_OVER_KAPPA),
    "momentum_buffer": "average gradient kept", "mu_product": "of the new steps",
}


def add_arguments(command: argparse.ArgumentParser) -> None:
    """The options of ``sqrtscale transfer-checkpoint``."""
    command.add_argument("source", metavar="IN", help="a file that torch.save wrote; it is left as it is")
    command.add_argument("out", metavar="OUT", help="a file that does not exist yet")
    command.add_argument("--kappa", type=number, metavar="K", help="new global batch over the old one")
    command.add_argument("--from-batch", type=number, metavar="N", help="old global batch, with --target instead of --kappa")
    command.add_argument("--target", type=number, metavar="N", help="new global batch")
    command.add_argument("--noise-scale", type=number, metavar="B", help="gradient noise scale in samples, for batches near it: "
                         "the noise-aware transfer; with --from-batch and --target")
    command.add_argument("--optimizer", metavar="NAME", help="the class that wrote it, adamw for example, where the file does "
                         "not tell")
    configuration.add_decay_forms(command)
    command.add_argument("--json", action="store_true", help="print one JSON object")


def run_transfer_checkpoint(options: argparse.Namespace) -> int:
    """``sqrtscale transfer-checkpoint``"""
    change = _change_of_batch(options)
    from ..runner import transfer_checkpoint  # which loads the store

    result = transfer_checkpoint(Path(options.source), Path(options.out), change, options.optimizer,
                                 (options.decay_form, options.momentum_form), options.noise_scale)
    print(json.dumps(asdict(result), indent=2) if options.json else transferred_text(result, options.out))
    return 0


def _change_of_batch(options: argparse.Namespace) -> float | tuple[int, int]:
    """kappa, or the old and the new batch, as they were given; raises BadInput for neither, for both, and for too little."""
    batches = (options.from_batch, options.target)
    if options.kappa is not None and batches == (None, None):
        if options.noise_scale is not None:
            raise BadInput("sqrtscale transfer-checkpoint: a noise scale is compared with both batches: give --from-batch and "
                           "--target instead of --kappa, for example --from-batch 256 --target 1024")
        kappa: float = options.kappa
        return kappa
    if options.kappa is None and None not in batches:
        return whole("from_batch", options.from_batch, 1, 256), whole("target", options.target, 1, 1024)
    raise BadInput("sqrtscale transfer-checkpoint: give --kappa, or --from-batch and --target, for example --kappa 4")


def transferred_text(result: Transferred, out: str) -> str:
    """What changed, as one table, and what is left to do by hand."""
    rows = [("optimizer", "of", "field", "before", "after")]
    for old, new in zip(result.before, result.after, strict=True):
        where = old.where or "-"
        for i, (group, moved) in enumerate(zip(old.param_groups, new.param_groups, strict=True)):
            rows += [(where, f"group {i}", name, _eight_digits(value), _eight_digits(moved[name]))
                     for name, value in group.items() if moved[name] != value]
        if old.steps and new.steps:
            rows.append((where, "state", "step", f"{old.steps[1]:.8g}", f"{new.steps[1]:.8g}"))
        rows += [(where, "state", name, f"{count} tensors", _change(name, old.state, result))
                 for name, count in old.state.items()]
    for change in result.schedulers:
        rows += [(change.where or "-", change.kind or "scheduler", name, _eight_digits(value), _eight_digits(change.after[name]))
                 for name, value in change.before.items()]
    notes = [f"{change.where or 'this scheduler'} {f'({change.kind}) ' if change.kind else ''}{change.note}"
             for change in result.schedulers]
    noise = "" if result.noise_scale is None else f"noise scale {result.noise_scale:g}, q = {result.excess:.8g}, "
    lines = [f"kappa = {result.kappa:.8g}, {noise}written to {out}", "", *table(rows)]
    return "\n".join([*lines, "", *(f"note: {note}" for note in (*notes, *result.notes))])


def _change(name: str, state: dict[str, int], result: Transferred) -> str:
    """What becomes of a tensor of the state; 8-bit ones are moved by their scale, a centered RMSprop's by its noise alone."""
    if name == "state2" and "absmax2" in state:
        return "its scale absmax2 moves"
    change = NOISE_OVER_KAPPA if name == "state2" else STATE_CHANGES.get(name, "kept")
    if change == NOISE_OVER_KAPPA and result.noise_scale is not None and "grad_avg" not in state:
        return f"times q / kappa = {result.excess / result.kappa:.8g}"
    return change


def _eight_digits(value: object) -> str:
    """A value of a group: a number with eight significant digits, a list of them without brackets."""
    if isinstance(value, list):
        return " ".join(map(_eight_digits, value))
    return f"{value:.8g}" if isinstance(value, float) else str(value)
