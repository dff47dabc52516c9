"""How the step of a population scales with seeds, arms and model width, and how near it comes to what the device can do.

    python benchmarks/scaling.py [--task digits pydoc] [--device auto] [--seconds 1] [--seeds 1 2 4 8 16 32 64]
                                 [--arms 1 2 4 8] [--widths 16 32 64 128] [--skip-roofline] [--plot docs/scaling.svg]

Times ``Population.advance``, as many steps a call as the engine makes, on samples that are drawn already. "Stops falling" marks
the first size whose time per model is within 5 % of the lowest that was measured: more models than that do not come cheaper.
The plot has the time per model against the number of models, over that of one model alone.

Roofline: the ceilings are measured on this device, not looked up (float32 matrix product of the precision that training uses,
copy of a large array; a CPU with all its threads). FLOPs of a step are counted by torch's FlopCounterMode, which knows matrix
products alone. Bytes are a lower bound, what an ideal step must move once all of it is larger than the cache: parameters read
forward, backward and in the update and written there, gradients written and read, optimizer state read and written, and what
autograd keeps of the forward pass written and read. Launch floor: the time of an operation on one number, times the operations
that one step dispatches. Figures worth keeping go to benchmarks/RESULTS.md with device and date.
"""

from __future__ import annotations

import argparse
import copy
import datetime
import os
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from sqrtscale.plan import make_plan
from sqrtscale.rules import TrainingConfig
from sqrtscale.tasks import TASKS, Batch, Data, Task, task
from sqrtscale.training import environment
from sqrtscale.training.device import fast_settings, resolve
from sqrtscale.training.executors import Eager
from sqrtscale.training.population import Population
from sqrtscale.training.streams import Stream
from sqrtscale.training.threads import ALL_THREADS

COLOURS = {"digits": "#2563EB", "pydoc": "#EA580C"}
NEAR = 1.05
WARM = 3  # calls that are not timed
PIECES = 7  # stretches that a time is the median of
MATRIX = {"cpu": 2048, "cuda": 8192}
COPIED = {"cpu": 2**26, "cuda": 2**28}  # float32 numbers: far larger than a cache


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--task", choices=sorted(TASKS), nargs="+", default=sorted(TASKS))
    options.add_argument("--device", default="auto")
    options.add_argument("--seconds", type=float, default=1.0, help="timing of each size, after the first steps")
    options.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 4, 8, 16, 32, 64])
    options.add_argument("--arms", type=int, nargs="+", default=[1, 2, 4, 8])
    options.add_argument("--widths", type=int, nargs="+", help="half, one, two and four times the task's own")
    options.add_argument("--skip-roofline", action="store_true")
    options.add_argument("--plot", type=Path, metavar="FILE.svg")
    chosen = options.parse_args()
    device, machine = resolve(chosen.device)[0], environment(chosen.device)
    print(f"{machine['device_name']} ({device}), {machine['threads']} threads, torch {machine['packages']['torch']}, "
          f"{datetime.date.today()}, load {os.getloadavg()[0]:.1f} at the start\n")
    lines: list[tuple] = []
    for name in chosen.task:
        with fast_settings(task(name)):
            lines += measure(task(name), device, chosen)
    if chosen.plot:
        from sqrtscale.report.svg import Line, chart  # loads a database's libraries, which a GPU node may lack

        found = [Line(*line) for line in lines]
        chosen.plot.write_text(chart(found, "models that train together", "time per model, over that of one alone"))


