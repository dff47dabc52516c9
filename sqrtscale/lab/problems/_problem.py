"""What a problem is: a loss with a noisy gradient oracle, over many chains at once (arrays ``[d, chains]``)."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np

Array = np.ndarray


class Oracle(NamedTuple):
    """What is known of the gradient at the points of all chains, each ``[d, chains]``.

    gradient: grad f; noise: Sigma^(1/2) w for the increments w that were given; variance: diag Sigma.
    """

    gradient: Array
    noise: Array
    variance: Array


class Problem(Protocol):
    """A file of this folder."""

    TITLE: str
    FORMULA: str  # one sentence for people
    START: tuple[float, ...]  # where every chain begins, d numbers
    SOURCES: int  # independent sources of noise: Brownian motions
    NOISE: float  # sigma0 = sigma eta, which every batch size keeps
    EPS: float  # eps0 = eps eta, which every batch size keeps
    COST: int  # CPU nanoseconds a chain and fine step (Adam, all levels; measured), by which work is counted

    def oracle(self, x: Array, w: Array) -> Oracle:
        """x: ``[d, chains]``; w: increments of the sources, ``[sources, chains]``."""

    def loss(self, x: Array) -> Array:
        """f at every chain's point, ``[chains]``."""
