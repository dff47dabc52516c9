"""How often is the verdict wrong? Error rates on trained curves, on subsets of their seeds and on simulated seeds.

    python benchmarks/error_rates.py [--train [pydoc] [digits]] [--draws 400]

Reads the curves in benchmarks/data (``--train`` makes them anew, about half an hour on two cores): default calibrations of both
tasks from the warm start and from scratch, with many seeds. Three sources of calibrations:

- subsets: 5 seeds of those trained, without replacement. The subsets share runs, so their shares have no interval of their own;
- simulated: curves with the measured mean and the measured covariance over arms and points, normal and independent;
- A/A: base against base of other seeds, which read other data: nothing is there to be found.

Prints Markdown; figures worth keeping go to docs/error_rates.md.
"""

from __future__ import annotations

import argparse
import datetime
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from sqrtscale.evidence import OUTCOMES, Comparison, Looks, Regime, Verdict, judge, regime
from sqrtscale.plan import LOOKS, make_plan
from sqrtscale.tasks import task
from sqrtscale.training import Measured, calibrate

DATA = Path(__file__).parent / "data"
TRAINED = {("pydoc", "warm"): 16, ("digits", "warm"): 24, ("pydoc", "scratch"): 6, ("digits", "scratch"): 6}  # seeds
ARMS = ("base", "scaled", "unscaled", "linear lr")
JUDGED = "val_loss"  # of both tasks, in nats (per byte, or per image)
COMPARISON = Comparison(JUDGED, "nats", practical=0.01, controls=frozenset({"unscaled", "linear lr"}))
KEPT = {JUDGED, "signal", "noise", "second_moment"}
COLUMNS = ["arm", "seed", "metric", "samples", "value"]


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--train", nargs="*", choices=("pydoc", "digits"), help="train these tasks' curves anew, or all")
    options.add_argument("--draws", type=int, default=400)
    options.add_argument("--device", default="cpu")
    chosen = options.parse_args()
    for (name, start), seeds in TRAINED.items():
        if chosen.train is not None and name in (chosen.train or ("pydoc", "digits")):
            train(name, start, seeds, chosen.device).to_csv(DATA / f"{name}_{start}.csv", index=False, float_format="%.6g")
    print(f"{datetime.date.today()}, {chosen.draws} draws a row where nothing else is said\n")
    for name in ("pydoc", "digits"):
        curves = load(name, "warm")
        print(f"## {name}, warm start, {curves['seed'].nunique()} seeds\n")
        print_measured(curves)
        measured = measured_regime(name, curves)
        print(f"\n{measured.sentence}\n")
        print_table(curves, measured, chosen.draws)
        print_looks(curves, chosen.draws, task(name).defaults.seeds)
        print_margins(curves, chosen.draws)
    for name in ("pydoc", "digits"):
        print_scratch(name, load(name, "scratch"))


def train(name: str, start: str, seeds: int, device: str) -> pd.DataFrame:
    """The curves of a default calibration with that many seeds, warm start left out."""
    defaults = task(name).defaults
    plan = make_plan(name, defaults.base, defaults.target_batch, arms=ARMS, seeds=seeds, start=start, device=device)
    rows = [(event.arm, event.seed, metric, event.samples, value) for event in calibrate(plan) if isinstance(event, Measured)
            and event.arm in ARMS for metric, value in event.values.items() if metric in KEPT]
    return pd.DataFrame(rows, columns=COLUMNS)


def load(name: str, start: str) -> pd.DataFrame:
    return pd.read_csv(DATA / f"{name}_{start}.csv")


def measured_regime(name: str, curves: pd.DataFrame) -> Regime:
    defaults = task(name).defaults
    return regime(curves, defaults.base.batch_size, defaults.target_batch)


