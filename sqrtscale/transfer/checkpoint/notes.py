"""What a person has to do after a checkpoint was moved, in words: schedules, counters, averages, files beside it."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

from ...rules import FieldError
from ..scheduler_state import kind_of
from .contents import Contents, contents
from .reading import place_text, read
from .result import OptimizerSummary, SchedulerChange
from .schedulers import anew, counts, other_count

SUFFIXES = (".pt", ".pth", ".ckpt", ".bin")
SMALL = 16 * 2**20  # bytes: a scheduler's state is a few kilobytes
MOST_NAMED = 6
MOST_BESIDE = 4


def notes(source: Path, content: Any, found: Contents, kappa: Fraction, before: Sequence[OptimizerSummary],
          after: Sequence[OptimizerSummary], schedulers: Sequence[SchedulerChange]) -> tuple[str, ...]:
    """All of it for one file, most important first."""
    steps = max((summary.steps[1] for summary in before if summary.steps), default=None)
    return tuple(filter(None, (
        _schedule(source, found, kappa, steps, schedulers),
        _counters(source, content, found, kappa, steps),
        _averages(found, kappa),
        _rounded(before, after, kappa),
        _ranks(found),
    )))


def files_beside(source: Path, word: str) -> list[Path]:
    """Checkpoints in the same folder with that word in their names, where the folder can be listed."""
    try:
        beside = [path for path in sorted(source.parent.iterdir()) if word in path.name.lower() and path.suffix in SUFFIXES]
    except OSError:
        return []
    return [path for path in beside if path.is_file() and path.name != source.name][:MOST_BESIDE]


def _schedule(source: Path, found: Contents, kappa: Fraction, steps: float | None, schedulers: Sequence[SchedulerChange]) -> str:
    """What to do with a learning rate schedule that is not in the file, or in it in an unknown form."""
    told = [f"{name} is no scheduler's state that is known here and stays as it is: {anew(steps, kappa)}"
            for name in found.named_schedulers]
    if schedulers or told:
        return "; ".join(told)
    beside = files_beside(source, "sched")
    if beside:
        return "; ".join(_beside(path, steps, kappa) for path in beside)
    return f"a learning rate scheduler counts steps and is not in this file: {anew(steps, kappa)}"


def _beside(path: Path, steps: float | None, kappa: Fraction) -> str:
    """What a scheduler's file beside the optimizer's says."""
    same_command = "move it by the same command too"
    if path.stat().st_size > SMALL:
        return f"{path.name} beside it stays as it is: {same_command}"
    try:
        (_, state), *_ = contents(read(path)).schedulers
        position = state.get("last_epoch")
    except (FieldError, ValueError):  # it cannot be read, or holds no scheduler
        return f"{path.name} beside it holds no scheduler that is known here: {anew(steps, kappa)}"
    kind = kind_of(state)
    if kind is None or type(position) is not int:
        return f"{path.name} beside it is no scheduler that is known here: {anew(steps, kappa)}"
    if steps is not None and not counts(position, steps):
        return (f"{path.name} beside it ({kind.name}) {other_count(position, steps)}; its learning rates are those of the old "
                f"batch: {same_command}")
    return (f"{path.name} beside it ({kind.name}) stays at step {position} of the old batch: {same_command}, or "
            f"{anew(position, kappa)}")


def _counters(source: Path, content: Any, found: Contents, kappa: Fraction, steps: float | None) -> str:
    """Counters of steps, known by their names and by holding the optimizer's count."""
    if steps is None:
        return ""
    names = [place_text(place) for place, value in found.counters if abs(value - steps) <= 1]
    if (source.parent / "trainer_state.json").is_file():
        names.append("global_step in trainer_state.json beside it")
    if not names:
        return ""
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    there = f"{steps / float(kappa):.10g}"
    text = (f"{', '.join(names[:MOST_NAMED])}{more}: {steps:.10g} steps of the old batch, which are {there} of the new one; set "
            "them where your program takes a learning rate, an end or a place in the data from them")
    if isinstance(content, dict) and "pytorch-lightning_version" in content:
        text += (f"; Lightning compares max_steps with its own progress, which stays: give max_steps = {steps:.10g} + "
                 f"(old max_steps - {steps:.10g}) / {float(kappa):.6g}")
    return text


def _averages(found: Contents, kappa: Fraction) -> str:
    """Averages of weights: they stay, and their decay moves."""
    if not found.averages:
        return ""
    decays = [value["decay"] for _, value in found.averages if isinstance(value, dict) and isinstance(value.get("decay"), float)]
    rho = decays[0] if decays and 0 < decays[0] < 1 else 0.999
    names = list(dict.fromkeys(place_text(place) for place, _ in found.averages))[:MOST_NAMED]
    by = f"{float(kappa):.6g}"
    return (f"{', '.join(names)}: averaged weights stay as they are; the decay rho of the average becomes rho^{by}, "
            f"{rho:.8g} for example {rho ** float(kappa):.8g}, and what counts its updates is divided by {by}")


def _rounded(before: Sequence[OptimizerSummary], after: Sequence[OptimizerSummary], kappa: Fraction) -> str:
    """Where a library counts whole steps."""
    for old, new in zip(before, after, strict=True):
        if old.steps and new.steps:
            exact = old.steps[1] / float(kappa)
            if abs(new.steps[1] - exact) > 1e-3 * max(1.0, exact) * 0.01:
                return f"step {old.steps[1]:.10g} / {float(kappa):.6g} = {exact:.10g} is rounded to {new.steps[1]:.10g}"
    return ""


def _ranks(found: Contents) -> str:
    if any("base_optimizer_state" in place for place, _ in found.optimizers):
        return "this is one rank's part of DeepSpeed's optimizer: move the file of every rank"
    return ""
