"""Python for Keras 3: the optimizer, which there also clips, averages weights and accumulates gradients.

Under accumulation its schedules and its EMA move at every batch, and not once an update (keras 3.15.1,
keras/src/optimizers/base_optimizer.py, _get_current_learning_rate and _backend_apply_gradients).
"""

from __future__ import annotations

from typing import Any

from ...rules import FieldError
from ._course import table_lines
from ._recipe import Code, Recipe, call, commented, joined, quoted


def write(recipe: Recipe) -> str:
    """Makes ``optimizer``; with groups that have no decay, for ``variables``, a dict of each group's variables."""
    run = recipe.run
    arguments: dict[str, Any] = recipe.arguments(recipe.config.hyperparameters)
    accumulation = 1 if recipe.batch is None else recipe.batch.accumulation
    remarks = [recipe.size, *recipe.left("clip_norm", "ema_decay", "warmup_steps")]
    peak = arguments["learning_rate"]
    if run.get("warmup_steps"):
        peak = arguments["learning_rate"] = Code("keras.optimizers.schedules.PolynomialDecay("
                                          f"0.0, {run['warmup_steps'] * accumulation}, {recipe.config['lr']!r})")
        remarks.append(f"warm-up steps: {run['warmup_steps']}, and Keras' schedules count batches, {accumulation} a step")
    if "clip_norm" in run:
        arguments["global_clipnorm"] = run["clip_norm"]
    if "ema_decay" in run:
        arguments |= {"use_ema": True, "ema_momentum": run["ema_decay"]}
        if accumulation > 1:
            arguments["ema_momentum"] = run["ema_decay"] ** (1 / accumulation)
            remarks.append(f"Keras averages the weights at every batch, so ema_momentum is {run['ema_decay']!r} to the power "
                           f"1/{accumulation}")
    if accumulation > 1:
        arguments["gradient_accumulation_steps"] = accumulation
    if recipe.batch is not None:
        remarks.append(f"batches that the optimizer sees: {recipe.batch.per_device * recipe.batch.devices}")
    followed = _schedule(recipe, peak, accumulation)
    if followed:
        arguments["learning_rate"] = Code("NoiseAware()")
    imports = ["import math", "from itertools import pairwise", ""] if followed else []
    return joined([*imports, "import keras", ""], commented(recipe.remarks), followed,
                  call(f"optimizer = {recipe.family.call}", arguments), _without_decay(recipe), commented(remarks))


def _schedule(recipe: Recipe, peak: float | Code, accumulation: int) -> list[str]:
    """A schedule that multiplies another one by the factor on lr, where lr follows the noise scale."""
    if recipe.course is None:
        return []
    schedule = f"{peak}(step)" if isinstance(peak, Code) else repr(peak)
    return ["", *table_lines(recipe.course), "", "",
            "@keras.saving.register_keras_serializable()",
            "class NoiseAware(keras.optimizers.schedules.LearningRateSchedule):",
            '    """lr times its factor, whose logarithm is a straight line between two rows, and level beyond all."""', "",
            "    def __call__(self, step):",
            f'        samples = keras.ops.cast(step, "float32") * {recipe.course.batch / accumulation:.12g}',
            "        log = math.log(LR_FACTORS[0][1])",
            "        for (left, low), (right, high) in pairwise(LR_FACTORS):",
            "            log += math.log(high / low) * keras.ops.clip((samples - left) / (right - left), 0, 1)",
            f"        return {schedule} * keras.ops.exp(log)", "",
            "    def get_config(self):",
            "        return {}", "", ""]


def _without_decay(recipe: Recipe) -> list[str]:
    """Keras has no parameter groups, but leaves variables out of weight decay. Raises FieldError for any other group."""
    for group in recipe.config.groups:
        if dict(group.values) != {"weight_decay": 0.0}:
            raise FieldError("groups", group.name, "has no place in a Keras optimizer, which only leaves variables out of weight "
                             "decay: make an optimizer for each group")
    if not recipe.config.groups:
        return []
    names = " + ".join(f"variables[{quoted(group.name)}]" for group in recipe.config.groups)
    return [*commented(["variables: a dict with the variables of each group by its name"]),
            f"optimizer.exclude_from_weight_decay(var_list={names})"]