class Runs:
    """Loss curves of a calibration as one array [seeds, arms, points], to draw new calibrations from."""

    def __init__(self, curves: pd.DataFrame):
        chosen = curves[curves["metric"] == JUDGED]
        wide = chosen.pivot(index=["seed", "arm"], columns="samples", values="value")
        self.samples = wide.columns.to_numpy()
        self.values = np.stack([wide.xs(arm, level="arm").to_numpy() for arm in ARMS], 1)

    def frame(self, values: np.ndarray, arms=ARMS) -> pd.DataFrame:
        """Curves [seeds, arms, points] as judge reads them."""
        seeds, count, points = values.shape
        return pd.DataFrame({
            "arm": np.tile(np.repeat(np.array(arms, object), points), seeds), "seed": np.repeat(np.arange(seeds), count * points),
            "metric": JUDGED, "samples": np.tile(self.samples, seeds * count), "value": values.ravel()})

    def simulated(self, g: np.random.Generator, n: int) -> np.ndarray:
        """n new seeds, normal with the measured mean and covariance over arms and points."""
        mean = self.values.mean(0)
        weights = g.normal(0, 1 / np.sqrt(len(self.values) - 1), (n, len(self.values)))
        return mean + np.einsum("ns,sap->nap", weights, self.values - mean)

    def subsets(self, g: np.random.Generator, n: int, draws: int) -> Iterator[pd.DataFrame]:
        for _ in range(draws):
            yield self.frame(self.values[g.permutation(len(self.values))[:n]])

    def simulations(self, g: np.random.Generator, n: int, draws: int) -> Iterator[pd.DataFrame]:
        for _ in range(draws):
            yield self.frame(self.simulated(g, n))

    def against_itself(self, g: np.random.Generator, n: int, draws: int, simulate: bool) -> Iterator[pd.DataFrame]:
        """Base against base of other seeds, called scaled, and no control."""
        for _ in range(draws):
            base = (self.simulated(g, 2 * n) if simulate else self.values[g.permutation(len(self.values))[: 2 * n]])[:, 0]
            yield self.frame(np.stack([base[:n], base[n:]], 1), ("base", "scaled"))

    @property
    def margin(self) -> float:
        """The default margin that all trained seeds give."""
        late = self.samples >= 0.9 * self.samples[-1]
        return COMPARISON.practical + self.values[:, 0][:, late].mean(1).std(ddof=1)

    def at_the_margin(self, g: np.random.Generator, n: int, draws: int, end_alone: bool) -> Iterator[pd.DataFrame]:
        """Base and scaled moved apart by exactly that margin, at the end alone or at every point."""
        late = self.samples >= 0.9 * self.samples[-1]
        gap = (self.values[:, 1] - self.values[:, 0]).mean(0)
        for _ in range(draws):
            values = self.simulated(g, n)[:, :2]
            values[:, 1] += np.where(late | (not end_alone), self.margin, 0) - gap
            yield self.frame(values, ("base", "scaled"))


def rates(frames: Iterator[pd.DataFrame], margin: float | None = None, regime: Regime | None = None) -> dict[str, Counter]:
    """Outcomes by arm."""
    outcomes = defaultdict(Counter)
    for frame in frames:
        for arm, verdict in judge(frame, COMPARISON, margin=margin, regime=regime).items():
            outcomes[arm][verdict.outcome] += 1
    return outcomes


def row(title: str, counts: Counter, independent: bool) -> None:
    """One line: shares of the outcomes, with 95 % intervals (Clopper and Pearson) where draws are independent."""
    n, cells = counts.total(), []
    for outcome in OUTCOMES:
        cell = f"{counts[outcome] / n:.1%}"
        if independent and outcome in ("matches", "differs"):
            interval = stats.binomtest(counts[outcome], n).proportion_ci(0.95)
            cell += f" ({interval.low:.1%} to {interval.high:.1%})"
        cells.append(cell)
    print(f"| {title} | {n} | {' | '.join(cells)} |")


HEAD = f"| comparison | draws | {' | '.join(OUTCOMES)} |\n|---|---|---|---|---|---|"


def print_measured(curves: pd.DataFrame) -> None:
    """What all seeds together say, each functional of each arm."""
    print("| arm | first quarter | whole curve | end | verdict of all seeds |\n|---|---|---|---|---|")
    verdicts = judge(curves, COMPARISON)
    for arm, verdict in verdicts.items():
        cells = " | ".join(f"{functional.difference:+.4f} +- {functional.sd:.4f}" for functional in verdict.functionals)
        print(f"| {arm} | {cells} | {verdict.outcome} |")
    margin = next(iter(verdicts.values())).margin
    print(f"\nDefault margin with all seeds: {margin.value:.4f} ({margin.origin}).")


def print_table(curves: pd.DataFrame, measured: Regime, draws: int) -> None:
    runs = Runs(curves)
    print(HEAD)
    for n in (3, 5, 8):
        for title, simulate in (("trained", False), ("simulated", True)):
            g = np.random.default_rng(n)
            row(f"A/A, {n} + {n} {title} base runs", rates(runs.against_itself(g, n, draws, simulate))["scaled"], simulate)
            frames = runs.simulations(g, n, draws) if simulate else runs.subsets(g, n, draws)
            for arm, counts in rates(frames, regime=measured).items():
                row(f"{arm}, {n} {title} seeds", counts, simulate)
    print_border(runs, draws)
    print()


