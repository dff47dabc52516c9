"""Which transfer follows base where noise does not dominate? The square root, linear lr and the noise-aware ones, over a grid.

    python benchmarks/regimes.py FOLDER [--only TEXT ...] [--arms ARM ...] [--seeds N] [--report]
    python benchmarks/regimes.py FOLDER --layers

Each case (``CASES``) is a calibration by the product's own engine, from scratch or from a warm start. Its curves lie in one file
of FOLDER, to which the arms that are missing are added, so that it goes on where it was ended. The constant noise scale of the
arm ``noise-aware B`` is what base's own run has measured. Prints Markdown; docs/regimes.md says what it means. ``--report``
trains nothing; ``--layers`` measures how the noise scale varies over the layers.
"""

from __future__ import annotations

import argparse
import math
import os
import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd
import torch

from sqrtscale.arms import Arm, make_arm
from sqrtscale.evidence import Comparison, Regime, Verdict, differences_over_samples, judge, noise_scale, regimes
from sqrtscale.plan import WARM_START, CalibrationPlan, Start, make_plan
from sqrtscale.report.svg import Line, chart
from sqrtscale.rules import DecayForm, TrainingConfig
from sqrtscale.rules.signal import excess
from sqrtscale.tasks import SMALLEST, Batch, task
from sqrtscale.training import Measured, calibrate
from sqrtscale.training.device import fast_settings
from sqrtscale.training.population import Population
from sqrtscale.training.regime import MICRO
from sqrtscale.training.streams import Stream

CONSTANT, KEPT, SCHEDULE = "noise-aware B", "noise-aware B, beta1 kept", "noise-aware schedule"
FIRST = ("scaled", "linear lr")
ARMS = (*FIRST, CONSTANT, SCHEDULE)
REGIME = {"signal", "noise", "signal_pre", "noise_pre", "second_moment", "lr_factor", "sharpness", "sharpness_limit"}
COLUMNS = ["arm", "seed", "samples", "metric", "value"]
LAYERS_AT = {"digits": (0, 6_000, 24_000, 96_000), "pydoc": (0, 6_000, 24_000, 72_000)}
LAYER_SEEDS, LAYER_BATCHES = 3, 128  # models that are pooled, and micro-batches of each


@dataclass(frozen=True)
class Case:
    """One calibration of the grid; samples after the branch point."""

    task: str
    start: Start
    base: TrainingConfig
    target: int
    samples: int
    seeds: int = 5
    decay_form: DecayForm = "linear"
    arms: tuple[str, ...] = ARMS
    size: str = SMALLEST

    @property
    def name(self) -> str:
        size = "" if self.size == SMALLEST else f" {self.size}"
        form = " half-life" if self.decay_form == "half-life" else ""
        return (f"{self.task}{size} {self.start} {self.base.optimizer} {self.base.batch_size} to {self.target} "
                f"lr {self.base['lr']:g}{form}")


def adam(batch: int, lr: float, beta1: float = 0.9, beta2: float = 0.999) -> TrainingConfig:
    return TrainingConfig("adam", batch, {"lr": lr, "beta1": beta1, "beta2": beta2})


def adamw(batch: int, lr: float, beta1: float = 0.9, beta2: float = 0.999) -> TrainingConfig:
    return TrainingConfig("adamw", batch, {"lr": lr, "beta1": beta1, "beta2": beta2, "weight_decay": 0.1})


def rmsprop(batch: int, lr: float) -> TrainingConfig:
    return TrainingConfig("rmsprop", batch, {"lr": lr, "alpha": 0.99})


