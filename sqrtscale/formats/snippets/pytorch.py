"""Python for PyTorch: a constructor of torch.optim, with the run beside it as comments."""

from __future__ import annotations

from ._course import function_lines
from ._recipe import Recipe, call, commented, counts_steps, joined, quoted

# accelerate 1.15.0, src/accelerate/scheduler.py, AcceleratedScheduler.step
ACCELERATE = ("with accelerate: a prepared scheduler steps num_processes times an update, so give it num_processes times as "
              "many steps (once only with split_batches=True or step_scheduler_with_optimizer=False)")
ACCELERATED_COURSE = ("with accelerate: leave this scheduler out of prepare, which would let it count the steps of all "
                      "processes, and step it once an update")


def write(recipe: Recipe) -> str:
    """Makes ``optimizer`` for a ``model``; with groups, for ``parameters``, a dict of each group's parameters by its name."""
    imports = [*course_imports(recipe), *(f"import {package}" for package in dict.fromkeys((recipe.package, "torch")))]
    return joined(imports, [""], commented(recipe.remarks), course_lines(recipe), constructor(recipe, "model.parameters()"),
                  _scheduler(recipe), run_lines(recipe))


def course_imports(recipe: Recipe) -> list[str]:
    """What ``lr_factor`` needs, where lr follows the noise scale."""
    return ["from bisect import bisect", ""] if recipe.course else []


def course_lines(recipe: Recipe) -> list[str]:
    """The table of factors and ``lr_factor(samples)``, where lr follows the noise scale."""
    return ["", *function_lines(recipe.course)] if recipe.course else []


def warmup(recipe: Recipe) -> str:
    """The share of the peak lr at a step, as code: warm-up where the run has any."""
    steps = recipe.run.get("warmup_steps")
    return f"min(1.0, (step + 1) / {steps})" if steps else "1.0"


def _scheduler(recipe: Recipe) -> list[str]:
    if recipe.course is None:
        return []
    return ["", "", "def shape(step):",
            '    """Your schedule, as a share of the peak lr."""',
            f"    return {warmup(recipe)}", "", "",
            *call("scheduler = torch.optim.lr_scheduler.LambdaLR", {}, [
                "optimizer,", f"lambda step: shape(step) * lr_factor(step * {recipe.course.batch}),"]),
            "# after each optimizer.step(): scheduler.step()"]


def constructor(recipe: Recipe, parameters: str) -> list[str]:
    """Lines that make the optimizer."""
    first = [f"{parameters},"]
    lines = []
    if recipe.config.groups:
        lines = commented(["parameters: a dict with the parameters of each group by its name, "
                           f"and {quoted(recipe.others)} for the rest"])
        first = ["[", *(f"    {group}," for group in _groups(recipe)), "],"]
    return [*lines, *call(f"optimizer = {recipe.family.call}", recipe.in_torch(recipe.config.hyperparameters), first)]


def _groups(recipe: Recipe) -> list[str]:
    groups = [f'{{"params": parameters[{quoted(recipe.others)}]}}']
    for group in recipe.config.groups:
        named = recipe.in_torch(recipe.of_group(group))
        rest = "".join(f', "{name}": {value!r}' for name, value in named.items() if name not in recipe.family.options)
        groups.append(f'{{"params": parameters[{quoted(group.name)}]{rest}}}')
    return groups


def run_lines(recipe: Recipe) -> list[str]:
    """The batch, clipping, EMA and lengths."""
    lines = commented([recipe.size, *recipe.left("clip_norm", "ema_decay")])
    if (counts_steps(recipe.run) or recipe.course) and (recipe.batch is None or recipe.batch.devices > 1):
        lines += commented([ACCELERATED_COURSE if recipe.course else ACCELERATE])
    if "clip_norm" in recipe.run:
        lines.append("# before each optimizer.step(): "
                     f"torch.nn.utils.clip_grad_norm_(model.parameters(), {recipe.run['clip_norm']!r})")
    if "ema_decay" in recipe.run:
        lines += ["# after each optimizer.step(): ema.update_parameters(model)",
                  *call("ema = torch.optim.swa_utils.AveragedModel", {}, [
                      "model,", f"multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn({recipe.run['ema_decay']!r}),"])]
    return lines
