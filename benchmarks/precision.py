"""Do the curves change when matrix products are rounded as a GPU's fast units round them?

    python benchmarks/precision.py [--task digits] [--seeds 8] [--share 1.0] [--way TF32 bfloat16]

Trains base and scaled of the default calibration several times with the same seeds and samples: in float32 by autograd; in
float32 by the compiled steps, which add in another order (what rounding alone does to such a run); and by autograd with the
numbers that enter a matrix product rounded to TF32 (10 bits of mantissa) or bfloat16 (7 bits, and its result as well), forward
and backward, sums in float32. So the rounding is an emulation and needs no GPU. All branch from one warm start, in float32: a
second one, made otherwise, would be another draw that all seeds share. Each is then judged as an arm is: paired by seed with the
first, by the margin of the verdict. Figures worth keeping go to docs/experiments.md.
"""

from __future__ import annotations

import argparse
import datetime
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext

import pandas as pd
import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map

from sqrtscale.evidence import Comparison, judge
from sqrtscale.plan import WARM_START, CalibrationPlan, make_plan
from sqrtscale.tasks import TASKS, task
from sqrtscale.training import Measured, RunEnded, calibrate, environment, executors

aten = torch.ops.aten
PRODUCTS = {aten.mm.default, aten.bmm.default, aten.addmm.default, aten.baddbmm.default}
SUMS = {aten.addmm.default, aten.baddbmm.default}  # their first tensor is added and takes no part in the product
REFERENCE = "float32"


def tf32(x: Tensor) -> Tensor:
    """The nearest number with 10 bits of mantissa, ties away from zero [NVIDIA, PTX ISA, cvt.rna.tf32.f32]."""
    return ((x.contiguous().view(torch.int32) + 0x1000) & ~0x1FFF).view(torch.float32)


def bfloat16(x: Tensor) -> Tensor:
    return x.bfloat16().float()


class Rounded(TorchDispatchMode):
    """What enters a matrix product is rounded, and what comes out of it, too, if asked."""

    def __init__(self, rounding: Callable[[Tensor], Tensor], result_too: bool):
        super().__init__()
        self.rounding, self.result_too, self.count, self.on = rounding, result_too, 0, False

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        if operation not in PRODUCTS or not self.on:
            return operation(*args, **(kwargs or {}))
        self.count += 1
        kept, rest = (args[:1], args[1:]) if operation in SUMS else ((), args)
        rounded = tree_map(lambda x: self.rounding(x) if isinstance(x, Tensor) else x, rest)
        result = operation(*kept, *rounded, **(kwargs or {}))
        return self.rounding(result) if self.result_too else result


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--task", choices=sorted(TASKS), action="append")
    options.add_argument("--seeds", type=int, help="default: the task's")
    options.add_argument("--share", type=float, default=1.0, help="of the default budgets")
    options.add_argument("--way", choices=("TF32", "bfloat16"), nargs="+", default=["TF32", "bfloat16"])
    chosen = options.parse_args()
    machine = environment("cpu")
    print(f"{machine['device_name']}, torch {machine['packages']['torch']}, {datetime.date.today()}")
    for name in chosen.task or sorted(TASKS):
        d = task(name).defaults
        plan = make_plan(name, d.base, d.target_batch, arms=(), device="cpu", seeds=chosen.seeds,
                         samples=int(chosen.share * d.samples), warm_samples=int(chosen.share * d.warm_samples))
        compare(plan, chosen.way)


def compare(plan: CalibrationPlan, chosen: Sequence[str]) -> None:
    """The table of one task."""
    print(f"\n## {plan.task}: warm start {plan.warm_samples} + {plan.samples} samples, {len(plan.seeds)} seeds\n")
    ways = {REFERENCE: None, "float32, other order": None, "TF32": Rounded(tf32, False), "bfloat16": Rounded(bfloat16, True)}
    curves = {}
    for way, rounding in ways.items():
        if rounding and way not in chosen:
            continue
        began = time.perf_counter()
        curves[way] = train(plan, way == "float32, other order", rounding)
        said = f", {rounding.count:,} products rounded" if rounding else ""
        print(f"({way}: {time.perf_counter() - began:.0f} s{said})", flush=True)
    about = task(plan.task)
    comparison = Comparison(about.judged, about.metrics[about.judged].unit, about.metrics[about.judged].margin, base=REFERENCE)
    print("\n| arm | precision | end, mean of seeds | minus float32 | margin | judged as an arm |\n|---|---|---|---|---|---|")
    for arm in ("base", "scaled"):
        table = pd.concat([frame[frame["arm"] == arm].assign(arm=way) for way, frame in curves.items()])
        ends = table[table["samples"] == plan.samples].groupby("arm")["value"].mean()
        print(f"| {arm} | {REFERENCE} | {ends[REFERENCE]:.4f} | | | |")
        for way, verdict in judge(table, comparison).items():
            print(f"| {arm} | {way} | {ends[way]:.4f} | {ends[way] - ends[REFERENCE]:+.4f} | {verdict.margin.value:.4f} "
                  f"| {verdict.outcome} |", flush=True)


def train(plan: CalibrationPlan, compiled: bool, rounding: Rounded | None) -> pd.DataFrame:
    """The losses of every arm's runs: columns arm, seed, metric, samples, value. What is special begins behind the warm start."""
    usual, rows, metric = executors.TABLE, [], task(plan.task).judged
    executors.TABLE = (executors.Eager,)
    try:
        with rounding or nullcontext(), sdpa_kernel(SDPBackend.MATH):  # attention as matrix products that can be seen
            for event in calibrate(plan):
                if isinstance(event, RunEnded) and event.arm == WARM_START:
                    executors.TABLE = (executors.Compiled if compiled else executors.Eager,)
                    if rounding:
                        rounding.on = True
                if isinstance(event, Measured) and event.arm != WARM_START:
                    rows.append((event.arm, event.seed, metric, event.samples, event.values[metric]))
    finally:
        executors.TABLE = usual
    return pd.DataFrame(rows, columns=["arm", "seed", "metric", "samples", "value"])


if __name__ == "__main__":
    main()