WITH_KEPT = (*FIRST, "without beta1", CONSTANT, KEPT, SCHEDULE)
COLOURS = dict(zip(WITH_KEPT, ("#C2410C", "#6B7280", "#B45309", "#0E7490", "#7C3AED", "#15803D"), strict=True))
LANGUAGE = adam(8, 5e-4, 0.95, 0.99)  # the task's own default
CASES = (
    Case("pydoc", "scratch", LANGUAGE, 32, 24_000),
    Case("pydoc", "scratch", LANGUAGE, 64, 24_000, arms=WITH_KEPT),
    Case("pydoc", "scratch", LANGUAGE, 128, 24_000, decay_form="half-life", arms=WITH_KEPT),
    Case("digits", "warm", adam(256, 2e-3), 1024, 48_000, 8, arms=WITH_KEPT),
    Case("digits", "warm", adam(256, 1e-3), 1024, 48_000, 8, arms=WITH_KEPT),
    Case("digits", "warm", adam(64, 2e-3), 256, 24_000, arms=WITH_KEPT),
    Case("digits", "warm", adam(8, 2e-3), 64, 24_000, arms=WITH_KEPT),
    Case("digits", "warm", adamw(512, 2e-3), 1024, 48_000, arms=WITH_KEPT),
    Case("digits", "warm", adamw(64, 2e-3), 512, 24_000, arms=WITH_KEPT),
    Case("digits", "warm", adamw(64, 2e-3), 1024, 24_000, decay_form="half-life", arms=WITH_KEPT),
    Case("digits", "warm", rmsprop(64, 1e-3), 256, 24_000),
    Case("digits", "scratch", adamw(8, 2e-3), 64, 24_000, arms=WITH_KEPT),
    Case("digits", "scratch", adamw(8, 2e-3), 128, 24_000, decay_form="half-life", arms=WITH_KEPT),
    Case("digits", "scratch", adamw(64, 2e-3), 256, 24_000, arms=WITH_KEPT),
    Case("digits", "scratch", adamw(256, 2e-3), 1024, 24_000, arms=WITH_KEPT),
    Case("digits", "scratch", rmsprop(8, 1e-3), 64, 24_000),
    Case("pydoc", "scratch", adamw(8, 5e-4, 0.95, 0.99), 64, 8_000),
    Case("pydoc", "scratch", adamw(64, 1.4e-3, 0.9, 0.99), 256, 12_000, arms=WITH_KEPT),
    Case("pydoc", "warm", adamw(128, 2e-3, 0.9, 0.99), 512, 12_288, arms=WITH_KEPT),
    Case("pydoc", "warm", adamw(8, 5e-4, 0.95, 0.99), 64, 8_000),
    Case("pydoc", "scratch", rmsprop(8, 3e-4), 64, 8_000),
    Case("digits", "scratch", adamw(32, 5e-4), 128, 12_000, 3, size="small"),
    Case("pydoc", "scratch", adamw(8, 5e-4, 0.95, 0.99), 16, 8_000),
)


def main(arguments: Sequence[str] | None = None) -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    options.add_argument("folder", type=Path, help="where the curves of finished cases lie")
    options.add_argument("--only", nargs="+", default=[""], metavar="TEXT", help="cases with one of these in their name")
    options.add_argument("--arms", nargs="+", metavar="ARM", help=f"of each case, these alone: {', '.join(WITH_KEPT)}")
    options.add_argument("--seeds", type=int, help="instead of each case's own number")
    options.add_argument("--samples", type=int, help="instead of each case's own number")
    options.add_argument("--report", action="store_true", help="train nothing")
    options.add_argument("--plot", type=Path, metavar="FILE.svg", help="the differences to base of the last case, over samples")
    options.add_argument("--layers", action="store_true", help="the noise scale of every layer, instead of the cases")
    chosen = options.parse_args(arguments)
    chosen.folder.mkdir(parents=True, exist_ok=True)
    if chosen.layers:
        print_layers(chosen.folder)
        return
    cases = [case for case in CASES if any(text in case.name for text in chosen.only)]
    for case in cases:
        case = replace(case, seeds=chosen.seeds or case.seeds, samples=chosen.samples or case.samples)
        file = chosen.folder / f"{case.name.replace(' ', '_')}.csv"
        if not chosen.report:
            train(case, file, [arm for arm in case.arms if arm in (chosen.arms or case.arms)])
        if file.exists():
            print_case(case, pd.read_csv(file))
            if chosen.plot:
                chosen.plot.write_text(figure(case, pd.read_csv(file)))


def plan_of(case: Case, arms: Collection[str], noise: float | None) -> CalibrationPlan:
    """The calibration with these arms; noise: the constant noise scale, None where none of them needs it."""
    plan = make_plan(case.task, case.base, case.target, arms=[arm for arm in arms if arm not in (CONSTANT, KEPT)],
                     seeds=case.seeds, samples=case.samples, start=case.start, decay_form=case.decay_form, device="cpu",
                     size=case.size, evaluations=48)
    if noise is None:
        return plan
    aware = replace(make_arm(f"noise-aware {noise:.6g}", plan.scaled), name=CONSTANT)
    kept = {"beta1": case.base["beta1"]} if "beta1" in case.base.hyperparameters else {}
    own = Arm(KEPT, replace(aware.config, hyperparameters={**aware.config.hyperparameters, **kept}), group=aware.group,
              noise_scale=noise)
    return replace(plan, arms=(*plan.arms, *(arm for arm in (aware, own) if arm.name in arms)))


def train(case: Case, file: Path, arms: Sequence[str]) -> None:
    """Add to the file what is missing of these arms: first those that need no noise scale, with base, then the others."""
    needed = {CONSTANT, KEPT}
    for part in (["base", *(arm for arm in arms if arm not in needed)], [arm for arm in arms if arm in needed]):
        curves = pd.read_csv(file) if file.exists() else pd.DataFrame(columns=COLUMNS)
        stored = set(zip(curves["arm"], curves["seed"], strict=True))
        missing = {arm for arm in part if any((arm, seed) not in stored for seed in range(case.seeds))}
        if missing:
            added = trained(case, missing, curves)
            others = curves[~curves["arm"].isin(set(added["arm"]))]
            unfinished = file.with_suffix(".part")
            pd.concat([frame for frame in (others, added) if len(frame)]).to_csv(unfinished, index=False, float_format="%.7g")
            os.replace(unfinished, file)


