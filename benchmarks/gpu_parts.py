"""The parts of ``benchmarks/on_gpu.sh`` that measure our own steps. Each prints Markdown.

    python benchmarks/gpu_parts.py [--device cuda:0] [--reduced] steps | whole | large | fused | update | memory | precision
"""

from __future__ import annotations

import argparse
import copy
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from sqrtscale import training  # before torch, as the app's child does  # isort: skip
import torch
from scaling import Case, ceilings, seconds_of
from torch import Tensor

from sqrtscale.plan import CalibrationPlan, make_plan
from sqrtscale.processes import leave
from sqrtscale.rules import TrainingConfig
from sqrtscale.tasks import Task, task
from sqrtscale.training.device import fast_settings, tf32
from sqrtscale.training.estimate import estimate
from sqrtscale.training.executors import Captured, Eager, Fused, recording
from sqrtscale.training.optimizers import make_optimizer
from sqrtscale.training.population import Population
from sqrtscale.training.streams import Stream

CPU = torch.device("cpu")
LARGE_BATCH = 256


def default_plan(about: Task, device: torch.device, reduced: bool) -> CalibrationPlan:
    """The default calibration of a task; reduced: a thousandth of it."""
    defaults = about.defaults
    more = {"seeds": 1, "samples": 256, "warm_samples": 256, "evaluations": 2} if reduced else {}
    return make_plan(about.name, defaults.base, defaults.target_batch, device=str(device), **more)


def sized(about: Task, size: str) -> Task:
    """The same task whose own network is that size."""
    other, network = copy.copy(about), about.network(size)
    other.network = lambda *_: network
    return other


def chosen_tasks(reduced: bool) -> list[Task]:
    names = ("digits", "pydoc")
    return [task(name) for name in (names[:1] if reduced else names)]


def steps(device: torch.device, reduced: bool) -> None:
    """The step that trains against the same operations one by one, for every group of models of a default calibration."""
    seconds = 0.05 if reduced else 1.0
    print("| task | models | batch | one by one, ms | as it trains, ms | times | executor | CUDA graph |")
    print("|---|---|---|---|---|---|---|---|")
    for about in chosen_tasks(reduced):
        data, plan = about.data(device), default_plan(about, device, reduced=False)
        target, seeds = plan.arm("scaled").config, len(plan.seeds)
        groups = [plan.base], [plan.base] * seeds, [target] * seeds * (len(plan.arms) - 1)
        for configs in groups[:1] if reduced else groups:
            with fast_settings(about):
                one_by_one, usual = Case(about, configs, data, device), Case(about, configs, data, device)
                one_by_one.population.executor = Eager(one_by_one.population.network, device)
                slow, fast = one_by_one.seconds(seconds), usual.seconds(seconds)
            executor = usual.population.executor
            graph = getattr(executor, "recording", None)
            state = "yes" if graph else recording.why_not() or "no" if device.type == "cuda" else "no GPU"
            print(f"| {about.name} | {len(configs)} | {configs[0].batch_size} | {1000 * slow:.3f} | {1000 * fast:.3f} "
                  f"| {slow / fast:.1f} | {executor.name} | {state} |", flush=True)


def whole(device: torch.device, reduced: bool) -> None:
    """A default calibration from its first event to its last."""
    print("| task | models | seconds | predicted at most | samples/s |\n|---|---|---|---|---|")
    for about in chosen_tasks(reduced):
        plan = default_plan(about, device, reduced)
        predicted = "" if reduced else f"{estimate(plan)['seconds']:.0f}"
        began = time.perf_counter()
        ended = [event for event in training.calibrate(plan) if isinstance(event, training.RunEnded)]
        took = time.perf_counter() - began
        wrong = [event for event in ended if event.state != "DONE"]
        print(f"| {about.name} | {len(plan.arms) * len(plan.seeds)} | {took:.1f} | {predicted} | {plan.work / took:,.0f} |"
              + "".join(f"\n\n{event.arm}, seed {event.seed}: {event.state}, {event.reason}\n" for event in wrong), flush=True)


