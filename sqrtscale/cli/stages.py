"""``sqrtscale stages``: a batch that grows or shrinks during a run, with the configuration of every stage."""

from __future__ import annotations

import argparse
import json
from typing import Any

from ..rules.errors import shown
from ..rules.stages import Stage, stages
from . import configuration
from .shared import BadInput, number, table


def add_arguments(command: argparse.ArgumentParser) -> None:
    """The options of ``sqrtscale stages`` beside those of a base configuration."""
    command.add_argument("--stage", action="append", required=True, metavar="BATCH:SAMPLES",
                         help="a global batch and the samples seen with it; give one for each stage, in order")
    command.add_argument("--noise-scale", type=number, metavar="B", help="gradient noise scale in samples, for batches near it: "
                         "the noise-aware transfer from stage to stage")
    command.add_argument("--json", action="store_true", help="print one JSON object")


def run_stages(options: argparse.Namespace) -> int:
    """``sqrtscale stages``"""
    config = configuration.base(options).config
    plan = stages(config, [_pair(text) for text in options.stage], options.decay_form, options.momentum_form,
                  options.noise_scale)
    if options.json:
        print(json.dumps({"base": config.as_dict(), "noise_scale": options.noise_scale,
                          "stages": [stage.as_dict() for stage in plan]}, indent=2))
    else:
        print(stages_text(plan))
    return 0


def _pair(text: str) -> tuple[Any, Any]:
    batch, colon, samples = text.partition(":")
    if not colon:
        raise BadInput(f"--stage = {shown(text)} is no stage: give BATCH:SAMPLES, for example 256:1000000")
    return number(batch), number(samples)


def stages_text(plan: tuple[Stage, ...]) -> str:
    """A column for each stage, then what was rounded and what the rule warns of."""
    def digits(value: object) -> str:
        return "none" if value is None else f"{value:.8g}" if isinstance(value, float) else str(value)

    rows = [("stage", *(str(i) for i in range(1, len(plan) + 1)))]
    rows += [(name, *(digits(getattr(stage, name)) for stage in plan))
             for name in ("batch", "first_sample", "samples", "steps", "kappa", "change")]
    noise = plan[0].scaled.noise_scale if any(stage.excess != 1 for stage in plan) else {}
    if noise:
        rows.append(("second moments", *(digits(stage.excess / stage.change) for stage in plan)))
    for field in zip(*(stage.scaled.fields for stage in plan), strict=True):  # one field in every stage
        if field[0].name in plan[0].scaled.base.hyperparameters:  # lengths in steps are the plan's own
            rows.append((field[0].name, *(digits(row.scaled) for row in field)))
    lines = [*table(rows), "", "change: move the optimizer's state by this kappa when the stage begins"]
    if noise:
        lines.append(f"second moments: by what they are multiplied then, with the noise scale {noise['']:g}")
    lines += [f"stage {i}: {stage.samples} samples / {stage.batch} = {stage.samples / stage.batch:.8g} steps, rounded to "
              f"{stage.steps}: {abs(stage.surplus)} samples {'more' if stage.surplus > 0 else 'fewer'}"
              for i, stage in enumerate(plan, 1) if stage.surplus]
    lines += [f"warning: stage {i}: {warning}" for i, stage in enumerate(plan, 1) if stage.kappa != 1
              for warning in stage.scaled.warnings]
    return "\n".join(lines)