def trained(case: Case, arms: Collection[str], curves: pd.DataFrame) -> pd.DataFrame:
    """The curves of these arms; ``curves`` are base's, where the constant noise scale is measured."""
    began, used = time.monotonic(), time.process_time()
    measured = noise_scale(curves) if {CONSTANT, KEPT} & set(arms) else None
    plan = plan_of(case, arms, measured.value if measured else None)
    wanted = {*arms, "base"} if SCHEDULE in arms else set(arms)  # base's runs train beside the arm that follows their noise scale
    rows = [(event.arm, event.seed, event.samples, metric, value)
            for event in calibrate(plan, [run for run in plan.runs if run[0] not in wanted])
            if isinstance(event, Measured) and event.arm != WARM_START for metric, value in event.values.items()
            if metric == task(case.task).judged or metric in REGIME]
    rows += [(arm.name, seed, 0, "lr_factor", arm.config["lr"] / plan.base["lr"])
             for arm in plan.arms if arm.name in wanted and arm.name != SCHEDULE for seed in plan.seeds]
    print(f"({case.name}: {', '.join(sorted(wanted))} in {time.monotonic() - began:.0f} s, "
          f"{time.process_time() - used:.0f} s of CPU)\n", flush=True)
    return pd.DataFrame(rows, columns=COLUMNS)


def judged(case: Case, curves: pd.DataFrame) -> tuple[dict[str, Verdict], dict[str, Verdict], Regime | None]:
    """The verdicts as the product gives them, those by the curves alone, and what dominates the gradient."""
    about = task(case.task)
    metric = about.metrics[about.judged]
    comparison = Comparison(about.judged, metric.unit, metric.margin, controls=frozenset({"linear lr"}))
    measured = regimes(curves, case.base.batch_size, {"scaled": case.target})  # the other arms are tests whatever dominates
    return judge(curves, comparison, regime=measured), judge(curves, comparison), measured.get("scaled")


def print_case(case: Case, curves: pd.DataFrame) -> None:
    """The case's table: verdict and differences to base of every arm, and the noise scale that was measured."""
    curves = curves[curves["seed"] < case.seeds]
    verdicts, by_curves, measured = judged(case, curves)
    print(f"### {case.name}: {case.seeds} seeds, {curves['samples'].max():,} samples\n")
    if measured is not None:
        noise, ratio = ", ".join(f"{scale:.3g} at {at:,}" for at, scale in course(curves)), measured.second_moment_ratio
        print(f"Noise scale of base: {noise}; over the run {measured.noise_scale:.3g} ({measured.low:.3g} to "
              f"{measured.high:.3g}).\nBase's second moment is {ratio or math.nan:.3g} times the scaled arm's; the noise scale "
              f"predicts {measured.expected_ratio:.3g}. Margin {next(iter(verdicts.values())).margin.value:.3g}.\n")
    print("| arm | lr over base's | verdict | first quarter | whole | end |\n|---|---|---|---|---|---|")
    for arm, verdict in sorted(verdicts.items(), key=lambda item: WITH_KEPT.index(item[0])):
        alone = by_curves[arm].outcome
        outcome = verdict.outcome if verdict.outcome == alone else f"{verdict.outcome} (by its curves: {alone})"
        cells = [f"{test.difference:+.3f} +- {test.sd:.3f}" for test in verdict.functionals] or [verdict.reason] * 3
        print(f"| {arm} | {lr_of(arm, curves)} | {outcome} | {' | '.join(cells)} |")
    print(flush=True)


def course(curves: pd.DataFrame) -> Iterator[tuple[int, float]]:
    """Base's noise scale at the start, a quarter, half, three quarters and the end of its run."""
    regime = curves[curves["metric"].isin(["signal", "noise"]) & (curves["arm"] == "base")]
    points = sorted(set(regime["samples"]))
    for at in dict.fromkeys(min(points, key=lambda point: abs(point - share * points[-1])) for share in (0, 0.25, 0.5, 0.75, 1)):
        measured = noise_scale(regime[regime["samples"] == at])
        if measured is not None:
            yield at, measured.value


def lr_of(arm: str, curves: pd.DataFrame) -> str:
    """The factor on base's lr; of a schedule the first and the last."""
    factors = curves[(curves["arm"] == arm) & (curves["metric"] == "lr_factor")].groupby("samples")["value"].mean()
    return " to ".join(f"{factor:.3g}" for factor in dict.fromkeys((factors.iloc[0], factors.iloc[-1])))


