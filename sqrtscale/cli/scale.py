"""``sqrtscale scale``: the rule, from options to a table or one JSON object. Nothing heavy is imported."""

from __future__ import annotations

import argparse
import json
from typing import Any

from ..rules import ScaledConfig, TrainingConfig, family, scale
from .shared import table


def base_configuration(options: argparse.Namespace, start: TrainingConfig | None = None) -> TrainingConfig:
    """The base configuration that the options say, on top of ``start`` where they name no other optimizer."""
    name = options.optimizer if options.optimizer is not None else start.optimizer
    same = start is not None and family(name).name == start.optimizer
    values: dict[str, Any] = dict(start.hyperparameters) if same else {}
    given = {"lr": options.lr, "alpha": options.alpha, "eps": options.eps, "weight_decay": options.weight_decay,
             "momentum": options.momentum}
    if options.betas is not None:
        given["beta1"], given["beta2"] = options.betas
    values |= {field: value for field, value in given.items() if value is not None}
    batch = options.batch if options.batch is not None else start.batch_size
    steps = start.total_steps if options.steps is None and start else options.steps
    warmup = start.warmup_steps if options.warmup is None and start else options.warmup
    return TrainingConfig(name, batch, values, steps, warmup)


def run_scale(options: argparse.Namespace) -> int:
    """``sqrtscale scale``"""
    scaled = scale(base_configuration(options), options.target, options.decay_form)
    print(json.dumps(scaled.as_dict(), indent=2) if options.json else scaled_text(scaled))
    return 0


def scaled_text(scaled: ScaledConfig) -> str:
    """The answer as a table with exact digits, then the warnings."""
    def digits(value: float | None) -> str:
        return "none" if value is None else f"{value:.8g}" if isinstance(value, float) else str(value)

    rows = [("field", "base", "scaled", "formula", "status"),
            ("batch_size", str(scaled.base.batch_size), str(scaled.target_batch), "", "")]
    rows += [(row.name, digits(row.base), digits(row.scaled), row.formula, row.status) for row in scaled.fields]
    lines = [f"kappa = {scaled.kappa:.8g}", "", *table(rows)]
    return "\n".join(lines + [f"\nwarning: {warning}" for warning in scaled.warnings])
