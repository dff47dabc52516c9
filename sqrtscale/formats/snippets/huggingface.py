"""Python for the Trainer of Hugging Face: TrainingArguments, and an optimizer beside them where they have no words for it."""

from __future__ import annotations

from typing import Any

from ._recipe import Code, Recipe, call, commented, joined
from .pytorch import constructor, course_imports, course_lines

LENGTHS = {"total_steps": "max_steps", "warmup_steps": "warmup_steps", "warmup_fraction": "warmup_steps",
           "clip_norm": "max_grad_norm", "label_smoothing": "label_smoothing_factor", "log_interval": "logging_steps",
           "checkpoint_interval": "save_steps", "eval_interval": "eval_steps"}
# Names of transformers.SchedulerType; exponential and milestones have none.
SCHEDULES = {"constant": "constant_with_warmup", "linear": "linear", "cosine": "cosine", "wsd": "warmup_stable_decay",
             "inverse-sqrt": "inverse_sqrt"}


def write(recipe: Recipe) -> str:
    """Makes ``arguments`` for a Trainer, and ``optimizer`` for a ``model`` unless it is AdamW for all parameters."""
    own = recipe.config.optimizer != "adamw" or bool(recipe.config.groups)
    given, written = _of_the_run(recipe)
    arguments = {"output_dir": "output", **({} if own else _adamw(recipe)), **_batch(recipe), **given}
    remarks = [recipe.size, *recipe.left(*written)]
    if not own:
        remarks.append("Trainer keeps weight decay away from biases and norms")
    if recipe.batch is None:
        remarks.append("per_device_train_batch_size (8 unless given) × gradient_accumulation_steps × processes must make that")
    if "clip_norm" not in recipe.run:
        remarks.append("max_grad_norm was not given: Trainer clips at 1.0 (0 turns that off)")
    if "lr_scheduler_type" not in given:
        remarks.append("lr_scheduler_type is not given here: Trainer then takes lr linearly down to 0")
    callback = _callback(recipe)
    names = ", ".join(["TrainerCallback"] * bool(callback) + ["TrainingArguments"])
    imports = [*course_imports(recipe), *([f"import {recipe.package}"] if own else []), f"from transformers import {names}", ""]
    made = constructor(recipe, "model.parameters()") if own else []
    passed = [*(["optimizers=(optimizer, None)"] if own else []), *(["callbacks=[NoiseAware()]"] if callback else [])]
    return joined(imports, commented(recipe.remarks), course_lines(recipe), callback, made,
                  call("arguments = TrainingArguments", arguments),
                  commented([*remarks, *([f"Trainer(model, arguments, {', '.join(passed)}, ...)"] if passed else [])]))


def _callback(recipe: Recipe) -> list[str]:
    """A callback that puts the factor on lr for the time of one update, where lr follows the noise scale.

    Trainer makes the scheduler itself, and its schedules compute each lr from the last one, so it must see its own.
    """
    if recipe.course is None:
        return []
    return ["class NoiseAware(TrainerCallback):",
            '    """The lr of whatever schedule there is, times lr_factor; Trainer logs it without."""', "",
            "    def on_step_begin(self, args, state, control, optimizer, **kwargs):",
            '        self.rates = [group["lr"] for group in optimizer.param_groups]',
            "        for group in optimizer.param_groups:",
            f'            group["lr"] *= lr_factor(state.global_step * {recipe.course.batch})', "",
            "    def on_optimizer_step(self, args, state, control, optimizer, **kwargs):",
            "        for group, rate in zip(optimizer.param_groups, self.rates):",
            '            group["lr"] = rate', "", ""]


def _adamw(recipe: Recipe) -> dict[str, Any]:
    names = {"lr": "learning_rate", "beta1": "adam_beta1", "beta2": "adam_beta2", "eps": "adam_epsilon",
             "weight_decay": "weight_decay"}
    return {"optim": "adamw_torch", **{name: recipe.config[ours] for ours, name in names.items()}}


def _batch(recipe: Recipe) -> dict[str, Any]:
    if recipe.batch is None:
        return {}
    return {"per_device_train_batch_size": recipe.batch.per_device, "gradient_accumulation_steps": recipe.batch.accumulation}


def _of_the_run(recipe: Recipe) -> tuple[dict[str, Any], set[str]]:
    """Arguments for the fields of the run, and which fields they say."""
    run = recipe.run
    written = {name for name in LENGTHS if name in run}
    arguments = {LENGTHS[name]: run[name] for name in run if name in LENGTHS}
    if run.get("warmup_fraction") == 1.0:  # a float below 1 is a share, and 1.0 would be one step
        del arguments["warmup_steps"]
        written.remove("warmup_fraction")
    if "eval_interval" in run:
        arguments["eval_strategy"] = "steps"
    schedule, further = SCHEDULES.get(run.get("schedule", "")), {}
    if schedule == "warmup_stable_decay":
        if "decay_steps" not in run:  # Trainer asks for it
            schedule = None
        else:
            further, written = {"num_decay_steps": run["decay_steps"]}, written | {"decay_steps"}
    if schedule == "cosine" and run.get("min_lr"):
        schedule, further, written = "cosine_with_min_lr", {"min_lr": run["min_lr"]}, written | {"min_lr"}
    if schedule:
        arguments |= {"lr_scheduler_type": schedule}
        written |= {"schedule"}
    if further:
        arguments["lr_scheduler_kwargs"] = Code(repr(further))
    return arguments, written