def large(device: torch.device, reduced: bool) -> None:
    """The step of the largest models against what the device does at best, measured here."""
    seconds, size, batch = (0.05, "small", 8) if reduced else (1.0, "large", LARGE_BATCH)
    top = ceilings(device, seconds)
    print(f"Ceilings measured here: copy {top.bytes / 1e9:,.0f} GB/s, {1e6 * top.launch:.1f} us for an operation on one number; "
          f"products of matrices: {', '.join(products(device, seconds))}.\n")
    print("| task | models x parameters | batch | ms a step | GFLOP/s | GB/s at least | share of the binding ceiling "
          "| carried out |\n|---|---|---|---|---|---|---|---|")
    for about in chosen_tasks(reduced):
        other, data = sized(about, size), about.data(device)
        for models in (1,) if reduced else (1, 4):
            case = Case(other, [replace(about.defaults.base, batch_size=batch)] * models, data, device)
            with fast_settings(about):
                took = case.seconds(seconds)
                best = top if reduced else ceilings(device, seconds / 4)  # of the precision that trains
            work, moved = case.flops(), case.bytes()
            ideal = max(work / best.flops, moved / best.bytes)
            print(f"| {about.name} | {case} | {1000 * took:.2f} | {work / took / 1e9:,.0f} | {moved / took / 1e9:,.0f} "
                  f"| {ideal / took:.0%} | {case.population.executor.carried_out()} |", flush=True)
            del case
    print()
    update(device, reduced)


def fused(device: torch.device, reduced: bool) -> None:
    """The captured step as it is and compiled by torch: what that takes, what it saves, and after how many steps it has paid."""
    seconds, sizes, batch = (0.05, ("tiny",), 8) if reduced else (1.0, ("large", "medium"), LARGE_BATCH)
    print("| task | models x parameters | batch | captured, ms | compiled, ms | compiling, s | paid back after, steps "
          "| carried out |")
    print("|---|---|---|---|---|---|---|---|")
    for size in sizes:
        for about in chosen_tasks(reduced):
            other, data = sized(about, size), about.data(device)
            first, took = [], []
            for executor in (Captured, Fused):
                case = Case(other, [replace(about.defaults.base, batch_size=batch)], data, device)
                case.population.executor = executor(case.population.network, device)
                with fast_settings(about):
                    began = time.perf_counter()
                    float(case.population.step(case.batch).sum())
                    first.append(time.perf_counter() - began)
                    took.append(case.seconds(seconds))
            compiling, saved = first[1] - first[0], took[0] - took[1]
            paid = f"{compiling / saved:,.0f}" if saved > 0 else "never"
            print(f"| {about.name} | {case} | {1000 * took[0]:.2f} | {1000 * took[1]:.2f} | {compiling:.1f} | {paid} "
                  f"| {case.population.executor.carried_out()} |", flush=True)


def update(device: torch.device, reduced: bool) -> None:
    """Adam's update alone: as it trains, as a CUDA graph, and as one kernel of torch.compile, which needs Triton."""
    seconds = 0.05 if reduced else 0.5
    print("| update of | way | ms | GB/s of 7 numbers a weight | off by | compiling, s |\n|---|---|---|---|---|---|")
    for models, weights in ((2, 1000),) if reduced else ((8, 26_442), (24, 26_442), (1, 28_387_850)):
        ways: dict[str, Callable[[Updated], object]] = {"operation by operation": lambda updated: updated.step}
        if device.type == "cuda":
            ways |= {"as a CUDA graph": lambda updated: recording.cuda_graph(updated.step)[1], "compiled": Updated.compiled}
        expected = None
        for name, way in ways.items():
            updated = Updated(models, weights, device)
            began = time.perf_counter()
            try:
                step: Any = way(updated)
                step()
            except Exception as error:  # of a compiler, whatever it raises
                print(f"| {models} x {weights:,} | {name} | {type(error).__name__}: {str(error).splitlines()[0][:100]} | | | |")
                continue
            began = time.perf_counter() - began
            updated.forget()
            for _ in range(50):
                step()
            expected = updated.moved if expected is None else expected
            off = float((updated.moved - expected).norm() / expected.norm())
            took = seconds_of(step, device, seconds)
            print(f"| {models} x {weights:,} | {name} | {1000 * took:.4f} | {28 * models * weights / took / 1e9:,.0f} "
                  f"| {off:.1e} | {began if name == 'compiled' else 0:.1f} |", flush=True)


