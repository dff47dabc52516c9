"""How often is the verdict wrong where runs share no seed? Welch's tests on simulated runs of measured curves.

    python benchmarks/error_rates_unpaired.py [--draws 20000]

Reads the curves in benchmarks/data (error_rates.py makes them). Runs of base and of an arm are drawn apart, normal with the
measured mean and the measured covariance; those of the arm may scatter more. Prints Markdown; figures worth keeping
go to docs/error_rates.md.
"""

from __future__ import annotations

import argparse
import datetime
from typing import get_args

import numpy as np
from error_rates import COMPARISON, Runs, load
from scipy import stats

from sqrtscale.evidence.equivalence import compare, holm
from sqrtscale.evidence.estimate import estimate, freedom, standard_error
from sqrtscale.evidence.pairing import FunctionalName, functionals

FUNCTIONALS: tuple[FunctionalName, ...] = get_args(FunctionalName)
LEVEL = 0.05
CHECKED = 5  # draws a case that are judged again by the functions of the package
DESIGNS = ((3, 3), (4, 4), (5, 5), (8, 8), (3, 5), (5, 3))  # runs of the arm and of base
SCATTER = (1, 2)  # of the arm, in that of base
CASES = {"A/A, margin of nothing": ("nothing", "nothing"), "A/A, given": ("nothing", "given"), "A/A, estimated": (
    "nothing", "estimated"), "end at it, given": ("end", "given"), "end at it, estimated": ("end", "estimated"),
    "whole curve at it, given": ("whole curve", "given"), "whole curve at it, estimated": ("whole curve", "estimated")}


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--draws", type=int, default=20_000)
    draws = options.parse_args().draws
    print(f"{datetime.date.today()}, {draws} draws a row\n")
    print_freedom()
    for name in ("pydoc", "digits"):
        print_task(name, Runs(load(name, "warm")), draws)


def print_freedom(draws: int = 400_000) -> None:
    """Wrong rates of a single test at 5 %, one-sided as for within, with two counts of its degrees of freedom."""
    print("| runs | scatter of the arm | Satterthwaite (used) | smaller n - 1 |\n|---|---|---|---|")
    g = np.random.default_rng(0)
    for runs in ((3, 3), (4, 4), (5, 5), (8, 8), (3, 5), (3, 8), (3, 20), (2, 2), (2, 8)):
        for scatter in (1, 2, 4, 8):
            true = (scatter, 1)
            sds = tuple(sd * np.sqrt(g.chisquare(n - 1, draws) / (n - 1)) for sd, n in zip(true, runs, strict=True))
            statistic = g.normal(0, standard_error(true, runs), draws) / standard_error(sds, runs)
            shares = (np.mean(stats.t.sf(statistic, dof) <= 0.05)
                      for dof in (freedom(sds, runs), min(runs) - 1))
            print(f"| {runs[0]} against {runs[1]} | {scatter} | {' | '.join(f'{share:.1%}' for share in shares)} |")
    print()


def print_task(name: str, runs: Runs, draws: int) -> None:
    """Shares of "matches" / "differs": what lies apart by the true margin, and how the margin is known to the test."""
    print(f"## {name}, runs that share no seed\n\n| runs | scatter | {' | '.join(CASES)} |\n|---|---|{'---|' * len(CASES)}")
    for design in DESIGNS:
        for scatter in SCATTER:
            cells = []
            for apart, known in CASES.values():
                arm, base = drawn(runs, design, scatter, apart, draws)
                margin = {"nothing": 1e-9, "given": runs.margin, "estimated": None}[known]
                outcomes = judged(arm, base, margin)
                for i in range(CHECKED):
                    assert outcomes[i] == outcome(arm[:, i], base[:, i], margin)
                cells.append(f"{np.mean(outcomes == 'matches'):.1%} / {np.mean(outcomes == 'differs'):.1%}")
            print(f"| {design[0]} against {design[1]} | {scatter} | {' | '.join(cells)} |", flush=True)
    print()


def drawn(runs: Runs, design: tuple[int, int], scatter: float, apart: str, draws: int) -> tuple[np.ndarray, np.ndarray]:
    """Functionals of runs of an arm and of base [runs, draws, functionals] that lie apart by the margin of all measured runs."""
    g, after_start = np.random.default_rng(0), runs.samples > 0
    base, arm = (np.stack(list(functionals(runs.values[:, i, after_start], runs.samples[after_start]).values()), 1)
                 for i in (0, 1))  # [seeds, functionals]
    gap = runs.margin * np.array({"nothing": (0, 0, 0), "end": (0, 0, 1), "whole curve": (1, 1, 1)}[apart])

    def simulated(measured: np.ndarray, n: int) -> np.ndarray:
        """Departures from the mean: normal, with the measured covariance."""
        weights = g.normal(0, 1 / np.sqrt(len(measured) - 1), (n, draws, len(measured)))
        return weights @ (measured - measured.mean(0))

    return base.mean(0) + gap + scatter * simulated(arm, design[0]), base.mean(0) + simulated(base, design[1])


def judged(arm: np.ndarray, base: np.ndarray, margin: float | None) -> np.ndarray:
    """Outcomes [draws] at once, as :func:`outcome` has them; margin: None for the default one."""
    spread = np.zeros(base.shape[1:2]) if margin is not None else base[:, :, -1].std(0, ddof=1)
    limit = (COMPARISON.practical + spread if margin is None else spread + margin)[:, None]
    shown = estimate(arm, base)
    error, dof = standard_error(shown.sds, shown.runs), freedom(shown.sds, shown.runs)
    within = stats.t.sf((limit - abs(shown.difference)) / error, dof) <= LEVEL
    wider = np.hypot(error, spread[:, None] / np.sqrt(2 * (len(base) - 1)))
    p_beyond = 2 * stats.t.sf((abs(shown.difference) - limit) / wider, np.minimum(dof, len(base) - 1) if margin is None else dof)
    beyond = len(FUNCTIONALS) * p_beyond.min(1) <= LEVEL  # Holm's first step
    return np.where(beyond, "differs", np.where(within.all(1), "matches", "cannot tell"))


def outcome(arm: np.ndarray, base: np.ndarray, margin: float | None) -> str:
    """As ``judge`` has it where nothing diverged and there are no controls; values [runs, functionals]."""
    spread = 0.0
    if margin is None:
        spread = float(base[:, -1].std(ddof=1))
        margin = COMPARISON.practical + spread
    tested = holm([compare(name, arm[:, i], margin, LEVEL, spread, base[:, i]) for i, name in enumerate(FUNCTIONALS)])
    if any(functional.beyond for functional in tested):
        return "differs"
    return "matches" if all(functional.within for functional in tested) else "cannot tell"


if __name__ == "__main__":
    main()
