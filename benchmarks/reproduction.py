"""Do the paper's comparisons come out here? The full rule against its ablations, at kappa 2 to 16, for Adam and RMSprop.

    python benchmarks/reproduction.py [--train] [--task pydoc] [--optimizer adam]

Malladi et al. 2022 train the full square-root rule beside runs that leave one of its parts out, and see the full rule alone
follow the base run. The same on the built-in tasks, from a warm start (noise dominates there), with the verdict that the app
gives. Reads the curves in benchmarks/data; ``--train`` makes them anew. Prints Markdown; what is worth keeping goes to
docs/reproduction.md.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import pandas as pd

from sqrtscale.evidence import Comparison, Regime, Verdict, judge, regime
from sqrtscale.plan import WARM_START, CalibrationPlan, make_plan
from sqrtscale.rules import TrainingConfig
from sqrtscale.tasks import TASKS, task
from sqrtscale.training import Measured, calibrate

DATA = Path(__file__).parent / "data"
KAPPAS = (2, 4, 8, 16)
KEPT = {"signal", "noise", "second_moment"}  # of base and the rule, beside the judged metric of every arm
# beta1 and beta2 such that 1 - kappa (1 - beta) stays positive up to kappa = 16; learning rates near the tasks' own.
BASES = {
    ("digits", "adam"): TrainingConfig("adam", 8, {"lr": 2e-3, "beta1": 0.95, "beta2": 0.99}),
    ("digits", "rmsprop"): TrainingConfig("rmsprop", 8, {"lr": 1e-3, "alpha": 0.99}),
    ("pydoc", "adam"): TrainingConfig("adam", 8, {"lr": 5e-4, "beta1": 0.95, "beta2": 0.99}),
    ("pydoc", "rmsprop"): TrainingConfig("rmsprop", 8, {"lr": 3e-4, "alpha": 0.99}),
}
SEEDS = {"digits": 6, "pydoc": 4}
KINDS = {
    "adam": ("scaled", "without lr", "without beta1", "without beta2", "without eps", "sqrt lr", "unscaled", "linear lr"),
    "rmsprop": ("scaled", "without lr", "without alpha", "without eps", "sqrt lr", "unscaled", "linear lr"),
}
EPS_AT = 8  # eps is far below sqrt(v) here, so its ablation is trained at one kappa only


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--train", action="store_true", help="train the curves anew (an hour on two cores)")
    options.add_argument("--task", choices=sorted(TASKS), action="append")
    options.add_argument("--optimizer", choices=sorted(KINDS), action="append")
    options.add_argument("--device", default="cpu")
    chosen = options.parse_args()
    for (name, optimizer), base in BASES.items():
        if name in (chosen.task or TASKS) and optimizer in (chosen.optimizer or KINDS):
            path, plan = DATA / f"reproduction_{name}_{optimizer}.csv", plan_of(name, base, chosen.device)
            if chosen.train:
                train(plan).to_csv(path, index=False, float_format="%.6g")
            print_tables(plan, pd.read_csv(path))


def plan_of(name: str, base: TrainingConfig, device: str) -> CalibrationPlan:
    """Every kind of arm at every kappa, in one calibration; the largest kappa is the plan's target."""
    arms = [arm_name(kind, kappa) for kappa in KAPPAS for kind in KINDS[base.optimizer]
            if kind != "without eps" or kappa == EPS_AT]
    return make_plan(name, base, base.batch_size * KAPPAS[-1], arms=arms, seeds=SEEDS[name], device=device)


def arm_name(kind: str, kappa: int) -> str:
    return kind if kappa == KAPPAS[-1] else f"{kind} {kappa}x"


def train(plan: CalibrationPlan) -> pd.DataFrame:
    """The curves of the calibration, warm start left out, without what the tables do not need."""
    began = time.monotonic()
    rows = [(event.arm, event.seed, metric, event.samples, value) for event in calibrate(plan)
            if isinstance(event, Measured) and event.arm != WARM_START for metric, value in event.values.items()
            if metric == task(plan.task).judged or (metric in KEPT and plan.arm(event.arm).group in ("base", "rule"))]
    print(f"({plan.task}, {plan.base.optimizer}: {len(plan.runs)} runs in {time.monotonic() - began:.0f} s)\n")
    return pd.DataFrame(rows, columns=["arm", "seed", "metric", "samples", "value"])


def print_tables(plan: CalibrationPlan, curves: pd.DataFrame) -> None:
    """One table of end differences and verdicts, then the sentences of the full rule."""
    about, base = task(plan.task), plan.base
    metric = about.metrics[about.judged]
    controls = frozenset(arm.name for arm in plan.arms if arm.group == "control")
    comparison = Comparison(about.judged, metric.unit, metric.margin, controls=controls)
    verdicts: dict[str, Verdict] = {}
    regimes: dict[int, Regime] = {}
    for kappa in KAPPAS:
        names = [arm_name(kind, kappa) for kind in KINDS[base.optimizer]]
        chosen = curves[curves["arm"].isin(["base", *names])]
        regimes[kappa] = regime(chosen, base.batch_size, base.batch_size * kappa, arm=arm_name("scaled", kappa))
        verdicts |= judge(chosen, comparison, regime=regimes[kappa])
    margin = next(iter(verdicts.values())).margin
    values = ", ".join(f"{name} {value:g}" for name, value in base.hyperparameters.items())
    print(f"## {plan.task}, {base.optimizer}: batch {base.batch_size}, {values}; {len(plan.seeds)} seeds, {plan.samples:,} "
          f"samples after a warm start of {plan.warm_samples:,}\n\nMargin {margin.value:.3g} {margin.unit} ({margin.origin}).\n")
    print(f"| arm | {' | '.join(f'kappa {kappa}' for kappa in KAPPAS)} |\n|---|{'---|' * len(KAPPAS)}")
    for kind in KINDS[base.optimizer]:
        print(f"| {kind} | {' | '.join(cell(verdicts.get(arm_name(kind, kappa))) for kappa in KAPPAS)} |")
    print("\nNoise scale, and kappa at which a target batch reaches it:")
    for kappa in KAPPAS:
        print(f"- kappa {kappa}: {regimes[kappa].sentence} {verdicts[arm_name('scaled', kappa)].sentence}")
    print()


def cell(verdict: Verdict | None) -> str:
    """The worst of the three comparisons with its interval, and the verdict."""
    if verdict is None:
        return ""
    if not verdict.functionals:
        return f"{verdict.outcome} ({verdict.reason})"
    worst = max(verdict.functionals, key=lambda test: abs(test.difference))
    return f"**{verdict.outcome}**: {worst.difference:+.4f} ({worst.low:+.4f} to {worst.high:+.4f}), {worst.name}"


if __name__ == "__main__":
    main()
