"""Chains of the discrete algorithm at every step size and of its SDE, all on the same path.

The SDE goes by Euler and Maruyama at dt and 2 dt. Its expectation is Richardson's 2 E(dt) - E(2 dt), whose error is of order
dt^2, and each level is compared with it chain by chain, which is worth hundreds of times the chains. Under stable noise the
algorithm itself at dt and 2 dt takes the SDE's place: E(dt) alone would leave an error of C1 dt in every level, and so a C0.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from .experiment import BEGIN, Experiment
from .laws import Noise
from .paths import draw_increments, shape
from .problems import Array, Problem

BLOCK = 150_000  # counted nanoseconds a fine step that one pass takes
SHOWN = 512  # chains of each group, at most, whose positions give the quantiles

Functions = dict[str, Callable[[Array], Array]]
EACH: Functions = {
    "E x": lambda x: x[0],
    "E x^2": lambda x: (x * x).sum(0),
    "E 1/(1+x^2)": lambda x: 1 / (1 + (x * x).sum(0)),
}
BOUNDED: Functions = {"E tanh x": lambda x: np.tanh(x[0]), "E 1/(1+x^2)": EACH["E 1/(1+x^2)"]}


def test_functions(case: Problem, law: Noise) -> Functions:
    """What is averaged over the chains: x is the first coordinate, x^2 the squared norm. Stable noise: bounded functions only."""
    return BOUNDED if law.is_stable else EACH | {"E loss": case.loss}


@dataclass(frozen=True)
class Observed:
    """Groups of chains at every checkpoint.

    reference: mean of each test function under the SDE [groups, times, functions]; differences: of each level from it
    [groups, times, levels, functions]; positions: first coordinate of a few chains [times, 1 + levels, chains], the SDE first.
    """

    reference: Array
    differences: Array
    positions: Array


Advance = Callable[[Array, int], None]


def simulate(made: Experiment, random: np.random.Generator, chains: int, times: Sequence[float]) -> Iterator[list[Array]]:
    """Where all chains are at those times: under the SDE at dt and at 2 dt, then at every level; each ``[d, chains]``."""
    _, case, law = made.parts
    dt = made.fine_step
    draw = draw_increments(random, law, dt)
    at = [np.repeat(np.array(case.START)[:, None], chains, axis=1)] * (2 + len(made.steps))
    movers = [_mover(made, at, clock) for clock in range(len(at))]
    waiting: list[Array] = [np.empty(0)] * len(movers)
    stops = {round((time - BEGIN) / dt) for time in times}
    if 0 in stops:
        yield at
    for k in range(1, max(stops) + 1):
        increments = draw((case.SOURCES, chains))
        for clock, move in enumerate(movers):  # like adding 1 to a binary number: two steps of a clock are one of the next
            move(increments, k >> clock)
            if (k >> clock) & 1:
                waiting[clock] = increments
                break
            increments = waiting[clock] + increments
        if k in stops:
            yield at


def _mover(made: Experiment, at: list[Array], clock: int) -> Advance:
    """Moves ``at[clock]`` by its own step, given the increments over it and the number of the step.

    Clocks 0 and 1 are the SDE, unless there is none of Ito's kind: under stable noise the algorithm itself with a step of dt is
    the nearest there is to its limit.
    """
    method, case, law = made.parts
    # Clock 0 has dt, 1 has 2 dt, and the levels follow at 4 dt = FINER dt and so on.
    h = made.fine_step * 2**clock
    if clock < 2 and not law.is_stable:
        constants = made.limit
        state = method.start(at[clock], case.oracle(at[clock], np.zeros((case.SOURCES, 1))), BEGIN, constants)

        def flow(increments: Array, k: int) -> None:
            nonlocal state
            state = method.flow(state, case.oracle(state.x, increments), h, BEGIN + (k - 1) * h, constants)
            at[clock] = state.x

        return flow

    constants = made.limit if clock < 2 else made.constants(h)
    state = method.start(at[clock], case.oracle(at[clock], np.zeros((case.SOURCES, 1))), BEGIN, constants)
    shaped, before = shape(law), round(BEGIN / h)

    def step(increments: Array, k: int) -> None:
        nonlocal state
        oracle = case.oracle(state.x, shaped(increments, h))
        state = method.step(state, h * oracle.gradient + constants.s0 * oracle.noise, h, before + k, constants)
        at[clock] = state.x

    return step


def block_size(made: Experiment) -> int:
    """How many chains one pass takes: enough that Python's own time is small, few enough for the processor's cache."""
    return max(1, BLOCK // made.parts[1].COST)


def observe(made: Experiment, seed: np.random.SeedSequence, groups: int, chains: int) -> Observed:
    """So many groups of so many chains, together where a block takes them all, else block after block."""
    _, case, law = made.parts
    functions = test_functions(case, law)
    random = np.random.Generator(np.random.SFC64(seed))
    size = chains if groups > 1 else min(chains, block_size(made))
    totals = np.zeros((len(made.checkpoints), 1 + len(made.steps), len(functions), groups))
    shown: list[list[Array]] = [[] for _ in made.checkpoints]
    for start in range(0, chains, size):
        block = min(size, chains - start)
        kept = max(0, min(SHOWN - start, block))
        with np.errstate(over="ignore", invalid="ignore"):  # what flies away is refused at the end
            for i, at in enumerate(simulate(made, random, groups * block, made.checkpoints)):
                for j, phi in enumerate(functions.values()):
                    fine, coarse, *levels = (phi(x).reshape(groups, block) for x in at)
                    reference = 2 * fine - coarse
                    totals[i, 0, j] += reference.sum(1)
                    totals[i, 1:, j] += [(level - reference).sum(1) for level in levels]
                if kept:
                    shown[i].append(np.array([x[0].reshape(groups, block)[:, :kept].ravel() for x in (at[0], *at[2:])]))
    means = np.moveaxis(totals / chains, -1, 0)
    # Laid out as another process would send them: sums over them are then in the same order.
    reference, differences = np.ascontiguousarray(means[:, :, 0]), np.ascontiguousarray(means[:, :, 1:])
    return Observed(reference, differences, np.array([np.concatenate(at, axis=1) for at in shown]))
