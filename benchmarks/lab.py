"""Long runs of the lab: slopes and intercepts of every algorithm and problem, laws of the noise, wrong rules, infinite variance.

    python benchmarks/lab.py FOLDER [--only TEXT ...] [--report]
    python benchmarks/lab.py FOLDER --cost

Each case is stored in FOLDER as the JSON of ``WeakError.as_dict`` and not computed again. Prints Markdown for docs/lab.md and
writes the figure docs/infinite_variance.svg. ``--report`` computes nothing. ``--cost`` measures the processor seconds of a
default experiment, which other work on the machine lengthens less than the time on the clock.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from sqrtscale.lab import RIGHT, Experiment, WeakError, experiment, measure
from sqrtscale.lab.experiment import FEWEST, GROUPS
from sqrtscale.report.svg import Line, chart

FIGURE = Path(__file__).parents[1] / "docs" / "infinite_variance.svg"
ALGORITHMS = ("rmsprop", "adam", "adamw")
BETAS = (0.98, 0.98)  # m and v remember equally long: the fewest steps for a given accuracy
STABLE = {"betas": (0.995, 0.995), "kappa": 16.0}
RATIOS = ((0.9, 0.95), (0.95, 0.99), (0.9, 0.999))  # beta1 and beta2 that people train with
CHAINS = {"quadratic": 128_000, "double_well": 128_000, "regression": 24_000, "net": 4_096}
MORE_CHAINS = {  # where those were too few for a slope: about 1.3 times what they said would do
    ("rmsprop", "quadratic", "torch"): 1_152_000, ("adamw", "quadratic", "torch"): 928_000,
    ("rmsprop", "double_well", "torch"): 2_400_000, ("adam", "double_well", "torch"): 320_000,
    ("adamw", "double_well", "torch"): 960_000, ("rmsprop", "double_well", "paper"): 128_000,
    ("adam", "double_well", "paper"): 320_000, ("rmsprop", "regression", "torch"): 752_000,
    ("adamw", "regression", "torch"): 240_000, ("rmsprop", "net", "torch"): 54_400,
    ("adamw", "quadratic", "paper"): 600_000}
STABLE_RULES = (RIGHT, "linear lr", "lr kappa^(1/alpha)", "unscaled")
COLOURS = dict(zip(STABLE_RULES, ("#0F766E", "#B45309", "#7C3AED", "#6B7280"), strict=True))
SEEDS = 3
REPEATS = 5
SHOWN = ("E x", "E x^2")


def slopes() -> Iterator[Experiment]:
    """Every algorithm on every problem, in torch's convention; in the paper's, in one dimension."""
    for problem, usual in CHAINS.items():
        for algorithm in ALGORITHMS:
            chains = MORE_CHAINS.get((algorithm, problem, "torch"), usual)
            yield experiment(algorithm=algorithm, problem=problem, betas=BETAS, chains=chains)
    for problem, algorithms in (("quadratic", ALGORITHMS), ("double_well", ALGORITHMS[:2])):
        for algorithm in algorithms:
            chains = MORE_CHAINS.get((algorithm, problem, "paper"), 64_000)
            yield experiment(algorithm=algorithm, problem=problem, betas=BETAS, convention="paper", chains=chains)


class Halved(Experiment):
    """An experiment at half of every step."""

    @property
    def steps(self) -> tuple[float, ...]:
        return tuple(h / 2 for h in super().steps)


def halved() -> Iterator[Experiment]:
    """A slope that is not 1, over smaller steps: is it the next power of h?"""
    usual = experiment(algorithm="adam", problem="double_well", betas=BETAS, convention="paper", chains=1_280_000)
    yield Halved(**asdict(usual))


def ratios() -> Iterator[Experiment]:
    """Other ratios of 1 - beta1 to 1 - beta2."""
    for betas in RATIOS:
        for algorithm in ("adam", "adamw"):
            yield experiment(algorithm=algorithm, betas=betas, chains=128_000)


def laws() -> Iterator[Experiment]:
    """Noise that the paper's assumptions allow, and noise that they do not."""
    for noise in ("uniform", "laplace", "student:5", "student:3", "student:2.5", "skewed"):
        yield experiment(algorithm="rmsprop", noise=noise, betas=BETAS, chains=64_000)
    for algorithm in ("adam", "adamw"):
        for noise in ("student:3", "skewed"):
            yield experiment(algorithm=algorithm, noise=noise, betas=BETAS, chains=64_000)


