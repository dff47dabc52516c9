"""Python for optax: the optimizer, its clipping, warm-up, groups and accumulation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ._course import table_lines
from ._recipe import Code, Recipe, call, commented, joined, quoted


def write(recipe: Recipe) -> str:
    """Makes ``optimizer``; with groups, for ``labels``, a tree like the parameters with the name of each one's group."""
    run = recipe.run
    made = _made(recipe)
    written = ["clip_norm", "warmup_steps"]
    if "clip_norm" in run:
        made = ["optax.chain(", f"    optax.clip_by_global_norm({run['clip_norm']!r}),", *_indented(made, ","), ")"]
    lines = _assigned("optimizer", made)
    if recipe.batch is not None and recipe.batch.accumulation > 1:
        lines.append(f"optimizer = optax.MultiSteps(optimizer, every_k_schedule={recipe.batch.accumulation})")
    remarks = [recipe.size, *recipe.left(*written, "ema_decay")]
    if "ema_decay" in run:
        remarks.append("EMA of the weights after each update: "
                       f"ema = optax.incremental_update(params, ema, step_size=1 - {run['ema_decay']!r})")
    imports = ["import jax.numpy as jnp", "import optax", ""] if recipe.course else ["import optax", ""]
    return joined(imports, commented(recipe.remarks), _factor(recipe), lines, commented(remarks))


def _factor(recipe: Recipe) -> list[str]:
    """The table of factors and ``lr_factor(step)``, where lr follows the noise scale."""
    if recipe.course is None:
        return []
    return ["", *table_lines(recipe.course), "", "",
            "def lr_factor(step):",
            '    """Between two rows its logarithm is a straight line, before the first and after the last it is level."""',
            "    samples, factors = jnp.array(LR_FACTORS).T",
            f"    return jnp.exp(jnp.interp(step * {float(recipe.course.batch)!r}, samples, jnp.log(factors)))", "", ""]


def _made(recipe: Recipe) -> list[str]:
    groups = recipe.config.groups
    if not groups:
        return _constructor(recipe, recipe.config.hyperparameters)
    lines = ["optax.partition(", "    {"]
    for name, own in ((recipe.others, {}), *((group.name, group.values) for group in groups)):
        made = _constructor(recipe, {**recipe.config.hyperparameters, **own})
        lines += [f"        {quoted(name)}: {made[0]}", *_indented(made[1:], ",", 8)]
    return [*lines, "    },", "    labels,  # a tree like the parameters, with the name of each one's group", ")"]


def _constructor(recipe: Recipe, values: Mapping[str, float]) -> list[str]:
    arguments: dict[str, Any] = recipe.arguments(values)
    warmup = recipe.run.get("warmup_steps")
    if warmup:  # its count is of updates, inside MultiSteps as well
        arguments["learning_rate"] = Code(f"optax.linear_schedule(0.0, {values['lr']!r}, transition_steps={warmup})")
    if recipe.course:
        schedule = f"{arguments['learning_rate']}(step)" if warmup else repr(values["lr"])
        arguments["learning_rate"] = Code(f"lambda step: {schedule} * lr_factor(step)")
    return call(recipe.family.call, arguments)


def _indented(lines: list[str], end: str, by: int = 4) -> list[str]:
    return [" " * by + line for line in (*lines[:-1], lines[-1] + end)]


def _assigned(name: str, lines: list[str]) -> list[str]:
    return [f"{name} = {lines[0]}", *lines[1:]]
