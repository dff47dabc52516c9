"""What a person has to do after a checkpoint was moved, in words: schedules, counters, averages, files in the same folder."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

from ...rules import FieldError
from ..scheduler_state import kind_of
from .contents import Contents, find_contents
from .reading import place_text, read
from .result import OptimizerSummary, SchedulerChange
from .schedulers import counts_optimizer_steps, how_to_recreate, what_else_it_counts

SUFFIXES = (".pt", ".pth", ".ckpt", ".bin")
SMALL = 16 * 2**20  # bytes: a scheduler's state is a few kilobytes
MOST_NAMED = 6
MOST_NEIGHBOURS = 4


def notes(
    source: Path,
    content: Any,
    contents: Contents,
    kappa: Fraction,
    before: Sequence[OptimizerSummary],
    after: Sequence[OptimizerSummary],
    schedulers: Sequence[SchedulerChange],
) -> tuple[str, ...]:
    """All notes on one file, most important first."""
    steps = max((summary.steps[1] for summary in before if summary.steps), default=None)
    return tuple(
        filter(
            None,
            (
                _schedule(source, contents, kappa, steps, schedulers),
                _counters(source, content, contents, kappa, steps),
                _averages(contents, kappa),
                _rounded(before, after, kappa),
                _ranks(contents),
            ),
        )
    )


def clipping(kappa: Fraction, excess: float) -> str:
    """What becomes of a threshold of the gradient's norm, which the training program keeps, by the noise-aware transfer."""
    return f"a clipping threshold stands in your program: sqrt(q / kappa) = {math.sqrt(excess / kappa):.8g} times what it was"


def neighbouring_files(source: Path, word: str) -> list[Path]:
    """Checkpoints in the same folder with that word in their names, where the folder can be listed."""
    try:
        neighbours = [path for path in sorted(source.parent.iterdir()) if word in path.name.lower() and path.suffix in SUFFIXES]
    except OSError:
        return []
    return [path for path in neighbours if path.is_file() and path.name != source.name][:MOST_NEIGHBOURS]


def _schedule(
    source: Path, contents: Contents, kappa: Fraction, steps: float | None, schedulers: Sequence[SchedulerChange]
) -> str:
    """What to do with a learning rate schedule that is not in the file, or in it in an unknown form."""
    unknown = [
        f"{name} is no scheduler's state that is known here and stays as it is: {how_to_recreate(steps, kappa)}"
        for name in contents.unknown_schedulers
    ]
    if schedulers or unknown:
        return "; ".join(unknown)
    neighbours = neighbouring_files(source, "sched")
    if neighbours:
        return "; ".join(_neighbouring_scheduler(path, steps, kappa) for path in neighbours)
    return f"a learning rate scheduler counts steps and is not in this file: {how_to_recreate(steps, kappa)}"


def _neighbouring_scheduler(path: Path, steps: float | None, kappa: Fraction) -> str:
    """What to do with a scheduler's file in the folder of the optimizer's."""
    same_command = "move it by the same command too"
    if path.stat().st_size > SMALL:
        return f"{path.name} beside it stays as it is: {same_command}"
    try:
        (_, state), *_ = find_contents(read(path)).schedulers
        position = state.get("last_epoch")
    except (FieldError, ValueError):  # it cannot be read, or holds no scheduler
        return f"{path.name} beside it holds no scheduler that is known here: {how_to_recreate(steps, kappa)}"
    kind = kind_of(state)
    if kind is None or type(position) is not int:
        return f"{path.name} beside it is no scheduler that is known here: {how_to_recreate(steps, kappa)}"
    if steps is not None and not counts_optimizer_steps(position, steps):
        return (
            f"{path.name} beside it ({kind.name}) {what_else_it_counts(position, steps)}; its learning rates are those of "
            f"the old batch: {same_command}"
        )
    return (
        f"{path.name} beside it ({kind.name}) stays at step {position} of the old batch: {same_command}, or "
        f"{how_to_recreate(position, kappa)}"
    )


def _counters(source: Path, content: Any, contents: Contents, kappa: Fraction, steps: float | None) -> str:
    """Counters of steps, known by their names and by holding the optimizer's count."""
    if steps is None:
        return ""
    names = [place_text(place) for place, value in contents.counters if abs(value - steps) <= 1]
    if (source.parent / "trainer_state.json").is_file():
        names.append("global_step in trainer_state.json beside it")
    if not names:
        return ""
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    new_steps = f"{steps / float(kappa):.10g}"
    text = (
        f"{', '.join(names[:MOST_NAMED])}{more}: {steps:.10g} steps of the old batch, which are {new_steps} of the new one; "
        "set them where your program takes a learning rate, an end or a place in the data from them"
    )
    if isinstance(content, dict) and "pytorch-lightning_version" in content:
        text += (
            f"; Lightning compares max_steps with its own progress, which stays: give max_steps = {steps:.10g} + "
            f"(old max_steps - {steps:.10g}) / {float(kappa):.6g}"
        )
    return text


def _averages(contents: Contents, kappa: Fraction) -> str:
    """Averages of weights: they stay, and their decay moves."""
    if not contents.averages:
        return ""
    decays = [
        average["decay"]
        for _, average in contents.averages
        if isinstance(average, dict) and isinstance(average.get("decay"), float)
    ]
    rho = decays[0] if decays and 0 < decays[0] < 1 else 0.999
    names = list(dict.fromkeys(place_text(place) for place, _ in contents.averages))[:MOST_NAMED]
    by = f"{float(kappa):.6g}"
    return (
        f"{', '.join(names)}: averaged weights stay as they are; the decay rho of the average becomes rho^{by}, "
        f"{rho:.8g} for example {rho ** float(kappa):.8g}, and what counts its updates is divided by {by}"
    )


def _rounded(before: Sequence[OptimizerSummary], after: Sequence[OptimizerSummary], kappa: Fraction) -> str:
    """Where a library counts whole steps."""
    for old, new in zip(before, after, strict=True):
        if old.steps and new.steps:
            exact = old.steps[1] / float(kappa)
            if abs(new.steps[1] - exact) > 1e-3 * max(1.0, exact) * 0.01:
                return f"step {old.steps[1]:.10g} / {float(kappa):.6g} = {exact:.10g} is rounded to {new.steps[1]:.10g}"
    return ""


def _ranks(contents: Contents) -> str:
    if any("base_optimizer_state" in place for place, _ in contents.optimizers):
        return "this is one rank's part of DeepSpeed's optimizer: move the file of every rank"
    return ""
