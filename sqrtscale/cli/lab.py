"""``sqrtscale lab``: the weak error of a discrete algorithm against its SDE. numpy is loaded only when it runs.

It computes here, or with ``--store`` in a process of its own, whose result stays and stands on the page Lab.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from .shared import number, open_store, table

if TYPE_CHECKING:
    from ..lab import Experiment, WeakError
    from ..store.lab import LabRecord

ALGORITHMS = "adam, adamw, rmsprop, signsgd"
PROBLEMS = "quadratic, double_well, constant_noise, regression, net"
LAWS = "gauss, uniform, laplace, skewed, student:3, stable:1.5"
RULES = "linear lr, eps left, betas left, unscaled, for stable noise lr kappa^(1/alpha)"
PICTURES = ("courses", "quantiles", "paths")  # what --json leaves out


def add_arguments(command: argparse.ArgumentParser) -> None:
    """The options of ``sqrtscale lab``."""
    command.add_argument("--algorithm", default="adam", metavar="NAME", help=f"{ALGORITHMS} (default: adam)")
    command.add_argument("--problem", default="quadratic", metavar="NAME", help=f"{PROBLEMS} (default: quadratic)")
    command.add_argument("--noise", default="gauss", metavar="LAW", help=f"law of the gradient noise: {LAWS} (default: gauss)")
    command.add_argument("--betas", type=number, nargs="+", metavar="BETA", help="beta1 and beta2 of the base run; for RMSprop "
                         "its one decay (default: 0.95 0.99)")
    command.add_argument("--kappa", type=number, default=4, metavar="K", help="target over base batch, whose error is told "
                         "(default: 4)")
    command.add_argument("--convention", default="torch", metavar="torch|paper", help="divide by the new v, as torch does, or by "
                         "the old one, as the paper does (default: torch)")
    command.add_argument("--rule", default="square root", metavar="RULE", help=f"scale by a wrong rule, to see it fail: {RULES}")
    command.add_argument("--seconds", type=number, metavar="S", help="how long to compute, counted on two idle cores "
                         "(default: 30)")
    command.add_argument("--chains", type=number, metavar="N", help="chains instead of seconds: the same numbers on any machine")
    command.add_argument("--seed", type=number, default=0, metavar="N", help="of all random numbers (default: 0)")
    add_output(command)
    command.add_argument("--store", action="store_true", help="compute in a process of its own, which goes on without this one, "
                         "and keep the result, which the page Lab lists")


def add_output(command: argparse.ArgumentParser, default: bool | str = False) -> None:
    """How a result is printed."""
    command.add_argument("--json", action="store_true", default=default, help="print one JSON object")
    command.add_argument("--pictures", action="store_true", default=default, help="with --json: also courses, quantiles "
                         "and paths, which the page Lab draws")


def run_lab(options: argparse.Namespace) -> int:
    """``sqrtscale lab``"""
    from ..lab import measure
    from ..lab.experiment import Settings, experiment
    from ..lab.pools import processes

    given: dict[str, Any] = {name: value for name in Settings.__annotations__ if (value := getattr(options, name)) is not None}
    made = experiment(**given)
    outcome = _stored(made) if options.store else measure(made, on_progress=_progress(), pool=processes)
    if outcome is None:
        return 1
    print_outcome(outcome, options)
    return 0


def print_outcome(outcome: WeakError, options: argparse.Namespace) -> None:
    """For reading, or as one JSON object."""
    if options.json:
        left_out = () if options.pictures else PICTURES
        print(json.dumps({name: value for name, value in outcome.as_dict().items() if name not in left_out}, indent=2))
    else:
        print("\n".join(_lines(outcome)))


def _stored(made: Experiment) -> WeakError | None:
    """What came out of a process of its own, kept in the store; None where it did not end well or is not waited for."""
    from ..lab.stored import read
    from ..runner import lab
    from ..store.lab import LabRuns

    with open_store(prompt=False) as store:
        id = lab.submit(store, asdict(made))
        print(f"{id} is queued, on the page Lab at /lab?id={id}", file=sys.stderr)
        tell = _progress()

        def on_progress(record: LabRecord) -> None:
            if record.total:
                tell(record.done, record.total)

        try:
            record = lab.wait(store, id, on_progress)
        except KeyboardInterrupt:
            print(f"\nstopped waiting, {id} goes on: sqrtscale lab cancel {id} ends it", file=sys.stderr)
            return None
        if record.state != "DONE":
            print(f"{id} is {record.state}: {record.reason}", file=sys.stderr)
            return None
        tell(1, 1)
        return read(LabRuns(store).result(id)).outcome


def _lines(outcome: WeakError) -> Sequence[str]:
    from ..lab import wording

    made, signs = outcome.experiment, outcome.experiment.betas == ()
    first = [level for level in outcome.levels if level.test_function == outcome.test_functions[0]]
    rows = [["h" if signs else "1 - beta2", "kappa", *outcome.test_functions]]
    for i, at in enumerate(first):
        cells = [level for level in outcome.levels if level.h == at.h]
        rows.append([f"{first[i].h if at.one_minus_beta2 is None else at.one_minus_beta2:.3g}", f"{at.kappa:g}",
                     *(f"{cell.error:+.2e} ± {cell.standard_error:.0e}" for cell in cells)])
    settings = [made.algorithm, made.problem, made.noise, *([] if signs else ["betas " + " ".join(f"{b:g}" for b in made.betas)]),
                f"{made.convention} convention", f"rule: {made.rule}"]
    return [", ".join(settings), wording.about(outcome), "",
            f"error against the {outcome.limit} ± standard error", *table(rows), "",
            *wording.sentences(outcome)]


def _progress() -> Callable[[int, int], None]:
    """Percent and seconds on standard error: one line that changes, or in a log a line for every tenth."""
    start, said = time.monotonic(), 0

    def tell(done: int, total: int) -> None:
        nonlocal said
        if sys.stderr is None:
            return
        text = f"{done / total:4.0%}, {time.monotonic() - start:.0f} s"
        if sys.stderr.isatty():
            print(f"\r{text}", end="\n" if done == total else "", file=sys.stderr, flush=True)
        elif 10 * done // total > said:
            said = 10 * done // total
            print(text, file=sys.stderr, flush=True)

    return tell
