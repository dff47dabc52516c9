"""What logs let one guess of what they do not say. A guess is offered with its reason; nobody takes it in silence."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from ..compared import CONTROLS, Values
from ..logs import Curve, Run

T = TypeVar("T")
EVALUATION = re.compile(r"(^|[^a-z])(eval|evaluation|val|valid|validation|test|dev)([^a-z]|$)", re.IGNORECASE)
TRAINING = re.compile(r"loss|train|nll|perplexity|ppl", re.IGNORECASE)
WHOLE_BATCH = ("total_train_batch_size", "global_batch_size", "effective_batch_size", "total_batch_size")
DEVICE_BATCH = ("per_device_train_batch_size", "train_micro_batch_size_per_gpu", "micro_batch_size")
FACTORS = ("gradient_accumulation_steps", "accumulate_grad_batches", "world_size", "n_gpu", "num_devices")
BASE = re.compile(r"(^|[^a-z])(base|baseline|reference|ref)([^a-z]|$)", re.IGNORECASE)
SCALED = re.compile(r"(^|[^a-z])(scaled|sqrt|rule|target)([^a-z]|$)", re.IGNORECASE)


@dataclass(frozen=True)
class Guess(Generic[T]):
    """A value that the logs suggest, and by what."""

    value: T
    reason: str


def metric_of(runs: Sequence[Run]) -> tuple[dict[str, Guess[Values]], str]:
    """The metrics that every run has, each with what its values seem to be, and the one that is most likely meant ("" if none).

    Evaluations come first, losses before others.
    """
    with_curves = [run for run in runs if run.curves]
    shared = [name for name in (with_curves[0].curves if with_curves else ()) if all(name in run.curves for run in with_curves)]
    kinds = {name: values_of([run.curves[name] for run in with_curves]) for name in shared}
    ordered = sorted(shared, key=lambda name: (not TRAINING.search(name), kinds[name].value != "evaluation"))
    return {name: kinds[name] for name in ordered}, ordered[0] if ordered else ""


def values_of(curves: Sequence[Curve]) -> Guess[Values]:
    """Whether a metric's values are evaluations or training losses, of single batches or averaged over a window."""
    name = curves[0].metric
    windows = {curve.window for curve in curves}
    if EVALUATION.search(name):
        return Guess("evaluation", f"the name {name}")
    if windows != {None} and windows != {1}:
        return Guess("window", "the log says over how many steps it is averaged")
    if TRAINING.search(name):
        return Guess("batch", f"the name {name}, and no word in the log of a mean over steps")
    return Guess("evaluation", f"the name {name} is not that of a loss")


def batch_of(run: Run) -> Guess[int] | None:
    """The global batch size, from the configuration that the log keeps."""
    known = {name.rsplit(".", 1)[-1].rsplit("/", 1)[-1]: text for name, text in run.parameters.items()}
    for name in WHOLE_BATCH:
        if batch := _whole(known.get(name)):
            return Guess(batch, f"{name} of run {run.name}")
    for name in (*DEVICE_BATCH, "train_batch_size", "batch_size"):
        if batch := _whole(known.get(name)):
            factors = [factor for factor in FACTORS if (_whole(known.get(factor)) or 1) > 1]
            for factor in factors:
                batch *= _whole(known[factor]) or 1
            return Guess(batch, f"{' x '.join([name, *factors])} of run {run.name}")
    return None


def seeds_of(arms: Mapping[str, Sequence[Run]]) -> dict[str, Guess[tuple[int, ...]]]:
    """Arm -> seeds of its runs that have a curve, as ``_seeds`` guesses them."""
    with_curves = {arm: [run for run in runs if run.curves] for arm, runs in arms.items()}
    several = frozenset(seed for runs in with_curves.values() if len(runs) > 1 for seed in _seeds(runs).value)
    return {arm: _seeds(runs, several) for arm, runs in with_curves.items()}


def _seeds(runs: Sequence[Run], others: Collection[int] = ()) -> Guess[tuple[int, ...]]:
    """A seed for each run of an arm: as its configuration has it, else a number in its name, else its place.

    others: seeds of other arms, among which the number of a single run has to be.
    """
    named = [_whole(next((text for name, text in run.parameters.items() if name.rsplit(".", 1)[-1] == "seed"), None), least=0)
             for run in runs]
    if None not in named and len(set(named)) == len(named):
        return Guess(tuple(seed for seed in named if seed is not None), "the seed that the configuration of each run has")
    numbers = [[int(text) for text in re.findall(r"\d{1,9}", run.name)] for run in runs]
    if len(runs) == 1 and (known := [number for number in numbers[0] if number in others]):
        return Guess((known[-1],), "a number in the run's name that is another arm's seed")
    for place in range(1, min(map(len, numbers), default=0) + 1):
        last = tuple(found[-place] for found in numbers)
        if len(set(last)) == len(last) and len(last) > 1:
            return Guess(last, "the number in which the runs' names differ")
    return Guess(tuple(range(len(runs))), "the order of the runs")


def arms_of(runs: Sequence[Run]) -> dict[str, Guess[str]]:
    """Run -> the arm that it may be of, by its name, else by its batch: the most frequent smallest one is base."""
    batches = {run.name: guess.value for run in runs if (guess := batch_of(run))}
    base = min(batches.values(), default=0)
    guesses: dict[str, Guess[str]] = {}
    for run in runs:
        if control := _control(run.name):
            guesses[run.name] = Guess(control, "its name")
        elif BASE.search(run.name):
            guesses[run.name] = Guess("base", "its name")
        elif SCALED.search(run.name):
            guesses[run.name] = Guess("scaled", "its name")
        elif run.name in batches and len(set(batches.values())) == 2:
            guesses[run.name] = Guess("base" if batches[run.name] == base else "scaled", f"its batch of {batches[run.name]}")
    if not guesses and len(runs) == 2:
        first, second = runs
        guesses = {first.name: Guess("base", "it comes first"), second.name: Guess("scaled", "it comes second")}
    return guesses


def _control(run: str) -> str:
    """The control that a run's name speaks of, the longest name first; "" where it speaks of none."""
    words = " ".join(re.findall(r"[a-z]+", run.lower()))
    return next((name for name in sorted(CONTROLS, key=len, reverse=True) if f" {name} " in f" {words} "), "")


def _whole(text: str | None, least: int = 1) -> int | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return int(value) if value == value and least <= value < 10**12 and value == int(value) else None
