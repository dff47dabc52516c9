"""How much does the noise scale grow after the branch point, and would a calibration be stopped there by mistake?

    python benchmarks/branch_point.py [--task pydoc] [--seeds 3] [--repeats 3] [--csv FILE]

The base arm alone, after warm starts of several lengths, and for several lengths more: the noise scale measured at the branch
point, and over the whole run as a verdict takes it. Prints Markdown. The upper end of the last interval over that of the first is
what ``Regime.stays_signal`` must allow for; where the first is open above nothing is ever stopped.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pandas as pd

from sqrtscale.evidence import Ratio, noise_scale
from sqrtscale.evidence.noise import GROWTH
from sqrtscale.plan import CalibrationPlan, make_plan
from sqrtscale.rules import TrainingConfig
from sqrtscale.tasks import task
from sqrtscale.training import Measured, calibrate

BUDGETS = {  # thousands of samples before and after the branch point
    "digits": [(3, 6), (6, 12), (12, 12), (12, 24), (12, 48), (24, 48), (96, 48)],
    "pydoc": [(3, 6), (6, 12), (6, 24), (12, 24), (24, 24), (72, 24)],
}
RMSPROP_LR = {"digits": 1e-3, "pydoc": 5e-4}


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--task", choices=list(BUDGETS), action="append")
    options.add_argument("--seeds", type=int, default=3)
    options.add_argument("--repeats", type=int, default=3, help="warm starts of other seeds")
    options.add_argument("--csv", type=Path, help="a file for every repetition's numbers")
    chosen = options.parse_args()
    rows = [row for name in chosen.task or BUDGETS for row in measured(name, chosen.seeds, chosen.repeats)]
    table = pd.DataFrame(rows, columns=["task", "base", "before", "after", "high_there", "high_over_all", "allowed"])
    if chosen.csv:
        table.to_csv(chosen.csv, index=False, float_format="%.4g")
    report(table)


def measured(name: str, seeds: int, repeats: int) -> Iterator[tuple[str, str, int, int, float, float, float]]:
    """A row of the table for every repetition."""
    for base in (task(name).defaults.base, TrainingConfig("adamw", 256, {"lr": 1e-3}),
                 TrainingConfig("rmsprop", 8, {"lr": RMSPROP_LR[name], "alpha": 0.99})):
        for before, after in BUDGETS[name]:
            plan = make_plan(name, base, 2 * base.batch_size, arms=(), samples=1000 * after, warm_samples=1000 * before,
                             evaluations=4, decay_form="half-life", device="cpu")
            for repeat in range(repeats):
                there, over_all = noise_scales(replace(plan, seeds=tuple(range(10 * repeat, 10 * repeat + seeds))))
                yield (name, f"{base.optimizer} {base.batch_size}", before, after, there.high, over_all.high,
                       GROWTH * (1 + plan.samples / plan.warm_samples))


def noise_scales(plan: CalibrationPlan) -> tuple[Ratio, Ratio]:
    """At the branch point, and over the whole run of the base arm."""
    rows = [(event.arm, event.seed, event.samples, name, event.values[name])
            for event in calibrate(plan, [("scaled", seed) for seed in plan.seeds])
            if isinstance(event, Measured) and event.arm == "base" for name in ("signal", "noise") if name in event.values]
    curves = pd.DataFrame(rows, columns=["arm", "seed", "samples", "metric", "value"])
    there, over_all = noise_scale(curves[curves["samples"] == 0]), noise_scale(curves)
    assert there is not None and over_all is not None
    return there, over_all


def report(table: pd.DataFrame) -> None:
    """Growth of the interval's upper end, by task and by how the lengths relate."""
    table = table.assign(growth=table["high_over_all"] / table["high_there"])
    print("| task | after / before | calibrations | open above | growth of the upper end, median | largest | allowed |")
    print("|---|---|---|---|---|---|---|")
    for _, rows in table.groupby(["task", (table["after"] / table["before"]).round(2)]):
        name, before, after, allowed = (rows[column].iloc[0] for column in ("task", "before", "after", "allowed"))
        closed = rows[rows["high_there"] < math.inf]["growth"]
        largest = closed[closed < math.inf].max()
        print(f"| {name} | {after / before:.2g} | {len(rows)} | {len(rows) - len(closed)} | {closed.median():.2f} "
              f"| {largest:.2f} | {allowed:.1f} |")
    mistakes = table[table["growth"] > table["allowed"]].to_dict("records")
    print(f"\n{len(mistakes)} of {len(table)} would be stopped by mistake at some batch" + "".join(
        f"; {row['task']}, {row['base']}: above {row['allowed'] * row['high_there']:,.0f}, the whole run's interval ending at "
        f"{row['high_over_all']:,.0f}" for row in mistakes) + ".")



if __name__ == "__main__":
    main()