def signs() -> Iterator[Experiment]:
    """signSGD, exact."""
    for noise in ("gauss", "uniform", "student:5", "student:3", "laplace"):
        yield experiment(algorithm="signsgd", noise=noise)


def wrong() -> Iterator[Experiment]:
    """Rules whose error must not vanish."""
    for algorithm, betas in (*((algorithm, BETAS) for algorithm in ALGORITHMS), ("adam", RATIOS[-1]), ("adamw", RATIOS[-1])):
        for rule in ("linear lr", "eps left", "betas left"):
            yield experiment(algorithm=algorithm, rule=rule, betas=betas, chains=32_000)


def stable() -> Iterator[Experiment]:
    """Infinite variance, under four rules."""
    for algorithm in ALGORITHMS:
        for rule in STABLE_RULES:
            for seed in range(SEEDS):
                yield experiment(algorithm=algorithm, noise="stable:1.5", rule=rule, chains=32_000, seed=seed, **STABLE)


def main() -> None:
    options = arguments()
    if options.cost:
        cost()
        return
    options.folder.mkdir(parents=True, exist_ok=True)
    parts = {part.__name__: list(part()) for part in (stable, slopes, halved, ratios, laws, wrong, signs)}
    for made in (made for part in parts.values() for made in part):
        if not options.report and all(text in name(made) for text in options.only):
            stored(options.folder, made)
    known = {part: [outcome for made in cases if (outcome := read(options.folder, made))] for part, cases in parts.items()}
    for part in ("slopes", "halved", "ratios", "laws", "wrong"):
        print(f"\n### {part}\n")
        table(known[part])
    print("\n### signs\n")
    table(known["signs"])
    print("\n### stable\n")
    spreads_over_base(known["stable"])


def name(made: Experiment) -> str:
    """The file of a case."""
    betas = "-".join(f"{beta:g}" for beta in made.betas)
    parts = [made.algorithm, made.problem, made.noise, made.convention, made.rule, betas, f"{made.chains}", f"{made.seed}"]
    parts += ["halved"] * isinstance(made, Halved)
    return "_".join(parts).replace(" ", "-").replace("/", "-").replace(":", "-") + ".json"


def stored(folder: Path, made: Experiment) -> None:
    """Measure what is not there yet."""
    path = folder / name(made)
    if not path.exists():
        start = time.process_time()
        outcome = measure(made)
        path.write_text(json.dumps(outcome.as_dict()))
        print(f"{path.name}: {time.process_time() - start:.0f} CPU s", flush=True)


def read(folder: Path, made: Experiment) -> WeakError | None:
    """A case that was measured."""
    path = folder / name(made)
    return WeakError.from_dict(json.loads(path.read_text())) if path.exists() else None


def table(outcomes: Sequence[WeakError]) -> None:
    """Slope with its interval and C0 in units of 1e-4 with its interval, of two test functions."""
    print("| algorithm | problem | noise | betas | convention | rule | chains | predicted | "
          + " | ".join(f"{function}: slope | C0, 1e-4" for function in SHOWN) + " |")
    print("|---" * (8 + 2 * len(SHOWN)) + "|")
    for outcome in outcomes:
        made = outcome.experiment
        cells = [cell for function in SHOWN for cell in (slope_cell(outcome, function), intercept_cell(outcome, function))]
        predicted = "C0 not 0" if made.rule != RIGHT else f"{outcome.predicted_slope:g}"
        chains = "exact" if outcome.exact else f"{made.chains:,}"
        betas = " ".join(f"{beta:g}" for beta in made.betas)
        print("| " + " | ".join([made.algorithm, made.problem.replace("_", " "), made.noise, betas, made.convention, made.rule,
                                 chains, predicted, *cells]) + " |")