class Updated:
    """Weights that Adam moves along one gradient again and again."""

    def __init__(self, models: int, weights: int, device: torch.device):
        self.weights = torch.zeros(models, weights, device=device)
        self.optimizer = make_optimizer([TrainingConfig("adam", 8, {"lr": 1e-3 * (i + 1)}) for i in range(models)], self.weights)
        self.gradients = torch.sin(torch.arange(weights, device=device).expand(models, weights))
        self.lr_factor = torch.ones(models, 1, dtype=torch.float64, device=device)

    def step(self) -> Tensor:
        self.optimizer.step(self.weights, self.gradients, self.lr_factor)
        return self.weights

    def compiled(self) -> Callable[[], object]:
        step = torch.compile(self.optimizer.step, fullgraph=True)
        return lambda: step(self.weights, self.gradients, self.lr_factor)

    def forget(self) -> None:
        """Begin again where the tensors lie."""
        for value in (self.weights, self.optimizer.steps, *self.optimizer.state.values()):
            value.zero_()

    @property
    def moved(self) -> Tensor:
        return self.weights.clone()


def products(device: torch.device, seconds: float) -> list[str]:
    """Of float32, TF32 and bfloat16 matrices, TFLOP/s."""
    n = 8192 if device.type == "cuda" else 512
    said = []
    kinds = ("float32", torch.float32, False), ("TF32", torch.float32, True), ("bfloat16", torch.bfloat16, False)
    for name, kind, allowed in kinds:
        a, b = (torch.randn(n, n, device=device).to(kind) for _ in range(2))
        with tf32(allowed):
            said.append(f"{name} {2 * n**3 / seconds_of(lambda a=a, b=b: a @ b, device, seconds) / 1e12:,.1f} TFLOP/s")
    return said


def memory(device: torch.device, reduced: bool) -> None:
    """What an estimate says that a calibration takes, and what it took."""
    sizes = ("tiny",) if reduced else ("tiny", "medium", "large")  # the last takes long
    print("| task | size | predicted, MB | used at most, MB |\n|---|---|---|---|")
    for about in chosen_tasks(reduced):
        for size in sizes:
            some = 64 if reduced else 512
            plan = make_plan(about.name, about.defaults.base, about.defaults.target_batch, device=str(device), size=size,
                             seeds=1 if reduced else 2, samples=some, warm_samples=some, evaluations=2)
            predicted, used = estimate(plan)["memory"], "on a GPU only"
            if device.type == "cuda":
                torch.cuda.empty_cache()
                torch.cuda.reset_peak_memory_stats(device)
            for _ in training.calibrate(plan):
                pass
            if device.type == "cuda":
                held, in_use = torch.cuda.max_memory_reserved(device), torch.cuda.max_memory_allocated(device)
                used = f"{held / 1e6:,.0f} ({in_use / 1e6:,.0f} in use)"
            print(f"| {about.name} | {size} | {predicted / 1e6:,.0f} | {used} |", flush=True)


def precision(device: torch.device, reduced: bool) -> None:
    """How far gradients are off the CPU's, in float32 and with products rounded to TF32: norm of the difference over the norm."""
    print("| task | size | float32 | TF32 |\n|---|---|---|---|")
    for about in chosen_tasks(reduced):
        for size in ("tiny",) if reduced else about.sizes:
            config = about.defaults.base
            gradients = []
            for where, allowed in ((CPU, False), (device, False), (device, True)):
                population = Population(about, [config], [0], where, size=size)
                population.executor = Eager(population.network, where)
                batch = Stream(about.data(where), 0, "precision").take(config.batch_size).map(lambda x: x.unsqueeze(0))
                with tf32(allowed):
                    gradients.append(population.gradients(batch)[1].cpu().double())
            reference, *others = gradients
            cells = " | ".join(f"{float((other - reference).norm() / reference.norm()):.1e}" for other in others)
            print(f"| {about.name} | {size} | {cells} |", flush=True)


KINDS: Sequence[Callable[[torch.device, bool], None]] = (steps, whole, large, fused, update, memory, precision)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("part", choices=[kind.__name__ for kind in KINDS])
    options.add_argument("--device", default="cuda:0")
    options.add_argument("--reduced", action="store_true", help="a moment of everything, to see that it works")
    chosen = options.parse_args()
    next(kind for kind in KINDS if kind.__name__ == chosen.part)(torch.device(chosen.device), chosen.reduced)
    leave(0)


if __name__ == "__main__":
    main()
