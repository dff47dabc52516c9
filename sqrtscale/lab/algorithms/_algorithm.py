"""What an algorithm is: its exact step and its SDE in the SDE's own units, over many chains at once (arrays ``[d, chains]``).

With h = eta^2, s0 = sigma eta, e0 = eps eta, c_i = (1 - beta_i) / h, lam0 = lambda / eta, u = v / sigma^2 the discrete algorithm
reads ``y = eta^2 g = h grad f + s0 Sigma^(1/2) dW`` in every step, and nothing but h is left to vary with the batch size.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

from ..problems import Array, Oracle


class State(NamedTuple):
    """Weights and moments of all chains, each [d, chains]; u = v / sigma^2."""

    x: Array
    m: Array
    u: Array


class Constants(NamedTuple):
    """What the square-root rule keeps, and what it would keep: ``lr`` is 1 unless a wrong rule is tried.

    torch: whether the step divides by the new v and the new step count, as torch.optim does; else the old ones, as the paper's
    definition does. density: of the noise at 0, which only signs ask for.
    """

    s0: float
    e0: float
    c1: float
    c2: float
    lam0: float
    lr: float = 1.0
    torch: bool = True
    density: float = 0.0


class Algorithm(Protocol):
    """A file of this folder."""

    TITLE: str
    BETAS: int  # how many decays it has: 2, 1 (beta2 alone) or 0
    DECAY: float  # lam0, weight decay in the SDE's units

    def start(self, x: Array, oracle: Oracle, t: float, at: Constants) -> State:
        """The state at time t > 0 of chains that have stayed at x until then."""

    def step(self, state: State, y: Array, h: float, k: int, at: Constants) -> State:
        """Step number k >= 1 of the discrete algorithm."""

    def flow(self, state: State, oracle: Oracle, dt: float, t: float, at: Constants) -> State:
        """A step of Euler and Maruyama through the SDE, from time t."""