def figure(case: Case, curves: pd.DataFrame) -> str:
    """The differences to base over samples, with their intervals, of the arms that every case has."""
    metric = task(case.task).metrics[task(case.task).judged]
    differences = differences_over_samples(curves[curves["arm"].isin(["base", *ARMS])], task(case.task).judged, 0.05)
    lines = [Line(str(arm), rows["samples"].to_list(), rows["difference"].to_list(), COLOURS[str(arm)],
                  low=rows["low"].to_list(), high=rows["high"].to_list())
             for arm, rows in differences.groupby("arm", sort=False)]
    return chart(lines, "Samples seen", f"difference to base, {metric.unit}")


def print_layers(folder: Path) -> None:
    """How the noise scale of base varies over the named parameters, and sqrt(q) with it."""
    for name in LAYERS_AT:
        file = folder / f"layers_{name}.csv"
        if not file.exists():
            with fast_settings(task(name)):
                measured = list(layers(name))
            pd.DataFrame(measured, columns=["samples", "parameter", "size", "signal", "noise"]).to_csv(file, index=False)
        table = pd.read_csv(file)
        print(f"### {name}: default base, {LAYER_SEEDS} seeds pooled\n\n| parameter | weights | "
              + " | ".join(f"b at {at:,}" for at in table["samples"].unique()) + " |\n|---|---|" + "---|" * len(LAYERS_AT[name]))
        for parameter, rows in table.groupby("parameter", sort=False):
            print(f"| {parameter} | {rows['size'].iloc[0]:,} | " + " | ".join(
                f"{n / s:.3g}" if s > 0 else "no signal" for s, n in zip(rows["signal"], rows["noise"], strict=True)) + " |")
        for base, target in ((8, 64), (256, 1024)):
            for at, rows in table.groupby("samples"):
                whole = math.sqrt(excess(base, target, rows["noise"].sum() / rows["signal"].sum()))
                roots = [math.sqrt(excess(base, target, n / s)) / whole if s > 0 else 1 / whole
                         for s, n in zip(rows["signal"], rows["noise"], strict=True)]
                near = rows["size"][[abs(root - 1) < 0.1 for root in roots]].sum() / rows["size"].sum()
                print(f"\n{base} to {target} at {at:,}: sqrt(q) {whole:.3g} of the whole, of the layers {min(roots):.2f} to "
                      f"{max(roots):.2f} times that; {near:.0%} of the weights within 10%.")
        print(flush=True)


def layers(name: str) -> Iterator[tuple[int, str, int, float, float]]:
    """(samples, parameter, its size, |G|^2, tr(Sigma)) of the task's base as it trains from scratch, models pooled."""
    about, device, seeds = task(name), torch.device("cpu"), range(LAYER_SEEDS)
    data, base = about.data(device), about.defaults.base
    population = Population(about, [base] * LAYER_SEEDS, list(seeds), device)
    training, measuring = ([Stream(data, seed, stream) for seed in seeds] for stream in ("branch", "regime"))
    sizes = {parameter: math.prod(p.shape) for parameter, p in population.network.parameters().items()}
    done = 0
    for at in LAYERS_AT[name]:
        while done < at:
            steps = min(50, (at - done) // base.batch_size)
            population.advance(together(training, steps * base.batch_size), torch.arange(LAYER_SEEDS), steps)
            done += steps * base.batch_size
        signal, noise = signal_and_noise(population, [together(measuring, MICRO) for _ in range(LAYER_BATCHES)])
        for (parameter, size), in_signal, in_noise in zip(sizes.items(), signal.split([*sizes.values()]),
                                                          noise.split([*sizes.values()]), strict=True):
            yield at, parameter, size, float(in_signal.sum()), float(in_noise.sum())


def together(streams: Sequence[Stream], count: int) -> Batch:
    """The next samples of every stream, [streams, count, ...]."""
    return Batch.joined([stream.take(count) for stream in streams], torch.stack)


def signal_and_noise(population: Population, batches: Sequence[Batch]) -> tuple[torch.Tensor, torch.Tensor]:
    """G^2 and S of every coordinate, [P], summed over the models: the estimator of ``sqrtscale.training.regime``."""
    k, size = len(batches), batches[0].count(1)
    total, squares = (torch.zeros_like(population.flat, dtype=torch.float64) for _ in range(2))
    for place, batch in enumerate(batches):
        gradients = population.gradients(batch, place=place)[1].double()
        total += gradients
        squares += gradients**2
    mean = total / k
    noise = size * (squares - k * mean**2) / (k - 1)
    return (mean**2 - noise / (k * size)).sum(0), noise.sum(0)


if __name__ == "__main__":
    main()
