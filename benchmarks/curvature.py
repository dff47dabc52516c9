"""Does the stability limit explain what beta1 has to be where batches leave the noise-dominated limit?

    python benchmarks/curvature.py [--case vision] [--seeds 5] [--folder FILES]
    python benchmarks/curvature.py --cost

Two cases whose answers seem to contradict each other, with the noise-aware transfer and several beta1': vision, 256 to 1024 from
a warm start, where beta1' 0.6 (scaled) lags and 0.8 and 0.9 (kept) do not; language from scratch, 8 to 128, where 0.44 (scaled)
lags least and 0.95 (kept) most. Measures the preconditioned sharpness of every run over samples and holds it against the
stability limit. Prints Markdown; curves are kept in the folder, and a case that is there already is only printed.

Predictions, written down before the first run (a pilot of base alone had a sharpness of 4,000 to 4,500 for vision at batch 256
and of 3,000 for language at batch 8 after a third of its samples):

1. Vision. lr' 2.78e-3 and a preconditioner that is 0.70 of base's: the sharpness starts at about 6,000 in every arm. The limits
   are 2,200, 2,900, 4,100, 6,500 and 13,700 for beta1' 0.5, 0.6, 0.7, 0.8 and 0.9. So 0.5 to 0.7 lag, the more the smaller, and
   0.8 and 0.9 follow; while they lag their sharpness comes down to their limit. Base stays at a tenth of its own, 38,000.
2. Language. Base's sharpness times kappa stands far above every limit but that of 0.95. If stability alone decided, 0.95 would be
   best; it is worst. So another limit must act: an average over B' / (1 - beta1') = 2,560 samples, a tenth of the run, lags
   behind a gradient that turns quickly from scratch. Expected: the sharpness of 0.44 lies at its limit through most of the run
   (the edge of stability), that of 0.95 far below.
3. If both act, beta1' = max(scaled, the floor that the sharpness asks for) is the rule for vision (0.79), and on language a
   compromise between the two limits, with a remainder that no beta1 removes.
4. (Written after vision's result, before any of language's.) From scratch the sharpness is small at first and the gradient turns
   fastest then, so a beta1' that follows base's measured sharpness S, max(scaled, (kappa lr S - 2) / (kappa lr S + 2)), begins
   scaled and rises to about 0.85: it should end below every constant beta1', without the early lag of 0.8 (case "following").
   (It did not.)
5. (Written after language's first results.) With 0.95 the steps grew to 197 times base's, far below the limit of curvature: m
   remembers 20 steps there and v, with beta2' 0.85, only 7, so that old, large gradients are divided by new, small ones. With v
   remembering five times as long as m, as in base (case "longer v"), 0.95 should not grow so and end far below its +0.548, and
   0.8 below its +0.186. (The steps did not grow; the lag stayed.)
6. (Asked after that, and not written down before its run.) If the lag is the age of the gradients in m alone, base itself must
   have it at batch 8, where curvature is far: with beta1 0.9875 and 0.9969, which average over as many samples as 0.8 and 0.95 at
   128, it should lag by about 0.19 and 0.55 (case "memory").
"""

from __future__ import annotations

import argparse
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import ClassVar

import pandas as pd
import torch

from sqrtscale.arms import Arm
from sqrtscale.plan import CalibrationPlan, make_plan
from sqrtscale.rules import TrainingConfig
from sqrtscale.rules.stability import beta1_floor, moved_sharpness
from sqrtscale.tasks import task
from sqrtscale.training import Measured, calibrate, curvature, engine, regime
from sqrtscale.training.course import Course, Pace

FOLLOWING = "beta1 follows the limit"
BETA1 = {"vision": (0.5, 0.6, 0.7, 0.8, 0.9), "language": (0.44, 0.8, 0.95), "following": (), "longer v": (0.8, 0.95),
         "memory": (0.9875, 0.996875)}
BETA2 = {0.8: 0.96, 0.95: 0.99}  # of "longer v": 1 - beta2 is a fifth of 1 - beta1
SIZES = {"vision": 256, "language": 128, "following": 128, "longer v": 128, "memory": 128}  # samples measured on


class Everywhere(curvature.Meter):
    """Measures every run whenever anything is measured, on a batch of ``samples``."""

    samples = 0

    def __init__(self, *about):
        super().__init__(*about)
        self.times, self.size = set(about[1]), self.samples

    def chosen(self, runs: Sequence[tuple[str, int]]) -> list[int]:
        return list(range(len(runs)))


class FollowingTheLimit(Course):
    """Each arm's own beta1; that of FOLLOWING is what bears the sharpness that base's runs measure, and no less than scaled."""

    def __init__(self, plan: CalibrationPlan):
        super().__init__(plan)
        self.sharpness: dict[int, list[float]] = {}

    def learn(self, age: int, regime: Mapping[str, float]) -> None:
        super().learn(age, regime)
        if "sharpness" in regime:
            self.sharpness.setdefault(age, []).append(regime["sharpness"])

    def stretch(self, arm: str, start: int, end: int) -> tuple[TrainingConfig, Pace]:
        config, pace = super().stretch(arm, start, end)
        known = [age for age in self.sharpness if age <= self.plan.warm_samples + end]
        if arm != FOLLOWING:
            own = self.plan.config_of(arm)
            return with_betas(config, own["beta1"], own["beta2"]), pace
        if not known:
            return config, pace
        sharpness = median(self.sharpness[max(known)])
        moved = moved_sharpness(self.plan.base, config.batch_size, sharpness, self.curve.at(end))
        return with_betas(config, max(config["beta1"], beta1_floor(config, moved)), config["beta2"]), pace


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--case", choices=list(BETA1), action="append")
    options.add_argument("--seeds", type=int, default=5)
    options.add_argument("--folder", type=Path, default=Path("curvature"))
    options.add_argument("--cost", action="store_true", help="only print what measuring costs in default calibrations of 3 seeds")
    chosen = options.parse_args()
    torch.set_num_threads(1)
    if chosen.cost:
        return cost()
    chosen.folder.mkdir(parents=True, exist_ok=True)
    for case in chosen.case or BETA1:
        plan = plan_of(case, chosen.seeds)
        Everywhere.samples = SIZES[case]
        report(case, plan, curves_of(plan, chosen.folder / f"{case.replace(' ', '-')}-{chosen.seeds}.csv"))


