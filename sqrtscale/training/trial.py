"""A trial of one device: a few steps of every task and optimizer, compared with the CPU's, timed.

``python -m sqrtscale.training.trial DEVICE [--quick]`` prints a line of JSON for each thing that was tried, and one before it, so
that whoever reads knows what a process died of. ``sqrtscale.gpu`` judges them.
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace

import torch
from torch import Tensor

from ..plan import make_plan
from ..processes import leave
from ..rules import TrainingConfig
from ..tasks import SMALLEST, TASKS, Batch, Task
from .device import fast_settings, tf32
from .estimate import estimate
from .executors import Eager, recording
from .executors.captured import Captured, graphs_allowed
from .optimizers import TRAINED
from .population import Population
from .streams import Stream

MODELS, BATCH, LARGER = 2, 8, 64
WARM, TIMED = 4, 10  # steps
CPU = torch.device("cpu")
# Norm of the difference over the norm of what the CPU computes. Products that are rounded to TF32 have 10 bits.
NEAR, NEAR_TF32 = 1e-3, 3e-2
COPIED = 2**24  # numbers


@dataclass(frozen=True)
class Row:
    """One thing that was tried. executor: of the steps, or none; ms: of one step, pass, or copy; difference: of norms, to the CPU
    (of a captured step: to the same step without a graph)."""

    what: str
    device: str
    executor: str = ""
    ms: float = 0.0
    difference: float = 0.0
    agrees: bool = True
    error: str = ""
    seconds: float = 0.0  # of a default calibration, at most


def rows(device: torch.device, quick: bool = False, begins: Callable[[str], object] = lambda what: None) -> Iterator[Row]:
    """Try everything; quick: no estimates of whole calibrations. What fails is a row with an error, and the next is tried."""
    def tried(what: str, work: Callable[[], Iterator[Row]], executor: str = "") -> Iterator[Row]:
        begins(what)
        try:
            yield from work()
        except (RuntimeError, MemoryError, AssertionError, TypeError) as error:
            yield Row(what, str(device), executor, agrees=False, error=(str(error).strip() or type(error).__name__)[:300])

    for name, task in TASKS.items():
        for family in TRAINED:
            what = f"{name}, {family}"
            if device.type == "cpu":
                yield from tried(what, lambda task=task, family=family: _on_cpu(task, family))  # type: ignore[misc]
                continue
            yield from tried(what, lambda task=task, family=family: _eager(task, family, device), "eager")  # type: ignore[misc]
            if graphs_allowed():
                yield from tried(f"{what}, as a CUDA graph",
                                 lambda task=task, family=family: _captured(task, family, device), "captured")  # type: ignore[misc]
    if device.type != "cpu":
        yield from tried("a larger pass", lambda: _larger(next(iter(TASKS.values())), device))
        yield from tried("a copy", lambda: _copy(device))
    if not quick:
        for name, task in TASKS.items():
            yield from tried(f"{name}, whole calibration", lambda task=task: _whole(task, device))  # type: ignore[misc]


def _population(task: Task, family: str, device: torch.device, executor: type[Eager] | None, size: str = SMALLEST) -> Population:
    """Models at the task's learning rate; executor: None for the usual one."""
    base = task.defaults.base
    lr = base["lr"] if family == base.optimizer else 1e-3
    population = Population(task, [TrainingConfig(family, BATCH, {"lr": lr})] * MODELS, range(MODELS), device, size=size)
    if executor is not None:
        population.executor = executor(population.network, device)
    return population


def _batches(task: Task, device: torch.device, count: int, size: int = BATCH) -> list[Batch]:
    """The same samples on every device, [M, B, ...]."""
    stream = Stream(task.data(device), 0, "trial")
    return [stream.take(MODELS * size).map(lambda x: x.view(MODELS, size, *x.shape[1:])) for _ in range(count)]


def _off(value: Tensor, reference: Tensor) -> float:
    """Norm of the difference over the norm of the reference; infinite for what is not a number."""
    value, reference = value.detach().cpu().double(), reference.detach().cpu().double()
    off = float((value - reference).norm() / reference.norm().clamp(min=1e-30))
    return off if off == off else float("inf")


def _seconds(work: Callable[[], object], device: torch.device, count: int) -> float:
    """Of one call."""
    _wait(device)
    began = time.perf_counter()
    for _ in range(count):
        work()
    _wait(device)
    return (time.perf_counter() - began) / count


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _steps(population: Population, batches: list[Batch]) -> float:
    """Train a few steps, then time some; milliseconds of one."""
    for batch in batches:
        population.step(batch)
    return 1000 * _seconds(lambda: population.step(batches[-1]), population.device, TIMED)


