"""DeepSpeed's JSON: optimizer, batch, clipping and warm-up. JSON has no comments, so nothing else is in it.

Source: docs/_pages/config-json.md and deepspeed/runtime/{engine,lr_schedules}.py of deepspeedai/DeepSpeed. Type Adam is
AdamW there unless adam_w_mode is false, and its own Adam knows no AMSGrad, so that one is torch's.
"""

from __future__ import annotations

import json
from typing import Any

from ._recipe import Recipe

TYPES = {"adam": "Adam", "amsgrad": "Adam", "adamw": "AdamW"}  # the others are torch.optim's under their own names


def write(recipe: Recipe) -> str:
    """The configuration of ``deepspeed.initialize``."""
    recipe.without_groups("give them to deepspeed.initialize(model_parameters=...), and scale without groups here")
    settings: dict[str, Any] = {"train_batch_size": recipe.config.batch_size}
    if recipe.batch is not None:
        settings |= {"train_micro_batch_size_per_gpu": recipe.batch.per_device,
                  "gradient_accumulation_steps": recipe.batch.accumulation}
    name = TYPES.get(recipe.config.optimizer, recipe.family.call.rpartition(".")[2])
    settings["optimizer"] = {"type": name, "params": _params(recipe)}
    if recipe.run.get("warmup_steps"):
        settings["scheduler"] = _scheduler(recipe)
    if "clip_norm" in recipe.run:
        settings["gradient_clipping"] = recipe.run["clip_norm"]
    return json.dumps(settings, indent=2) + "\n"


def _params(recipe: Recipe) -> dict[str, Any]:
    params = recipe.in_torch(recipe.config.hyperparameters)
    if recipe.config.optimizer in ("adam", "amsgrad"):
        params["adam_w_mode"] = False
    if recipe.config.optimizer == "amsgrad":
        params["torch_adam"] = True
    return params


def _scheduler(recipe: Recipe) -> dict[str, Any]:
    """Warm-up, and linear decay after it where the run says so; DeepSpeed steps it once an update."""
    run, lr = recipe.run, recipe.config["lr"]
    params = {"warmup_min_lr": 0, "warmup_max_lr": lr, "warmup_num_steps": run["warmup_steps"], "warmup_type": "linear"}
    if run.get("schedule") == "linear" and "total_steps" in run:
        return {"type": "WarmupDecayLR", "params": {"total_num_steps": run["total_steps"], **params}}
    return {"type": "WarmupLR", "params": params}
