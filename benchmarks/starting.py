"""What ``import sqrtscale`` costs over starting Python alone, and what the command line and the plans cost beside it.

    python benchmarks/starting.py [--runs 20]

Prints Markdown: medians of processes that are started in turn, so that a busy minute of the machine meets all of them alike.
"""

from __future__ import annotations

import argparse
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
}


def seconds(program: str) -> float:
    """The time from starting an interpreter to its end, from the root of the project."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True)
    return time.perf_counter() - start


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--runs", type=int, default=20, help="starts of each program; the median is printed")
    runs = options.parse_args().runs
    for program in PROGRAMS.values():  # compiles what has changed
        seconds(program)
    times: dict[str, list[float]] = {name: [] for name in PROGRAMS}
    for _ in range(runs):
        for name, program in PROGRAMS.items():
            times[name].append(seconds(program))
    bare = statistics.median(times["Python alone"])
    print(f"Python {sys.version.split()[0]}, medians of {runs} starts\n")
    print("| program | ms | over Python alone, ms |\n|---|---|---|")
    for name, each in times.items():
        median = statistics.median(each)
        print(f"| {name} | {1e3 * median:.0f} | {1e3 * (median - bare):.0f} |")


if __name__ == "__main__":
    main()
