"""Samples per second of every arm, and the time of the default calibration of each task.

    python benchmarks/engine.py [--task digits] [--device auto] [--repeat 3] [--skip-whole]

Prints Markdown. Figures worth keeping go to benchmarks/RESULTS.md with device and date.
"""

from __future__ import annotations

import argparse
import datetime
import statistics
import time

from sqrtscale.evidence import Comparison, judge, summarise
from sqrtscale.plan import WARM_START, CalibrationPlan, make_plan
from sqrtscale.tasks import TASKS, task
from sqrtscale.training import Measured, calibrate, environment
from sqrtscale.training.estimate import estimate


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--task", choices=sorted(TASKS), action="append")
    options.add_argument("--device", default="auto")
    options.add_argument("--repeat", type=int, default=3, help="timings of each arm; the median is printed")
    options.add_argument("--skip-whole", action="store_true", help="do not train the default calibrations")
    chosen = options.parse_args()
    machine = environment(chosen.device)
    print(f"{machine['device_name']}, {machine['threads']} threads, torch {machine['packages']['torch']}, "
          f"{datetime.date.today()}\n")
    for name in chosen.task or sorted(TASKS):
        defaults = task(name).defaults
        plan = make_plan(name, defaults.base, defaults.target_batch, device=chosen.device)
        timings = [estimate(plan) for _ in range(chosen.repeat)]
        print(f"## {name}: {len(plan.arms)} arms x {len(plan.seeds)} seeds x {plan.samples} samples, "
              f"after a warm start of {plan.warm_samples}\n")
        print("| arm | batch | samples per second (all seeds, evaluations included) |\n|---|---|---|")
        for arm in timings[0]["arms"]:
            seconds = statistics.median(timing["arms"][arm] for timing in timings)
            samples = plan.warm_samples if arm == WARM_START else plan.samples * len(plan.seeds)
            print(f"| {arm} | {plan.config_of(arm).batch_size} | {samples / seconds:,.0f} |")
        predicted = statistics.median(timing["seconds"] for timing in timings)
        print(f"\npredicted time of the whole: {predicted:.0f} s")
        if not chosen.skip_whole:
            whole(plan)


def whole(plan: CalibrationPlan) -> None:
    """Train the plan, print its time and its outcome."""
    import pandas as pd

    began, rows = time.perf_counter(), []
    for event in calibrate(plan):
        if isinstance(event, Measured) and event.arm != WARM_START:
            rows += [(event.arm, event.seed, metric, event.samples, value) for metric, value in event.values.items()]
    seconds = time.perf_counter() - began
    curves = pd.DataFrame(rows, columns=["arm", "seed", "metric", "samples", "value"])
    about = task(plan.task)
    metric = about.metrics[about.judged]
    print(f"measured time of the whole: {seconds:.0f} s\n\n| arm | end {metric.label.lower()} | difference to base |")
    print("|---|---|---|")
    for arm, summary in summarise(curves, about.judged).items():
        difference = "" if summary.pairs == 0 else f"{summary.difference:+.4f} +- {summary.half_width:.4f}"
        print(f"| {arm} | {summary.mean:.4f} +- {summary.std:.4f} | {difference} |")
    controls = frozenset(arm.name for arm in plan.arms if arm.group == "control")
    verdicts = judge(curves, Comparison(about.judged, metric.unit, metric.margin, controls=controls))
    print("\n" + "\n".join(verdict.sentence for verdict in verdicts.values()) + "\n")


if __name__ == "__main__":
    main()
