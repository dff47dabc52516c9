"""Arguments of timm's train.py, which are also the names in its args.yaml.

Source: train.py of huggingface/pytorch-image-models and timm/optim/_optim_factory.py (timm 1.0.31). timm gives momentum
0.9 and RMSprop alpha 0.9 unless told otherwise, so both always stand here.
"""

from __future__ import annotations

from typing import Any

from ...rules import FieldError
from ._recipe import Recipe, commented, joined

# Our family -> timm's name. timm's sgd has Nesterov's look-ahead, its momentum has not.
NAMES = {"adam": "adam", "amsgrad": "adam", "adamw": "adamw", "nadam": "nadam", "radam": "radam", "rmsprop": "rmsprop",
         "rmsprop_centered": "rmsprop", "timm_rmsproptf": "rmsproptf", "sgd": "momentum"}
OPTIONS = {"lr": "--lr", "eps": "--opt-eps", "weight_decay": "--weight-decay", "momentum": "--momentum"}
RUN = {"clip_norm": "--clip-grad", "min_lr": "--min-lr", "dropout": "--drop", "label_smoothing": "--smoothing"}
IN_EPOCHS = ("total_steps", "warmup_steps", "decay_steps", "milestones")


def write(recipe: Recipe) -> str:
    """A command line to complete with a model and data."""
    recipe.without_groups("timm makes its own from --layer-decay and from what has one dimension; scale without groups here")
    if recipe.config.optimizer not in NAMES:
        raise FieldError("optimizer", recipe.config.optimizer, f"is not one of timm's: give one of {', '.join(NAMES)}")
    options = [("--opt", NAMES[recipe.config.optimizer]), *_hyperparameters(recipe)]
    if recipe.batch is not None:
        options += [("--batch-size", recipe.batch.per_device), ("--grad-accum-steps", recipe.batch.accumulation)]
    options += [(RUN[name], repr(value)) for name, value in recipe.run.items() if name in RUN]
    written = list(RUN)
    if recipe.run.get("schedule") == "cosine":
        options.append(("--sched", "cosine"))
        written.append("schedule")
    if "ema_decay" in recipe.run:
        options += [("--model-ema", ""), ("--model-ema-decay", repr(recipe.run["ema_decay"]))]
        written.append("ema_decay")
    remarks = [recipe.size, *recipe.left(*written), "timm keeps weight decay away from parameters with one dimension",
               *recipe.course_in_words]
    if any(name in recipe.run for name in IN_EPOCHS):
        remarks.append(f"timm counts epochs: n steps are n * {recipe.config.batch_size} / (samples in an epoch) of them")
    if recipe.batch is not None and recipe.batch.devices > 1:
        remarks.append(f"start it with torchrun --nproc_per_node on {recipe.batch.devices} devices")
    lines = ["python train.py \\", *(f"    {name} {value}".rstrip() + " \\" for name, value in options)]
    lines[-1] = lines[-1].removesuffix(" \\")
    return joined(commented([*recipe.remarks, *remarks]), lines)


def _hyperparameters(recipe: Recipe) -> list[tuple[str, Any]]:
    values = dict(recipe.config.hyperparameters)
    options = [(OPTIONS[name], repr(values.pop(name))) for name in OPTIONS if name in values]
    if "beta1" in values:
        options.append(("--opt-betas", f"{values.pop('beta1')!r} {values.pop('beta2')!r}"))
    rest = {**values, **recipe.family.options}
    return [*options, ("--opt-kwargs", " ".join(f"{name}={value!r}" for name, value in rest.items()))] if rest else options