def measure(about: Task, device: torch.device, chosen: argparse.Namespace) -> list[tuple]:
    """All tables of one task; returns the lines of the plot: name, models, times, colour, dash."""
    data, base, n, own = about.data(device), about.defaults.base, about.defaults.seeds, about.network().width
    target = make_plan(about.name, base, about.defaults.target_batch).arm("scaled").config
    widths = chosen.widths or [own // 2, own, 2 * own, 4 * own]
    print(f"## {about.name}\n")
    lines = []
    for config in (base, target):
        case = partial(Case, device=device, data=data)
        each = sweep(f"Seeds: one arm at batch {config.batch_size}", "seeds", chosen.seconds,
                     [(seeds, partial(case, about, [config] * seeds)) for seeds in chosen.seeds], mark=True)
        lines.append((f"{about.name}, batch {config.batch_size}", chosen.seeds, [one / each[0] for one in each],
                      COLOURS[about.name], "" if config is base else "6 4"))
        sweep(f"Arms: {n} seeds of each at batch {config.batch_size}", "arms", chosen.seconds,
              [(arms, partial(case, about, several(config, arms) * n)) for arms in chosen.arms], mark=True)
        sweep(f"Model width: {n} models at batch {config.batch_size}", "width", chosen.seconds,
              [(width, partial(case, widened(about, width), [config] * n)) for width in widths])
    if not chosen.skip_roofline:
        roofline([case(about, [base]), case(about, [base] * n), case(about, [target] * 3 * n),
                  case(widened(about, widths[-1]), [target] * 3 * n)], device, chosen.seconds)
    return lines


def several(config: TrainingConfig, count: int) -> list[TrainingConfig]:
    """That many arms that differ in their learning rate."""
    return [replace(config, hyperparameters={**config.hyperparameters, "lr": config["lr"] * (1 + i / 10)}) for i in range(count)]


def widened(about: Task, width: int) -> Task:
    """The same task with another model width; heads keep their size."""
    found, sizes = copy.copy(about), about.network()
    heads = next(n for n in range(max(1, width * sizes.heads // sizes.width), 0, -1) if width % n == 0)
    found.network = lambda *_: replace(sizes, width=width, heads=heads)
    return found


class Case:
    """A population and the batch that it steps on, again and again."""

    def __init__(self, about: Task, configs: Sequence[TrainingConfig], data: Data, device: torch.device):
        self.device = device
        self.population = Population(about, configs, list(range(len(configs))), device)
        self.samples = len(configs) * configs[0].batch_size
        drawn = Stream(data, 0, "scaling").take(self.samples)
        self.batch = Batch(*(x.unflatten(0, (len(configs), -1)) for x in (drawn.inputs, drawn.targets)))
        self.at_once = self.population.executor.steps_at_once(self.population)
        drawn = Stream(data, 0, "scaling").take(self.at_once * configs[0].batch_size)
        self.stretch = Batch(drawn.inputs.unsqueeze(0), drawn.targets.unsqueeze(0))
        self.reads = torch.zeros(len(configs), dtype=torch.long, device=device)

    def step(self) -> None:
        self.population.step(self.batch)

    def seconds(self, seconds: float) -> float:
        """Seconds of one step."""
        def several() -> Tensor:
            return self.population.advance(self.stretch, self.reads, self.at_once)

        return seconds_of(several, self.device, seconds) / self.at_once

    def __str__(self) -> str:
        models = len(self.population)
        return f"{models} x {self.population.flat.shape[1]:,} | {self.population.batch_size}"

    @contextmanager
    def in_torch(self) -> Iterator[None]:
        """Every operation where torch's counters see it: nothing compiled."""
        usual, self.population.executor = self.population.executor, Eager(self.population.network, self.device)
        try:
            with torch.compiler.set_stance("force_eager"):
                yield
        finally:
            self.population.executor = usual

    def flops(self) -> int:
        """Of the matrix products of one step, attention's among them."""
        # The fused attention of a CPU is not in torch's table of FLOPs: its plain form is made of products that are.
        with self.in_torch(), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
            self.step()
        return counter.get_total_flops()

    def bytes(self) -> int:
        """Lower bound of what one step moves; see the head of this file."""
        parameters, kept = self.population.flat.nbytes, {}
        own = {view.untyped_storage().data_ptr() for view in self.population.views.values()}

        def keep(x: Tensor) -> Tensor:
            storage = x.untyped_storage()
            if storage.data_ptr() not in own:
                kept[storage.data_ptr()] = storage.nbytes()
            return x

        with self.in_torch(), torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x):
            network = self.population.network
            # Held, or its storages would be freed and used again.
            losses = network.losses(network(self.population.views, self.batch.inputs), self.batch.targets)
        state = sum(value.nbytes for value in self.population.optimizer.state.values())
        del losses
        return (4 + 2) * parameters + 2 * state + 2 * sum(kept.values())

    def operations(self) -> int:
        """Operations that one step by autograd dispatches and that compute something."""
        with self.in_torch(), _Counting() as counting:
            self.step()
        return counting.count


class _Counting(TorchDispatchMode):
    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.count += not func.is_view
        return func(*args, **(kwargs or {}))


def seconds_of(work: Callable[[], object], device: torch.device, seconds: float) -> float:
    """Seconds of one call: median over PIECES stretches of ``seconds`` together, the device waited for after each stretch."""
    def stretch(calls: int) -> float:
        _wait(device)
        began = time.perf_counter()
        for _ in range(calls):
            work()
        _wait(device)
        return (time.perf_counter() - began) / calls

    stretch(WARM)
    calls = max(1, round(seconds / PIECES / stretch(1)))
    return statistics.median(stretch(calls) for _ in range(PIECES))


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def sweep(title: str, axis: str, seconds: float, cases: Sequence[tuple[int, Callable[[], Case]]], mark: bool = False
          ) -> list[float]:
    """One table, a line per (size, maker of its case); mark: where the time per model stops falling. Returns those times."""
    rows = []
    for size, make in cases:
        case = make()
        took = case.seconds(seconds)
        rows.append((size, str(case), case.samples / took, took, took / len(case.population), case.flops() / took))
    lowest = min(each for *_, each, _ in rows)
    stops = next(i for i, (*_, each, _) in enumerate(rows) if each <= NEAR * lowest) if mark else None
    print(f"### {title}\n\n| {axis} | models x parameters | batch | ms a step | samples/s | ms per model | GFLOP/s | |")
    print("|---|---|---|---|---|---|---|---|")
    for i, (size, case, speed, took, each, flops) in enumerate(rows):
        said = "" if i != stops else "stops falling" if i + 1 < len(rows) else "still falls"
        print(f"| {size} | {case} | {1000 * took:.3f} | {speed:,.0f} | {1000 * each:.3f} | {flops / 1e9:.1f} | {said} |")
    print(flush=True)
    return [each for *_, each, _ in rows]


@dataclass(frozen=True)
class Ceilings:
    """What the device does at best: float32 matrix product, copy (read and written), operation on one number."""

    flops: float  # a second
    bytes: float  # a second
    launch: float  # seconds


def ceilings(device: torch.device, seconds: float) -> Ceilings:
    if device.type == "cpu":
        torch.set_num_threads(ALL_THREADS)
    n = MATRIX[device.type]
    a, b, c = (torch.randn(n, n, device=device) for _ in range(3))
    product = seconds_of(lambda: torch.mm(a, b, out=c), device, seconds)
    source = torch.ones(COPIED[device.type], device=device)
    target, one = torch.empty_like(source), torch.zeros(1, device=device)
    copied = seconds_of(lambda: target.copy_(source), device, seconds)
    return Ceilings(2 * n**3 / product, 2 * source.nbytes / copied, seconds_of(lambda: one.add_(1), device, seconds))


def roofline(cases: Sequence[Case], device: torch.device, seconds: float) -> None:
    """The step of a few populations against the ceilings of the device and the floor of its launches."""
    top = ceilings(device, seconds)
    print(f"### Roofline\n\nCeilings measured here: {top.flops / 1e9:,.0f} GFLOP/s (float32 matrix product), "
          f"{top.bytes / 1e9:,.1f} GB/s (copy), {1e6 * top.launch:.2f} us for an operation on one number. Ideal: the larger of "
          "FLOPs and bytes over their ceilings.\n")
    print("| models x parameters | batch | MFLOP | MB at least | FLOP/byte | ms a step | GFLOP/s | GB/s | ideal ms "
          "| operations | launch floor ms |\n|---|---|---|---|---|---|---|---|---|---|---|")
    for case in cases:
        took, work, moved, count = case.seconds(seconds), case.flops(), case.bytes(), case.operations()
        ideal, floor = max(work / top.flops, moved / top.bytes), count * top.launch
        print(f"| {case} | {work / 1e6:,.1f} | {moved / 1e6:,.2f} | {work / moved:.1f} | {1000 * took:.3f} "
              f"| {work / took / 1e9:.1f} ({work / took / top.flops:.1%}) "
              f"| {moved / took / 1e9:.2f} ({moved / took / top.bytes:.1%}) "
              f"| {1000 * ideal:.3f} ({ideal / took:.1%} of the step) | {count} | {1000 * floor:.3f} ({floor / took:.1%}) |",
              flush=True)
    print()


if __name__ == "__main__":
    main()
