"""What regime do the built-in tasks train in, and is their gradient noise Gaussian enough for an SDE?

    python benchmarks/regime.py [--task pydoc] [--seeds 3] [--share 1.0]

Two calibrations a task: one from scratch, for the start of training, and the default one with the full rule at kappa 2, 4, 8 and
16 from the branch point. Prints Markdown: noise scales with Fieller's interval over seeds, second moments against kappa, tails
of every layer. ``--share`` shortens both budgets.
"""

from __future__ import annotations

import argparse
import datetime
import time

import pandas as pd

from sqrtscale.evidence import describe_tails, layer_tails, noise_scale, regime, second_moment_ratio
from sqrtscale.plan import CalibrationPlan, make_plan
from sqrtscale.tasks import TASKS, task
from sqrtscale.training import Measured, calibrate, environment

KAPPAS = (2, 4, 8, 16)
MEMORIES = 2  # lifetimes 1 / (1 - beta2) of v after which it counts as settled: what it was handed is down to 13 %


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--task", choices=sorted(TASKS), action="append")
    options.add_argument("--seeds", type=int, default=3)
    options.add_argument("--share", type=float, default=1.0, help="of the default budgets")
    options.add_argument("--device", default="auto")
    chosen = options.parse_args()
    machine = environment(chosen.device)
    print(f"{machine['device_name']}, torch {machine['packages']['torch']}, {datetime.date.today()}")
    for name in chosen.task or sorted(TASKS):
        defaults = task(name).defaults
        base = defaults.base
        common = dict(arms=(), seeds=chosen.seeds, device=chosen.device, decay_form="half-life")
        scratch = make_plan(name, base, base.batch_size * 8, start="scratch", samples=int(defaults.samples * chosen.share / 4),
                            **common)
        warm = make_plan(name, base, base.batch_size * 8, targets=[kappa * base.batch_size for kappa in KAPPAS],
                         samples=int(defaults.samples * chosen.share), warm_samples=int(defaults.warm_samples * chosen.share),
                         **common)
        print(f"\n## {name}: {base.optimizer}, batch {base.batch_size}, lr {base['lr']:g}, {chosen.seeds} seeds, warm start "
              f"{warm.warm_samples} + {warm.samples} samples, decays by half-life\n")
        from_scratch, branched = run(scratch), run(warm)
        print_noise(from_scratch, "from scratch")
        print_noise(branched, "after the branch point")
        print_moments(branched, warm)
        print(f"\n{regime(branched, base.batch_size, warm.target_batch, settled=settled(warm)).sentence}")
        print_tails(from_scratch[from_scratch["samples"] == 0], "at the initial weights")
        print_tails(branched, "from branch point to end")


def run(plan: CalibrationPlan) -> pd.DataFrame:
    """The curves of a calibration; says how long it took."""
    began, rows = time.perf_counter(), []
    for event in calibrate(plan):
        if isinstance(event, Measured):
            rows += [(event.arm, event.seed, metric, event.samples, value) for metric, value in event.values.items()]
    print(f"({plan.start}: {time.perf_counter() - began:.0f} s)")
    return pd.DataFrame(rows, columns=["arm", "seed", "metric", "samples", "value"])


def settled(plan: CalibrationPlan) -> int:
    """Samples after which the base arm's v has forgotten what it was handed."""
    decay = plan.base.hyperparameters.get("beta2", plan.base.hyperparameters.get("alpha"))
    return round(MEMORIES * plan.base.batch_size / (1 - decay))


def print_noise(curves: pd.DataFrame, where: str) -> None:
    """Noise scale of the base arm at every point where it was measured, and over all of them."""
    print(f"\n| base {where}, samples | noise scale | 95 % | preconditioned | 95 % |\n|---|---|---|---|---|")
    base = curves[(curves["arm"] == "base")]
    points = sorted(base.loc[base["metric"] == "signal", "samples"].unique())
    for label, chosen in [*((point, base[base["samples"] == point]) for point in points), ("all", base)]:
        found = [noise_scale(chosen), noise_scale(chosen, preconditioned=True)]
        cells = [f"{one.value:.4g} | {one.low:.4g} to {one.high:.4g}" if one else "- | -" for one in found]
        print(f"| {label} | {' | '.join(cells)} |")


def print_moments(curves: pd.DataFrame, plan: CalibrationPlan) -> None:
    """Second moments of base over those at every kappa, with what the noise scale of base predicts."""
    print("\n| kappa | v_base / v_scaled | 95 % | from the noise scale | noise scale of that arm | update rms over base's |\n"
          "|---|---|---|---|---|---|")
    last = curves[(curves["metric"] == "update_rms") & (curves["samples"] == plan.samples)].groupby("arm")["value"].mean()
    for kappa in KAPPAS:
        arm = "scaled" if kappa == 8 else f"scaled {kappa}x"
        found = second_moment_ratio(curves, arm, settled(plan))
        predicted = regime(curves, plan.base.batch_size, kappa * plan.base.batch_size).expected_ratio
        own = noise_scale(curves, arm)
        cells = f"{found.value:.3f} | {found.low:.3f} to {found.high:.3f}" if found else "- | -"  # too short to settle
        print(f"| {kappa} | {cells} | {predicted:.3f} | {own.value:.4g} ({own.low:.4g} to {own.high:.4g}) "
              f"| {last[arm] / last['base']:.3f} |")


def print_tails(curves: pd.DataFrame, where: str) -> None:
    """Tail indices of the base arm's and the scaled arm's layers."""
    measured = layer_tails(curves)
    print(f"\nTails {where}. {describe_tails(measured)}\n\n| arm | samples | layer | stable index | Hill | not normal |\n"
          "|---|---|---|---|---|---|")
    for tails in measured:
        indices = [f"{index.alpha:.2f} ({index.low:.2f} to {index.high:.2f})" if index else "-"
                   for index in (tails.stable, tails.hill)]
        print(f"| {tails.arm} | {tails.samples} | {tails.layer} | {' | '.join(indices)} | {tails.not_normal:.0%} |")


if __name__ == "__main__":
    main()
