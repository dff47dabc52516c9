"""What ``import sqrtscale`` costs over starting Python alone, and what the command line, plans and what trains cost beside it.

    python benchmarks/starting.py [--runs 20]

Prints Markdown: medians of processes that are started in turn, so that a busy minute of the machine meets all of them alike.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PROGRAMS = {
    "Python alone": "pass",
    "import sqrtscale": "import sqrtscale",
    "its plans as well": "from sqrtscale import CalibrationPlan",
    "its command line as well": "from sqrtscale.cli import build_parser; build_parser()",
    "torch alone": "import torch",
    "what trains on a GPU": "from sqrtscale.training import engine",
    "what trains on a CPU": "from sqrtscale.training.executors import compiled; compiled.available()",
    "its kernels as well": "from sqrtscale.training.executors import compiled, kernels; compiled.available()",
}


def seconds(program: str) -> tuple[float, float]:
    """The time from starting an interpreter to its end, from the root of the project, and what it took of the processors."""
    start, before = time.perf_counter(), os.times()
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True)
    after = os.times()
    return (time.perf_counter() - start,
            after.children_user + after.children_system - before.children_user - before.children_system)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--runs", type=int, default=20, help="starts of each program; the median is printed")
    runs = options.parse_args().runs
    for program in PROGRAMS.values():  # compiles what has changed
        seconds(program)
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in PROGRAMS}
    for _ in range(runs):
        for name, program in PROGRAMS.items():
            times[name].append(seconds(program))
    print(f"Python {sys.version.split()[0]}, medians of {runs} starts\n")
    print("| program | ms | over Python alone, ms | processor ms |\n|---|---|---|---|")
    medians = {name: [1e3 * statistics.median(each) for each in zip(*pairs, strict=True)] for name, pairs in times.items()}
    for name, (clock, processor) in medians.items():
        print(f"| {name} | {clock:.0f} | {clock - medians['Python alone'][0]:.0f} | {processor:.0f} |")


if __name__ == "__main__":
    main()