def slope_cell(outcome: WeakError, function: str) -> str:
    slope = outcome.slopes[function]
    if slope is None:
        if function not in outcome.needed:
            return "sign changes"
        needed = outcome.needed[function]
        return "not measurable: C1 may be 0" if needed is None else f"not measurable (about {needed:,} chains)"
    return f"{slope.slope:.2f} [{slope.low:.2f}, {slope.high:.2f}]"


def intercept_cell(outcome: WeakError, function: str) -> str:
    c0 = outcome.intercepts[function]
    return f"{1e4 * c0.c0:+.1f} [{1e4 * c0.low:.1f}, {1e4 * c0.high:.1f}]" + (" refuted" if c0.refuted else "")


def spreads(outcome: WeakError) -> list[tuple[float, float]]:
    """(kappa, interquartile range at the end over the base's) from the base on."""
    ranges = {q.h: q.values[3][-1] - q.values[1][-1] for q in outcome.quantiles if q.h is not None}
    base = ranges[outcome.experiment.base_step]
    return [(outcome.experiment.kappa_at(h), ranges[h] / base) for h in ranges if h >= outcome.experiment.base_step]


def spreads_over_base(outcomes: Sequence[WeakError]) -> None:
    """A table of interquartile ranges over the base's, mean and extremes over the seeds, and the figure."""
    print("| algorithm | rule | kappa 2 | 4 | 8 | 16 |\n|---|---|---|---|---|---|")
    lines = []
    for algorithm in ALGORITHMS:
        for rule in STABLE_RULES:
            runs = [spreads(outcome) for outcome in outcomes
                    if (outcome.experiment.algorithm, outcome.experiment.rule) == (algorithm, rule)]
            if not runs:
                continue
            over = [(kappa, [dict(run)[kappa] for run in runs]) for kappa, _ in runs[0]]
            print(f"| {algorithm} | {rule} | " + " | ".join(
                f"{sum(values) / len(values):.3f} ({min(values):.3f} to {max(values):.3f})" for _, values in over[1:]) + " |")
            if algorithm == "rmsprop":
                kappas, means = [kappa for kappa, _ in over], [sum(values) / len(values) for _, values in over]
                lines.append(Line(rule, kappas, means, COLOURS[rule], low=[min(values) for _, values in over],
                                  high=[max(values) for _, values in over]))
    if lines:
        FIGURE.write_text(chart(lines, "kappa: batch size over the base's", "interquartile range over the base's") + "\n")


def cost() -> None:
    """Processor seconds of a default experiment: from a tenth of its chains and from the fewest, in processes of their own."""
    default = experiment()
    tenth, fewest = experiment(chains=default.chains // 10), experiment(chains=GROUPS * FEWEST)
    print(f"{default.chains:,} chains; median (extremes) of {REPEATS}, processor seconds\n")
    print(f"| threads | {fewest.chains:,} chains | {tenth.chains:,} chains | all, computed | on as many idle cores, computed |")
    print("|---|---|---|---|---|")
    for threads in (1, 2):
        taken = {made.chains: sorted(processor_seconds(made, threads) for _ in range(REPEATS)) for made in (fewest, tenth)}
        start, part = (times[REPEATS // 2] for times in taken.values())
        whole = start + (part - start) / (tenth.chains - fewest.chains) * (default.chains - fewest.chains)
        cells = [f"{times[REPEATS // 2]:.2f} ({times[0]:.2f} to {times[-1]:.2f})" for times in taken.values()]
        print(f"| {threads} | {' | '.join(cells)} | {whole:.1f} | {whole / threads:.1f} |", flush=True)


def processor_seconds(made: Experiment, threads: int) -> float:
    """User and system time of a process that loads the lab and measures that."""
    code = f"from sqrtscale.lab import experiment, measure; measure(experiment(chains={made.chains}), workers={threads})"
    before = os.times()
    subprocess.run([sys.executable, "-c", code], check=True)
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    parser.add_argument("--only", nargs="+", default=[], metavar="TEXT", help="only cases whose file name has all of these")
    parser.add_argument("--report", action="store_true", help="compute nothing")
    parser.add_argument("--cost", action="store_true", help="only measure what a default experiment costs")
    return parser.parse_args()


if __name__ == "__main__":
    main()
