"""How a process ends that has used CUDA graphs, by what is done before Python clears up: -11 is a segmentation fault.

    python benchmarks/gpu_ending.py [--device cuda:0]
"""

from __future__ import annotations

import argparse
import faulthandler
import gc
import subprocess
import sys
import weakref
from collections.abc import Callable, Mapping

from sqrtscale import training  # before torch, as the app's child does  # noqa: F401  # isort: skip
import torch

from sqrtscale.processes import leave
from sqrtscale.tasks import TASKS
from sqrtscale.training.population import Population
from sqrtscale.training.streams import Stream

STEPS = 5
graphs: weakref.WeakSet[torch.cuda.CUDAGraph] = weakref.WeakSet()


def reset() -> None:
    torch.cuda.synchronize()
    for graph in list(graphs):
        graph.reset()


WAYS: Mapping[str, Callable[[], object]] = {
    "nothing": lambda: None,
    "garbage collected": gc.collect,
    "graphs reset": reset,
    "workspaces of cuBLAS cleared": lambda: torch._C._cuda_clearCublasWorkspaces(),
    "left at once": lambda: leave(0),
}


def worker(task: str, device: str, way: str) -> None:
    """A few steps by a graph, then the end."""
    faulthandler.enable()
    make = torch.cuda.CUDAGraph.__init__

    def noted(graph: torch.cuda.CUDAGraph, *arguments: object) -> None:
        make(graph, *arguments)
        graphs.add(graph)

    torch.cuda.CUDAGraph.__init__ = noted  # type: ignore[method-assign, assignment]
    about = TASKS[task]
    data, config = about.data(torch.device(device)), about.defaults.base
    population = Population(about, [config] * 2, range(2), data.device)
    stream = Stream(data, 0, "ending")
    for _ in range(STEPS):
        batch = stream.take(2 * config.batch_size)
        population.step(batch.map(lambda x: x.view(2, config.batch_size, *x.shape[1:])))
    del population
    WAYS[way]()


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--device", default="cuda:0")
    options.add_argument("--worker", nargs=2, metavar=("TASK", "WAY"))
    chosen = options.parse_args()
    if chosen.worker:
        task, way = chosen.worker
        return worker(task, chosen.device, way)
    cases = [(task, way) for task in TASKS for way in WAYS]
    if chosen.device == "cpu":  # reduced: it shows that it works
        cases = cases[-1:]
    processes = [subprocess.Popen([sys.executable, __file__, "--device", chosen.device, "--worker", *case],
                                  stderr=subprocess.PIPE, text=True) for case in cases]
    print("| task | before the end | exit code | where |\n|---|---|---|---|")
    for (task, way), process in zip(cases, processes, strict=True):
        said = process.communicate()[1].strip().splitlines()
        where = next((line.strip() for line in said if line.startswith("  File")), said[-1] if said else "")
        print(f"| {task} | {way} | {process.returncode} | {where[-100:] if process.returncode else ''} |", flush=True)


if __name__ == "__main__":
    main()
