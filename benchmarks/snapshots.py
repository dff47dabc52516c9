"""What snapshots cost: the share of the training time that writing them takes, at the interval that calibrations use.

``python benchmarks/snapshots.py [--seconds S]`` trains the default calibration of each built-in task, or as much of it as fits
into S seconds, by the code that a calibration's process uses, and times every snapshot that is due. Prints a table in Markdown.
"""

import argparse
import os
import tempfile
import time

from sqrtscale.plan import make_plan
from sqrtscale.runner import snapshots
from sqrtscale.runner.keeper import Keeper
from sqrtscale.store.connect import database_url
from sqrtscale.tasks import TASKS
from sqrtscale.training import Resumable, calibrate, environment


def measured(name: str, size: str, seconds: float, device: str) -> tuple[float, float, int, int]:
    """Seconds of training, those of the snapshots in it, how many there were, and bytes of the last one."""
    about = TASKS[name]
    plan = make_plan(name, about.defaults.base, about.defaults.target_batch, size=size, device=device)
    keeper = Keeper(f"{name}-{size}", plan, environment(device, plan))
    taken, count, began = 0.0, 0, time.monotonic()
    for event in calibrate(plan):
        keeper.note(event)
        if isinstance(event, Resumable):
            if keeper.due.now(event.measured):
                before = time.monotonic()
                keeper.keep(event, database_url())
                taken, count = taken + time.monotonic() - before, count + 1
            if time.monotonic() - began > seconds:
                break
    largest = max((path.stat().st_size for path in keeper.snapshots.paths), default=0)
    return time.monotonic() - began, taken, count, largest


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=180.0, help="of each training at most (default: 180)")
    parser.add_argument("--device", default="cpu", help="as calibrate takes it (default: cpu)")
    options = parser.parse_args()
    print(f"A snapshot every {snapshots.every():g} s, and at evaluation points where the last one was cheap.\n\n"
          "| task | model | seconds | snapshots | MB each | ms each | share |\n|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as home:
        os.environ["SQRTSCALE_HOME"] = home
        for name, about in TASKS.items():
            for size in [*about.sizes][:2]:
                seconds, taken, count, largest = measured(name, size, options.seconds, options.device)
                print(f"| {name} | {size} | {seconds:.0f} | {count} | {largest / 1e6:.1f} | {1000 * taken / max(count, 1):.0f} | "
                      f"{taken / seconds:.2%} |", flush=True)


if __name__ == "__main__":
    main()
