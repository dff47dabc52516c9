"""What is to be measured: the settings of one experiment, checked, and the steps, times and constants that follow from them.

The unit of time is chosen so that v's memory is about as long as the problem takes (c2 between 1 and 2), or m's where that is
much shorter (the larger c between 4 and 8). All steps are powers of 2, so that sums of increments fit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, TypedDict, Unpack

from ..rules.errors import FieldError, choice, real, whole
from .algorithms import Algorithm, Constants, algorithm
from .laws import Noise, noise
from .problems import Problem, problem
from .wrong_rules import RIGHT, RULES, known_rule

BEGIN, SPAN = 0.5, 2.0  # time when the SDE starts (bias correction needs t > 0), and how long it runs
LARGEST_STEP = 1 / 8  # every checkpoint is a multiple of it
CHECKPOINTS = 16
LEVELS = 5  # steps by which the slope and the intercept are judged: the smallest, doubled
COARSEST = 1 / 8  # largest c h of those
FINER = 4  # steps of the SDE in the smallest step of the algorithm
SIGN_STEP, SIGN_RATE = 1 / 64, 8.0  # signSGD has no beta2 that says which step is the base, and which steps are small
CORES = 2  # on which ``seconds`` are counted
GROUPS, FEWEST = 64, 8  # groups of chains that the bootstrap draws from, and the fewest chains in one
MOST_CHAINS, MOST_SECONDS = 50_000_000, 86_400
CONVENTIONS = ("torch", "paper")
SECONDS, MOST_KAPPA = 30.0, 4096
KAPPA = f"is no ratio of batch sizes: give a number from 1 to {MOST_KAPPA}"
SMALLEST_DECAY = 1e-6  # of 1 - beta
USUAL: dict[int, tuple[float, ...]] = {0: (), 1: (0.99,), 2: (0.95, 0.99)}  # betas, by how many there are


class Settings(TypedDict, total=False):
    """What ``experiment`` takes, by name; all have defaults."""

    algorithm: str
    problem: str
    noise: str
    betas: tuple[float, ...]
    kappa: float
    convention: str
    rule: str
    seconds: float
    chains: int
    seed: int


@dataclass(frozen=True)
class Experiment:
    """The settings of one experiment. Made by ``experiment``, which checks them.

    betas: of the base run, one for RMSprop, none for signSGD; kappa: batch over the base's batch, for what is said of it;
    chains: how many are simulated, which fixes every number together with the seed; 0 where the law itself is computed.
    """

    algorithm: str
    problem: str
    noise: str
    betas: tuple[float, ...]
    kappa: float
    convention: str
    rule: str
    chains: int
    seed: int

    @property
    def parts(self) -> tuple[Algorithm, Problem, Noise]:
        """The files that the names stand for."""
        return algorithm(self.algorithm), problem(self.problem), noise(self.noise)

    @property
    def nanoseconds(self) -> int:
        """Of one chain on one core, by the problem's counted cost."""
        return self.parts[1].COST * self.fine_steps

    @property
    def base_step(self) -> float:
        """h = eta^2 of the base batch."""
        if not self.betas:
            return SIGN_STEP
        forgotten = [1 - beta for beta in self.betas]
        step = 2.0 ** math.floor(math.log2(forgotten[-1]))
        return step if max(forgotten) <= 8 * step else 2.0 ** math.floor(math.log2(max(forgotten) / 4))

    @property
    def rates(self) -> tuple[float, float]:
        """c1 and c2, (1 - beta) / h; 0 for a moment that the algorithm does not have."""
        rates = [(1 - beta) / self.base_step for beta in self.betas]
        return (rates[0] if len(rates) == 2 else 0.0), (rates[-1] if rates else 0.0)

    @property
    def steps(self) -> tuple[float, ...]:
        """All h from the smallest on: LEVELS for the slope, then on to kappa times the base where its decays exist."""
        fastest = max(self.rates) or SIGN_RATE
        coarsest = min(2.0 ** math.floor(math.log2(COARSEST / fastest)), LARGEST_STEP)
        steps = [coarsest * 2.0**i for i in range(1 - LEVELS, 1)]
        while (h := 2 * steps[-1]) <= min(self.kappa * self.base_step, LARGEST_STEP) and fastest * h < 1:
            steps.append(h)
        return tuple(steps)

    @property
    def fine_step(self) -> float:
        """dt of the SDE; 2 dt is the other step of Richardson's extrapolation."""
        return self.steps[0] / FINER

    @property
    def fine_steps(self) -> int:
        """How many a chain takes."""
        return round(SPAN / self.fine_step)

    @property
    def checkpoints(self) -> tuple[float, ...]:
        """The times at which expectations are taken, the start among them."""
        return tuple(BEGIN + SPAN * i / CHECKPOINTS for i in range(CHECKPOINTS + 1))

    def kappa_at(self, h: float) -> float:
        """Batch size over the base's at step h."""
        return h / self.base_step

    def one_minus_beta2(self, h: float) -> float | None:
        """c2 h, the axis on which base and target are marks; None for signSGD."""
        return self.rates[1] * h if self.betas else None

    @property
    def limit(self) -> Constants:
        """The constants of the SDE."""
        method, case, law = self.parts
        density = float(law.distribution().pdf(0)) if not self.betas else 0.0
        return Constants(case.NOISE, case.EPS, *self.rates, method.DECAY, torch=self.convention == "torch", density=density)

    def constants(self, h: float) -> Constants:
        """Those of the discrete algorithm at step h: the SDE's, unless the rule is a wrong one."""
        limit, law = self.limit, noise(self.noise)
        wrong = RULES[self.rule](self.kappa_at(h), law.parameter if law.is_stable else 2.0)
        return limit._replace(lr=wrong.lr, e0=limit.e0 * wrong.eps, c1=limit.c1 * wrong.decays, c2=limit.c2 * wrong.decays,
                              lam0=limit.lam0 * wrong.weight_decay)

    @property
    def predicted_slope(self) -> float | None:
        """What theory says of the slope; 0 for a wrong rule, whose error does not vanish, None where nothing says it."""
        if self.rule != RIGHT:
            return 0.0
        if self.algorithm == "signsgd":  # the density at 0 decides, not the tails: Laplace's has a cusp there
            return 0.5 if self.noise == "laplace" else 1.0
        return noise(self.noise).slope

    @property
    def expected_slope(self) -> float:
        """The power of h by which the error is fitted: the predicted one, 1 where there is none."""
        return self.predicted_slope or 1.0


