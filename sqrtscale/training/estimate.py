"""How long a calibration will take, from a short timing of each of its steps, and how much memory.

``python -m sqrtscale.training.estimate`` reads a plan as JSON on standard input and prints
``{"seconds", "device", "arms", "memory", "disk"}``: pages call it in a process of its own, because they never load torch.
"""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import torch

from ..plan import WARM_START, CalibrationPlan
from ..points import complete_points
from ..rules import FieldError
from ..tasks import task
from . import measuring, snapshots
from .device import device_name, fast_settings, resolve
from .engine import kinds, spread, warm_group
from .group import Group
from .memory import seed_parts, state_bytes
from .regime import gradient_noise
from .streams import BLOCK

WARM_STEPS = 3  # not counted: compiling, allocations, and the choice of kernels
SECONDS_EACH = 0.4  # timing of one group of arms
START_SECONDS = 7.0  # starting the processes, loading torch and the data, judging and storing (measured with 2 cores)


def estimate(plan: CalibrationPlan) -> dict[str, Any]:
    """Seconds of the whole calibration and of each arm on the plan's device, measured now: the most that it takes; and bytes of
    memory, and of disk for the snapshots.

    Arms with the same batch size (and l of SVAG) train together, in as many parts as there are looks; an arm's seconds are its
    share. Runs that are taken from the store, and seeds that turn out not to be needed, make it shorter.
    Raises FieldError for a device that is not there.
    """
    devices = resolve(plan.device)
    about = task(plan.task)
    data = [about.data(devices[0])] * len(devices)  # one share is timed: the others train beside it
    arms: dict[str, float] = {}
    memory, snapshot, warm = 0, 0, 0
    parts = Counter(end - first for first, end in seed_parts(plan, devices))  # seeds that train at the same time -> how often
    with fast_settings(about):
        if plan.start == "warm":
            group = warm_group(plan, data[0])
            arms[WARM_START] = _cost(group, plan.warm_samples, plan.warm_points)
            warm = snapshots.size(group.snapshot())
        for seeds, times in parts.items():
            states, passes, graphs, kept = 0, 0, 0, warm
            for _, runs in kinds(plan, [(arm.name, seed) for arm in plan.arms for seed in plan.seeds[:seeds]]):
                shares = list(spread(runs, data))
                group = Group(about, *shares[0], plan, "branch", plan.evaluation_points)
                seconds, names = _cost(group, plan.samples, plan.evaluation_points, len(shares)), {arm for arm, _ in runs}
                arms |= {arm: arms.get(arm, 0.0) + times * seconds / len(names) for arm in names}
                population = group.population
                kept += len(shares) * snapshots.size(group.snapshot())
                states += len(population) * state_bytes(population.flat.shape[1], plan.base.groups)
                states += sum(x.nbytes for x in population.held.values())
                passes = max(passes, population.executor.peak_bytes(population))
                graphs += population.executor.kept_bytes(population)
            memory, snapshot = max(memory, states + passes + graphs), max(snapshot, kept)
    return {"seconds": START_SECONDS + sum(arms.values()), "device": device_name(*devices), "arms": arms, "memory": memory,
            "disk": (snapshots.KEPT + 1) * snapshot}


def _cost(group: Group, samples: int, points: Sequence[int], shares: int = 1) -> float:
    """Seconds that a group trains ``samples`` of time, measured at these points, its regime at some.

    shares: groups of its kind on as many devices, which make their steps at the same time and all else one after another.
    """
    population, device = group.population, group.population.device
    steps = population.executor.steps_at_once(population)
    batch = group.draw(steps * population.drawn)
    for _ in range(WARM_STEPS):
        population.advance(batch, group.reads, steps)
        measuring.measure(population, group.data)
    one_step = _time(lambda: population.advance(batch, group.reads, steps), device, steps)
    one_sample = _time(lambda: group.draw(BLOCK), device, BLOCK)
    every_metric = _time(lambda: measuring.measure(population, group.data), device)
    judged_only = _time(lambda: measuring.measure(population, group.data, judged_only=True), device)
    probe = group.probe
    count = max(2, min(probe.count, population.executor.batches_at_once(population)))
    one_micro_batch = _time(lambda: gradient_noise(population, probe.gradients(population, group.streams, group.reads, count),
                                                   probe.micro), device, count)
    made = float(samples / group.step_covers)
    complete = len(complete_points(points))
    measurements = every_metric * complete + judged_only * (len(points) - complete)
    return made * one_step + shares * (made * population.drawn * one_sample + measurements
                                       + one_micro_batch * probe.count * len(probe.times))


def _time(work: Callable[[], object], device: torch.device, steps: int = 1) -> float:
    """Seconds of one of the ``steps`` that a call makes, from as many calls as fit into SECONDS_EACH."""
    began, calls = time.perf_counter(), 0
    while calls < 2 or time.perf_counter() - began < SECONDS_EACH:
        work()
        calls += 1
        if device.type == "cuda":
            torch.cuda.synchronize(device)
    return (time.perf_counter() - began) / (calls * steps)


def main() -> int:
    """Standard input to standard output; exit code 2 and one line for a plan that cannot be timed."""
    try:
        plan = CalibrationPlan.from_dict(json.load(sys.stdin))
        print(json.dumps(estimate(plan)))
    except (FieldError, json.JSONDecodeError) as error:
        print(f"no estimate: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