def plan_of(case: str, seeds: int) -> CalibrationPlan:
    """The calibration with an arm for every beta1'."""
    if case == "vision":
        base = TrainingConfig("adam", 256, {"lr": 1e-3})
        plan = make_plan("digits", base, 1024, arms=["noise-aware 567"], seeds=seeds, samples=48_000, warm_samples=96_000)
    else:
        plan = make_plan("pydoc", task("pydoc").defaults.base, 128, arms=["noise-aware schedule"], seeds=seeds, start="scratch",
                         decay_form="half-life")
    aware = next(arm for arm in plan.arms if arm.group == "noise-aware")
    others = tuple(arm for arm in plan.arms if arm is not aware)
    if case == "memory":
        aware = replace(aware, config=plan.base, measured=False)
    longer = BETA2 if case == "longer v" else {}
    several = [at(aware, beta1, longer.get(beta1, aware.config["beta2"])) for beta1 in BETA1[case]] or [
        replace(aware, name=FOLLOWING)]
    return replace(plan, arms=(*others, *several))


def at(arm: Arm, beta1: float, beta2: float) -> Arm:
    """The same arm with other decays."""
    return replace(arm, name=f"beta1 {beta1:g}, beta2 {beta2:.3g}", config=with_betas(arm.config, beta1, beta2))


def with_betas(config: TrainingConfig, beta1: float, beta2: float) -> TrainingConfig:
    return replace(config, hyperparameters={**config.hyperparameters, "beta1": beta1, "beta2": beta2})


def curves_of(plan: CalibrationPlan, path: Path) -> pd.DataFrame:
    """Everything that is measured of the plan's runs, from the file where it is there."""
    if not path.exists():
        regime.Meter, engine.Course = Everywhere, FollowingTheLimit
        rows = [(event.arm, event.seed, metric, event.samples, value) for event in calibrate(plan) if isinstance(event, Measured)
                for metric, value in event.values.items()]
        pd.DataFrame(rows, columns=["arm", "seed", "metric", "samples", "value"]).to_csv(path, index=False, float_format="%.7g")
    return pd.read_csv(path)


class Timed(curvature.Meter):
    """Keeps the processor time that measuring took."""

    seconds: ClassVar[list[float]] = []

    def measure(self, *about):
        began = time.process_time()
        values = super().measure(*about)
        self.seconds.append(time.process_time() - began)
        return values


def cost() -> None:
    """The share of a calibration's processor time that the product's own measurement takes; median of three calibrations."""
    regime.Meter = Timed
    for name in ("digits", "pydoc"):
        about, shares = task(name).defaults, []
        for _ in range(3):
            Timed.seconds.clear()
            began = time.process_time()
            deque(calibrate(make_plan(name, about.base, about.target_batch, seeds=3, arms=[], device="cpu")), maxlen=0)
            shares.append(sum(Timed.seconds) / (time.process_time() - began))
        print(f"{name}: {median(shares):.1%} of the processor time (of {', '.join(f'{share:.1%}' for share in shares)})")


def report(case: str, plan: CalibrationPlan, curves: pd.DataFrame) -> None:
    """Differences to base, and the sharpness over samples beside its limit."""
    judged = curves[curves["metric"] == task(plan.task).judged]
    loss = judged.pivot_table(index=["arm", "seed"], columns="samples", values="value")
    spans = {"first quarter": (0, 0.25), "whole": (0, 1), "end": (0.9, 1)}
    print(f"\n## {case}: {plan.base.batch_size} to {plan.target_batch}, {plan.samples} samples, {len(plan.seeds)} seeds\n\n"
          f"| arm | lr | {' | '.join(spans)} |\n|---|---|{'---|' * len(spans)}")
    for arm in plan.arms:
        cells = []
        for low, high in spans.values():
            columns = [at for at in loss.columns if low * plan.samples <= at <= high * plan.samples]
            difference = (loss.loc[arm.name, columns] - loss.loc["base", columns]).mean(axis=1)
            cells.append(f"{difference.mean():+.3f} +- {difference.std():.3f}")
        print(f"| {arm.name} | {arm.config['lr']:.4g} | {' | '.join(cells)} |")
    median = curves.groupby(["arm", "metric", "samples"])["value"].median()
    times = sorted(curves.loc[(curves["metric"] == "sharpness") & (curves["arm"] == "base"), "samples"].unique())
    print(f"\nSharpness, median over seeds (share of the limit):\n\n| arm | {' | '.join(map(str, times))} |\n"
          f"|---|{'---|' * len(times)}")
    for arm in ("warm start", *(arm.name for arm in plan.arms)):
        if (arm, "sharpness") in median:
            sharpness, limit = median[arm, "sharpness"], median[arm, "sharpness_limit"]
            places = times if arm != "warm start" else sharpness.index
            print(f"| {arm} | " + " | ".join(f"{sharpness[at]:,.0f} ({sharpness[at] / limit[at]:.2f})" if at in sharpness else "-"
                                             for at in places) + " |")


if __name__ == "__main__":
    main()
