"""The scaled configuration as Python for PyTorch: a constructor of torch.optim with every digit."""

from __future__ import annotations

import textwrap

from ..rules import ScaledConfig, family
from ..rules.config import named_as_pytorch

WIDTH = 76
RULE = {"linear": "square-root rule", "half-life": "square-root rule, decays by half-life"}


def snippet(scaled: ScaledConfig) -> str:
    """Valid Python that makes the scaled optimizer for a ``model``; batch and steps stand beside it as comments.

    Where a field has no number there is no optimizer to make: the snippet is then all comments, with the
    values there are and the reason for each one that is missing.
    """
    head = (f"# batch {scaled.base.batch_size} -> {scaled.target_batch} (kappa = {scaled.kappa:.8g}), "
            f"{RULE[scaled.decay_form]}")
    lengths = [f"# {row.label.lower()}: {row.scaled}" for row in scaled.fields
               if row.name in ("total_steps", "warmup_steps") and row.scaled is not None]
    tail = [f"# global batch size: {scaled.target_batch}", *lengths]
    if not scaled.complete:
        missing = [row for row in scaled.fields if row.scaled is None]
        known = [f"# {row.name} = {row.scaled!r}" for row in scaled.fields if row.scaled is not None]
        why = [line for row in missing for line in
               textwrap.wrap(f"# {row.name} has no number. {row.warning}", WIDTH, subsequent_indent="# ")]
        return "\n".join([head, "# No optimizer:", *why, "# What is known:", *known, tail[0]]) + "\n"
    values = {row.name: row.scaled for row in scaled.fields if row.name in scaled.base.hyperparameters}
    arguments = [
        f"    {name}={tuple(value) if isinstance(value, list) else value!r},"
        for name, value in named_as_pytorch(values).items()
    ]
    made_by = f"optimizer = {family(scaled.base.optimizer).call}("
    return "\n".join(["import torch", "", head, made_by, "    model.parameters(),", *arguments, ")", *tail]) + "\n"
