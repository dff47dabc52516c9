"""Python for Lightning: configure_optimizers and the Trainer's arguments."""

from __future__ import annotations

from typing import Any

from ._recipe import Code, Recipe, call, commented, joined
from .pytorch import constructor, course_imports, course_lines, warmup

WRITTEN = ("total_steps", "clip_norm", "ema_decay", "warmup_steps")


def write(recipe: Recipe) -> str:
    """Makes ``trainer``, and a class whose ``configure_optimizers`` belongs into the user's module."""
    imports = [*course_imports(recipe), "import lightning.pytorch as pl",
               *(f"import {package}" for package in dict.fromkeys((recipe.package, "torch")))]
    if "ema_decay" in recipe.run:
        imports.append("from lightning.pytorch.callbacks import EMAWeightAveraging")
    made = ["    def configure_optimizers(self):",
            *(f"        {line}" for line in (*constructor(recipe, "self.parameters()"), *_answer(recipe)))]
    remarks = [recipe.size, *recipe.left(*WRITTEN)]
    if recipe.batch is not None:
        remarks.append(f"each device's DataLoader: batch_size={recipe.batch.per_device}")
    return joined(imports, ["", ""], commented(recipe.remarks), course_lines(recipe),
                  ["class Model(pl.LightningModule):  # yours, with this method"], made, ["", ""],
                  commented(remarks), call("trainer = pl.Trainer", _trainer(recipe)))


def _answer(recipe: Recipe) -> list[str]:
    if recipe.course:
        shape = [*([warmup(recipe)] if recipe.run.get("warmup_steps") else []), f"lr_factor(step * {recipe.course.batch})"]
        return [*commented(["another schedule goes into this one, as a factor"]), *_scheduler("scheduler", " * ".join(shape))]
    return _scheduler("warmup", warmup(recipe)) if recipe.run.get("warmup_steps") else ["return optimizer"]


def _scheduler(name: str, shape: str) -> list[str]:
    return [f"{name} = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: {shape})",
            f'return {{"optimizer": optimizer, "lr_scheduler": {{"scheduler": {name}, "interval": "step"}}}}']


def _trainer(recipe: Recipe) -> dict[str, Any]:
    arguments: dict[str, Any] = {}
    if "total_steps" in recipe.run:
        arguments["max_steps"] = recipe.run["total_steps"]
    if recipe.batch is not None:
        arguments |= {"accumulate_grad_batches": recipe.batch.accumulation, "devices": recipe.batch.devices}
    if "clip_norm" in recipe.run:
        arguments["gradient_clip_val"] = recipe.run["clip_norm"]
    if "ema_decay" in recipe.run:
        arguments["callbacks"] = Code(f"[EMAWeightAveraging(decay={recipe.run['ema_decay']!r})]")
    return arguments