def print_border(runs: Runs, draws: int) -> None:
    """Arms whose true difference is the margin: neither "matches" nor "differs" is true. 5 simulated seeds."""
    for title, end_alone in (("end moved to the margin", True), ("whole curve moved to the margin", False)):
        for how, margin in (("margin estimated from the 5 seeds", None), ("margin given", runs.margin)):
            frames = runs.at_the_margin(np.random.default_rng(0), 5, draws, end_alone)
            row(f"{title}, {how}", rates(frames, margin=margin)["scaled"], True)


def print_looks(curves: pd.DataFrame, draws: int, most: int) -> None:
    """Verdicts after 3, 5, 8 ... and ``most`` seeds, each at its own level; the first that decides ends it."""
    runs, looks = Runs(curves), Looks((*(look for look in LOOKS if look < most), most))
    print(f"Looks after {', '.join(map(str, looks.seeds))} seeds, levels "
          f"{', '.join(f'{level:.4f}' for level in looks.levels())}; simulated seeds.\n")
    print(f"| comparison | matches | differs | not a test | undecided after {most} | mean seeds |\n|---|---|---|---|---|---|")
    g = np.random.default_rng(8)
    for arm in ("A/A", *ARMS[1:]):
        ended, seeds = Counter(), []
        for _ in range(draws):
            values = runs.simulated(g, 2 * most)
            whole = runs.frame(np.stack([values[:most, 0], values[most:, 0]], 1), ("base", "scaled")) if arm == "A/A" else \
                runs.frame(values[:most])
            for n, level in zip(looks.seeds, looks.levels(), strict=True):
                outcome = judge(whole[whole["seed"] < n], COMPARISON, level=level)["scaled" if arm == "A/A" else arm].outcome
                if outcome != "cannot tell":
                    break
            ended[outcome] += 1
            seeds.append(n)
        shares = (f"{ended[outcome] / draws:.1%}" for outcome in ("matches", "differs", "not a test", "cannot tell"))
        print(f"| {arm} | {' | '.join(shares)} | {np.mean(seeds):.1f} |")
    print()


def print_margins(curves: pd.DataFrame, draws: int) -> None:
    """What other default margins would give: shares of 5 simulated seeds."""
    runs = Runs(curves)
    print("| margin | A/A differs | scaled matches | linear lr differs | linear lr matches |\n|---|---|---|---|---|")
    for title, form in (("0.01 nats", lambda s: 0.01), ("larger of 0.01 and spread", lambda s: max(0.01, s)),
                        ("root of summed squares", lambda s: np.hypot(0.01, s)), ("sum (the default)", lambda s: 0.01 + s)):
        g, counts = np.random.default_rng(1), Counter()
        for whole, same in zip(runs.simulations(g, 5, draws), runs.against_itself(g, 5, draws, True), strict=True):
            own, against_itself = (judge_by_spread(frame, form) for frame in (whole, same))
            counts["same"] += against_itself["scaled"].outcome == "differs"
            counts["scaled"] += own["scaled"].outcome == "matches"
            for outcome in ("differs", "matches"):
                counts[outcome] += own["linear lr"].outcome == outcome
        print(f"| {title} | {' | '.join(f'{counts[key] / draws:.1%}' for key in ('same', 'scaled', 'differs', 'matches'))} |")
    print()


def judge_by_spread(frame: pd.DataFrame, form: Callable[[float], float]) -> dict[str, Verdict]:
    """The verdicts by a margin that is ``form`` of the standard deviation of base between its seeds."""
    return judge(frame, COMPARISON, margin=form(judge(frame, COMPARISON)["scaled"].margin.spread))


def print_scratch(name: str, curves: pd.DataFrame) -> None:
    """From scratch: every subset of the trained seeds, the regime measured on that subset."""
    print(f"## {name}, from scratch, {curves['seed'].nunique()} seeds\n")
    print_measured(curves)
    print(f"\n{measured_regime(name, curves).sentence}\n\n{HEAD}")
    for n in (3, 5):
        counts, blind = Counter(), Counter()
        for subset in combinations(sorted(set(curves["seed"])), n):
            chosen = curves[curves["seed"].isin(subset)]
            counts[judge(chosen, COMPARISON, regime=measured_regime(name, chosen))["scaled"].outcome] += 1
            blind[judge(chosen, COMPARISON)["scaled"].outcome] += 1
        row(f"scaled, every {n} of the seeds", counts, False)
        row(f"scaled, every {n} of the seeds, regime not measured", blind, False)
    print()


if __name__ == "__main__":
    main()