def experiment(**settings: Unpack[Settings]) -> Experiment:
    """A checked experiment; raises FieldError. ``seconds`` become a number of chains by the problem's counted cost."""
    known = {name: settings[name] for name in Settings.__annotations__ if name in settings}  # type: ignore[literal-required]
    if unknown := set(settings) - set(known):
        raise FieldError("setting", min(unknown), f"is not known: give {', '.join(Settings.__annotations__)}")
    return _checked(known)


def _checked(given: dict[str, Any]) -> Experiment:
    for field in ("algorithm", "problem", "noise", "rule"):
        if not isinstance(given.get(field, ""), str):
            raise FieldError(field, given[field], "is not known: give one of the names that sqrtscale lab --help lists")
    name, place = given.get("algorithm", "adam"), given.get("problem", "quadratic")
    method, case, law = algorithm(name), problem(place), noise(given.get("noise", "gauss"))
    if name == "signsgd" and (len(case.START) > 1 or not law.law.SYMMETRIC or law.is_stable):
        raise FieldError("algorithm", name, "has an SDE only in one dimension and for symmetric noise of finite variance: "
                         "give problem quadratic, double_well or constant_noise, and noise gauss, uniform, laplace or student:3")
    kappa = real("kappa", given.get("kappa", 4.0), KAPPA)
    if not 1 <= kappa <= MOST_KAPPA:
        raise FieldError("kappa", kappa, KAPPA)
    made = Experiment(
        algorithm=name, problem=place, noise=str(law), betas=_betas(given.get("betas"), method.BETAS), kappa=kappa,
        convention=choice("convention", given.get("convention", "torch"), CONVENTIONS),
        rule=known_rule(given.get("rule", RIGHT), method.BETAS, law.is_stable),
        chains=GROUPS * FEWEST, seed=whole("seed", given.get("seed", 0), 0, 1))
    return replace(made, chains=_chains(given, made))


def _chains(given: dict[str, Any], made: Experiment) -> int:
    """As many as were asked for or fit into the seconds, the same in every group."""
    if not made.betas:
        return 0  # its law is computed
    if given.get("chains") is None:
        seconds = real("seconds", given.get("seconds", SECONDS), "is no time: give seconds, for example 30")
        if not 0 < seconds <= MOST_SECONDS:
            raise FieldError("seconds", seconds, f"is not allowed: give a number from 1 to {MOST_SECONDS}")
        chains = seconds * CORES * 1e9 / made.nanoseconds
    else:
        chains = whole("chains", given["chains"], GROUPS * FEWEST, 100_000, MOST_CHAINS)
    return GROUPS * min(max(FEWEST, round(chains / GROUPS)), MOST_CHAINS // GROUPS)


def _betas(given: Any, count: int) -> tuple[float, ...]:
    """The decays of the base run; for RMSprop the last of two."""
    if given is None or not count:
        return USUAL[count]
    allowed = "are no decay rates: give beta1 and beta2 in [0, 0.999999], for example 0.9 0.99"
    try:
        betas = tuple(given)
    except TypeError:
        raise FieldError("betas", given, allowed) from None
    if not count <= len(betas) <= 2:
        raise FieldError("betas", given, allowed)
    decays = tuple(real("betas", beta, allowed) for beta in betas[-count:])
    if not all(0 <= beta <= 1 - SMALLEST_DECAY for beta in decays):
        raise FieldError("betas", given, allowed)
    return decays
