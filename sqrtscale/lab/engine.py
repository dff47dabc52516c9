"""``weak_error``: runs the chains of an experiment, group by group, and says what came out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from functools import partial
from typing import Unpack

import numpy as np

from ..rules.errors import FieldError, whole
from . import judging
from .chains import Observed, block_size, observe, simulate, test_functions
from .experiment import BEGIN, CORES, GROUPS, SPAN, Experiment, Settings, experiment
from .lattice import discrete, limit
from .pools import Pool
from .problems import Array
from .result import Course, Path, Quantiles, WeakError

Progress = Callable[[int, int], None]
PROBABILITIES = (0.05, 0.25, 0.5, 0.75, 0.95)
MOST_WORKERS = 1024
MOST_TOGETHER = 16  # groups in one part of the work: 4 parts at least, for 2 cores
WORTH_PROCESSES = 5.0  # counted seconds of work: starting processes takes one or two
PATHS, PATH_POINTS = 3, 128  # how many paths are shown, and at how many times at most


def weak_error(*, on_progress: Progress | None = None, workers: int = CORES, **settings: Unpack[Settings]) -> WeakError:
    """Measure how far the discrete algorithm's expectations are from its SDE's.

    The same settings with the same ``chains`` and ``seed`` give the same numbers, whatever ``workers`` (threads) is; ``seconds``
    only choose ``chains``, by a counted cost on two cores. on_progress is told how many chains are done and of how many (of
    signSGD: how many laws), and may raise to end it. Raises FieldError.
    """
    return measure(experiment(**settings), on_progress=on_progress, workers=workers)


def measure(made: Experiment, *, on_progress: Progress | None = None, workers: int = CORES,
            pool: Pool = ThreadPoolExecutor) -> WeakError:
    """The same of a checked experiment. pool: what computes a long one; ``pools.processes`` are faster for who can have them."""
    workers = whole("workers", workers, 1, CORES, MOST_WORKERS)
    if not made.betas:
        return _exact(made, on_progress)
    long = made.chains * made.nanoseconds > 1e9 * WORTH_PROCESSES
    observed = list(_observed(made, on_progress, pool(workers) if long else ThreadPoolExecutor(workers)))
    reference = np.concatenate([part.reference for part in observed])  # [groups, times, functions]
    differences = np.concatenate([part.differences for part in observed])  # [groups, times, levels, functions]
    refuse_unbounded(made, reference, differences)
    names = tuple(test_functions(*made.parts[1:]))
    courses = []
    for j, name in enumerate(names):
        courses.append(_course(made, name, None, reference[:, :, j]))
        for i, h in enumerate(made.steps):
            courses.append(_course(made, name, h, reference[:, :, j] + differences[:, :, i, j]))
    change = (reference[:, -1] - reference[:, 0]).mean(0)
    return judging.judged(made, names, differences[:, -1], change, (tuple(courses), _quantiles(made, observed), _paths(made)))


def refuse_unbounded(made: Experiment, *arrays: Array) -> None:
    """Raises FieldError where a chain went beyond floating point."""
    if not all(np.isfinite(array).all() for array in arrays):
        raise FieldError("noise", made.noise, f"throws chains of {made.problem} out of every bound in the {made.convention} "
                         "convention: give convention torch, the quadratic, or lighter tails")


def _observed(made: Experiment, on_progress: Progress | None, pool: Executor) -> Iterator[Observed]:
    """All groups, in their order, several at a time where they are small; every part has random numbers of its own."""
    chains = made.chains // GROUPS
    together = next(n for n in (MOST_TOGETHER, 8, 4, 2, 1) if n == 1 or n * chains <= block_size(made))
    seeds = np.random.SeedSequence(made.seed).spawn(GROUPS // together)
    try:
        for i, part in enumerate(pool.map(partial(observe, made, groups=together, chains=chains), seeds)):
            if on_progress is not None:
                on_progress((i + 1) * together * chains, made.chains)
            yield part
    finally:
        pool.shutdown(cancel_futures=True)


def _course(made: Experiment, name: str, h: float | None, values: Array) -> Course:
    """From the means of all groups, [groups, times]."""
    errors = values.std(0, ddof=1) / np.sqrt(len(values))
    return Course(name, h, made.checkpoints, _floats(values.mean(0)), _floats(errors))


def _quantiles(made: Experiment, observed: Sequence[Observed]) -> tuple[Quantiles, ...]:
    positions = np.concatenate([part.positions for part in observed], axis=2)
    values = np.quantile(positions, PROBABILITIES, axis=2)  # [probabilities, times, 1 + levels]
    return tuple(Quantiles(h, made.checkpoints, PROBABILITIES, tuple(_floats(row) for row in values[:, :, i]))
                 for i, h in enumerate((None, *made.steps)))


def _paths(made: Experiment) -> tuple[Path, ...]:
    """A few chains at many times, the same random numbers for the SDE and every level."""
    every = max(made.steps[0], SPAN / PATH_POINTS)
    times = BEGIN + every * np.arange(round(SPAN / every) + 1)
    random = np.random.Generator(np.random.SFC64(np.random.SeedSequence((made.seed, 1))))
    walked = np.array([[x[0] for x in (at[0], *at[2:])] for at in simulate(made, random, PATHS, _floats(times))])
    paths = []
    for number in range(PATHS):
        for i, h in enumerate((None, *made.steps)):
            kept = slice(None, None, max(1, round((h or 0) / every)))  # a level stands still between its steps
            paths.append(Path(number, h, _floats(times[kept]), _floats(walked[kept, i, number])))
    return tuple(paths)


def _exact(made: Experiment, on_progress: Progress | None) -> WeakError:
    """signSGD: its law on the lattice; chains only for the picture of paths."""
    _, case, law = made.parts
    functions = test_functions(case, law)

    expectations, spreads = [], []  # of the SDE, then of every level: [times, functions] and [times, probabilities]
    for i, laws in enumerate((limit(made), *(discrete(made, h) for h in made.steps))):
        at = list(laws)
        expectations.append(np.array([[weights.mean(phi(weights.x[None])) for phi in functions.values()] for weights in at]))
        spreads.append([weights.quantiles(PROBABILITIES) for weights in at])
        if on_progress is not None:
            on_progress(i + 1, 1 + len(made.steps))
    steps = (None, *made.steps)
    courses = tuple(Course(name, h, made.checkpoints, _floats(values[:, j]), (0.0,) * len(made.checkpoints))
                    for j, name in enumerate(functions) for h, values in zip(steps, expectations, strict=True))
    quantiles = tuple(Quantiles(h, made.checkpoints, PROBABILITIES, tuple(_floats(row) for row in np.array(rows).T))
                      for h, rows in zip(steps, spreads, strict=True))
    errors = np.array([[values[-1] - expectations[0][-1] for values in expectations[1:]]])
    change = expectations[0][-1] - expectations[0][0]
    return judging.judged(made, tuple(functions), errors, change, (courses, quantiles, _paths(made)))


def _floats(values: Array) -> tuple[float, ...]:
    return tuple(float(value) for value in values)