def _on_cpu(task: Task, family: str) -> Iterator[Row]:
    """A step by what the CPU uses, its gradient held to autograd's."""
    batches = _batches(task, CPU, WARM)
    with fast_settings(task):
        usual, eager = _population(task, family, CPU, None), _population(task, family, CPU, Eager)
        off = _off(usual.gradients(batches[0])[1], eager.gradients(batches[0])[1])
        yield Row(f"{task.name}, {family}", "cpu", usual.executor.name, _steps(usual, batches), off, off <= NEAR)


def _eager(task: Task, family: str, device: torch.device) -> Iterator[Row]:
    """Gradients against the CPU's, with and without TF32; then steps as the task has them."""
    here, there = (_population(task, family, where, Eager) for where in (CPU, device))
    reference = here.gradients(_batches(task, CPU, 1)[0])[1]
    batches = _batches(task, device, WARM)
    exact, rounded = 0.0, 0.0
    for allowed in (False, True):
        with tf32(allowed):
            off = _off(there.gradients(batches[0])[1], reference)
        exact, rounded = (exact, off) if allowed else (off, rounded)
    with fast_settings(task):
        ms = _steps(there, batches)
    worse = rounded if exact <= NEAR else exact
    finite = bool(there.flat.isfinite().all())
    yield Row(f"{task.name}, {family}", str(device), "eager", ms, worse, exact <= NEAR and rounded <= NEAR_TF32 and finite)


def _captured(task: Task, family: str, device: torch.device) -> Iterator[Row]:
    """The same steps by replayed graphs and one by one; why there is no graph, where there is none."""
    what, batches = f"{task.name}, {family}, as a CUDA graph", _batches(task, device, WARM)
    with fast_settings(task):
        one_by_one, captured = (_population(task, family, device, executor) for executor in (Eager, Captured))
        for batch in batches:
            one_by_one.step(batch)
            captured.step(batch)
        start = _population(task, family, device, Eager).flat
        off = _off(captured.flat - start, one_by_one.flat - start)
        ms = 1000 * _seconds(lambda: captured.step(batches[-1]), device, TIMED)
    assert isinstance(captured.executor, Captured)
    graph = captured.executor.recording
    error = "" if graph else recording.why_not() or "the captured step differs from the ordinary one"
    yield Row(what, str(device), "captured", ms, off, graph is not None and off <= recording.NEAR, error)


def _larger(task: Task, device: torch.device) -> Iterator[Row]:
    """Gradients of a larger model and batch against the CPU's, in float32."""
    size = [*task.sizes][1] if len(task.sizes) > 1 else SMALLEST
    here, there = (_population(task, task.defaults.base.optimizer, where, Eager, size) for where in (CPU, device))
    reference = here.gradients(_batches(task, CPU, 1, LARGER)[0])[1]
    (batch,) = _batches(task, device, 1, LARGER)
    with tf32(False):
        off = _off(there.gradients(batch)[1], reference)
        ms = 1000 * _seconds(lambda: there.gradients(batch), device, TIMED)
    yield Row("a larger pass", str(device), "", ms, off, off <= NEAR)


def _copy(device: torch.device) -> Iterator[Row]:
    """To the device and back."""
    sent = torch.arange(COPIED, dtype=torch.float32).pin_memory()
    seconds = _seconds(lambda: sent.to(device, non_blocking=True), device, 3)
    same = torch.equal(sent.to(device).cpu(), sent)
    yield Row("a copy", str(device), "", 1000 * seconds, 0.0 if same else 1.0, same)


def _whole(task: Task, device: torch.device) -> Iterator[Row]:
    """How long the task's default calibration takes, at most."""
    plan = replace(make_plan(task.name, task.defaults.base, task.defaults.target_batch), device=str(device))
    yield Row(f"{task.name}, whole calibration", str(device), seconds=estimate(plan)["seconds"])


def main(arguments: list[str]) -> int:
    """Exit code 0 when everything was tried, whatever came of it."""
    device = torch.device(arguments[0])
    warnings.simplefilter("ignore")
    for row in rows(device, "--quick" in arguments[1:], lambda what: print(json.dumps({"begins": what}), flush=True)):
        print(json.dumps(asdict(row)), flush=True)
    return 0


if __name__ == "__main__":
    leave(main(sys.argv[1:]))
