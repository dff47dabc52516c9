"""How long a calibration will take, from a short timing of each of its steps, and how much memory.

``python -m sqrtscale.training.estimate`` reads a plan as JSON on standard input and prints
``{"seconds", "device", "arms", "memory"}``: pages call it in a process of its own, because they never load torch.
"""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

import torch

from ..arms import Arm
from ..plan import WARM_START, CalibrationPlan
from ..rules import FieldError
from ..tasks import Batch, task
from .device import device_name, fast_settings, resolve
from .memory import seed_parts, state_bytes
from .population import Population, Stream
from .regime import MICRO, Probe

WARM_STEPS = 3  # not counted: compiling, allocations, and the choice of kernels
SECONDS_EACH = 0.4  # timing of one group of arms
START_SECONDS = 4.0  # starting the processes and loading torch and the data


def estimate(plan: CalibrationPlan) -> dict[str, Any]:
    """Seconds of the whole calibration and of each arm on the plan's device, measured now: the most that it takes; and bytes.

    Arms with the same batch size (and l of SVAG) train together, in as many parts as there are looks; an arm's seconds are its
    share. Runs that are taken from the store, and seeds that turn out not to be needed, make it shorter.
    Raises FieldError for a device that is not there.
    """
    device = resolve(plan.device)
    about = task(plan.task)
    data = about.data(device)
    arms: dict[str, float] = {}
    parts, passes = Counter(end - first for first, end in seed_parts(plan, device)), 0
    with fast_settings():
        if plan.start == "warm":
            arms[WARM_START] = _cost(about, data, plan, [plan.arm(WARM_START)], plan.warm_samples, plan.warm_points, device)[0]
        for kind in sorted({(arm.config.batch_size, arm.svag) for arm in plan.arms}):
            together = [arm for arm in plan.arms if (arm.config.batch_size, arm.svag) == kind]
            whole = 0.0
            for seeds, times in parts.items():
                seconds, needed = _cost(about, data, plan, together * seeds, plan.samples, plan.evaluation_points, device)
                whole, passes = whole + times * seconds, max(passes, needed)
            arms |= {arm.name: whole / len(together) for arm in together}
    states = max(parts) * len(plan.arms) * state_bytes(about.sizes[plan.size].parameters)
    return {"seconds": START_SECONDS + sum(arms.values()), "device": device_name(device), "arms": arms, "memory": states + passes}


def _cost(about, data, plan: CalibrationPlan, models: list[Arm], samples: int, points: Sequence[int], device: torch.device
          ) -> tuple[float, int]:
    """What a population of these arms costs over ``samples`` of time, measured at these points, its regime at some: seconds,

    and bytes of its forward and backward pass.
    """
    population = Population(about, [arm.config for arm in models], range(len(models)), device, models[0].svag, plan.size)
    stream = Stream(data, 0, "estimate")

    def batch(count: int) -> Batch:
        taken = stream.take(count)
        return Batch(*(x.unsqueeze(0).expand(len(models), *x.shape) for x in (taken.inputs, taken.targets)))

    steps, reads = population.steps_at_once(), torch.arange(len(models), device=device)
    for _ in range(WARM_STEPS):
        population.step(batch(population.drawn))
        population.measure(data)
    one_step = _time(lambda: population.advance(batch(steps * population.drawn), reads, steps), device, steps)
    one_measurement = _time(lambda: population.measure(data), device)
    one_micro_batch = _time(lambda: population.gradients(batch(MICRO)), device)
    probe = Probe(data, (), points, 0)
    seconds = (one_step * float(samples / models[0].samples_per_step) + one_measurement * len(points)
               + one_micro_batch * probe.count * len(probe.times))
    return seconds, population.peak_bytes()


def _time(work, device: torch.device, steps: int = 1) -> float:
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
    except (FieldError, json.JSONDecodeError, KeyError, TypeError) as error:
        print(f"no estimate: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
