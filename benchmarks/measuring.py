"""What measuring the regime costs beside training: operations, processor seconds, memory.

    python benchmarks/measuring.py [--task digits] [--size tiny] [--executor eager] [--other CHECKOUT] [--repeat 3]

One measurement of a default calibration's base runs at the end of their budget, tails and curvature included, after a few steps.
``--executor eager`` counts what a GPU is asked to launch. Each measurement is a process of its own; with ``--other`` another
checkout of the project measures in turns with this one. Prints Markdown; processor seconds are what to compare on a busy one.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
STEPS = 3
MEBIBYTE = 2**20


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--task", default="digits")
    options.add_argument("--size", default="tiny")
    options.add_argument("--seeds", type=int, help="default: the task's")
    options.add_argument("--samples", type=int, help="of the budget; default: the task's")
    options.add_argument("--executor", default="usual", choices=["usual", "eager"])
    options.add_argument("--other", type=Path, help="root of another checkout, for example of an earlier version")
    options.add_argument("--repeat", type=int, default=3, help="measurements of each; the median is printed")
    options.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    chosen = options.parse_args()
    if chosen.child:
        print(json.dumps(measured(chosen.task, chosen.size, chosen.executor, chosen.seeds, chosen.samples)))
        return
    roots = [root.resolve() for root in (chosen.other, ROOT) if root]
    rows: dict[Path, list[dict[str, float]]] = {root: [] for root in roots}
    for _ in range(chosen.repeat):
        for root in roots:
            done = subprocess.run([sys.executable, __file__, "--child", *sys.argv[1:]], cwd=root, check=True,
                                  capture_output=True, text=True, env={"PYTHONPATH": str(root)})
            rows[root].append(json.loads(done.stdout.splitlines()[-1]))
    print("| checkout | operations | processor seconds | seconds | largest memory, MiB |\n|---|---|---|---|---|")
    for root in roots:
        middle = {name: statistics.median(row[name] for row in rows[root]) for name in rows[root][0]}
        print(f"| {root.name} | {middle['operations']:,.0f} | {middle['processor']:.2f} | {middle['seconds']:.2f} "
              f"| {middle['memory']:,.0f} (before {middle['before']:,.0f}) |")


def measured(name: str, size: str, executor: str, seeds: int | None, samples: int | None) -> dict[str, float]:
    """One measurement: how often torch is called for anything but a view, seconds, and the process's largest memory."""
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode

    from sqrtscale.plan import make_plan
    from sqrtscale.tasks import task
    from sqrtscale.training import executors
    from sqrtscale.training.group import Group

    class Counting(TorchDispatchMode):
        count = 0

        def __torch_dispatch__(self, operation, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
            self.count += not operation.is_view
            return operation(*args, **(kwargs or {}))

    if executor == "eager":
        executors.TABLE = (executors.Looped, executors.Eager)
    about, device = task(name), torch.device("cpu")
    plan = make_plan(name, about.defaults.base, about.defaults.target_batch, size=size, seeds=seeds, samples=samples)
    runs = [("base", seed) for seed in plan.seeds]

    def group() -> Group:
        made = Group(about, about.data(device), runs, plan, "branch", plan.evaluation_points)
        for _ in range(STEPS):
            made.population.advance(made.draw(made.population.drawn), made.reads, 1, watch=True)
        return made

    def measure(of: Group) -> None:
        of.probe.measure(of.population, of.runs, of.reads, of.probe.times[-1])

    measure(group())  # compiles, and loads what is loaded once
    timed, before = group(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    processor, clock = time.process_time(), time.perf_counter()
    measure(timed)
    processor, clock = time.process_time() - processor, time.perf_counter() - clock
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with Counting() as counting:
        measure(group())
    return {"operations": counting.count, "processor": processor, "seconds": clock, "memory": memory * 1024 / MEBIBYTE,
            "before": before * 1024 / MEBIBYTE}


if __name__ == "__main__":
    main()
