"""The command that runs a stored calibration again."""

from __future__ import annotations

import shlex

from ..plan import CalibrationPlan
from ..schedules import CONSTANT
from ..tasks import SMALLEST


def command(plan: CalibrationPlan) -> str:
    """The same calibration from the command line, every option written out; of a task of the user's own the path of its file."""
    base = plan.base
    values = {name: repr(value) for name, value in {**base.hyperparameters, **base.run}.items()}
    parts = ["sqrtscale", "calibrate", "--task", plan.own.path if plan.own else plan.task, "--optimizer", base.optimizer,
             "--lr", values.pop("lr")]
    if "beta1" in values:
        parts += ["--betas", values.pop("beta1"), values.pop("beta2")]
    for name in ("alpha", "eps", "weight_decay", "momentum"):
        if name in values:
            parts += [f"--{name.replace('_', '-')}", values.pop(name)]
    for name, value in values.items():
        parts += ["--set", f"{name}={value}"]
    if plan.size != SMALLEST:
        parts += ["--size", plan.size]
    parts += ["--batch", str(base.batch_size), "--target", str(plan.target_batch), "--seeds", str(len(plan.seeds)),
              "--samples", str(plan.samples), "--evaluations", str(plan.evaluations), "--start", plan.start]
    if plan.checkpoint:
        parts += ["--checkpoint", plan.checkpoint.path]
    if plan.warm_samples:
        parts += ["--warm-samples", str(plan.warm_samples)]
    if plan.schedule != CONSTANT:
        parts += ["--schedule", str(plan.schedule)]
    if base.total_steps is not None:
        parts += ["--steps", str(base.total_steps)]
    if base.warmup_steps is not None:
        parts += ["--warmup", str(base.warmup_steps)]
    parts += ["--arms", *(arm.name for arm in plan.arms), "--decay-form", plan.decay_form, "--device", plan.device]
    if not plan.reuse:
        parts.append("--no-reuse")
    parts.append("--stop-early" if plan.stop_early else "--no-stop-early")
    if plan.go_on:
        parts.append("--go-on")
    if plan.momentum_form != "kept":
        parts += ["--momentum-form", plan.momentum_form]
    if plan.correct_lr:
        parts.append("--correct-lr")
    return shlex.join(parts)


def version_note(plan: CalibrationPlan) -> str:
    """Which text the command needs, in a sentence; empty for a built-in task."""
    if plan.own is None:
        return ""
    same = f"the file has the text that was trained, SHA-256 {plan.own.sha256[:12]}…, which is stored with the plan"
    if plan.checkpoint:
        same += f", and the checkpoint is the same, SHA-256 {plan.checkpoint.sha256[:12]}…"
    return f"It is the same calibration as long as {same}."
