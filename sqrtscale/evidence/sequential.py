"""Looking several times, as seeds come in, without being wrong more often.

Every look may end the comparison, so each look gets a share of alpha. How much has been spent by the share t of the seeds
is a function fixed beforehand (Lan & DeMets 1983), here the one that resembles O'Brien and Fleming's boundaries:
alpha(t) = 2 - 2 Phi(z / sqrt(t)), with Phi(z) = 1 - alpha / 2. A look gets what has been added since the last one.

Boundaries from a joint normal distribution would give the last looks a little more; they are not exact for t statistics
of three seeds. The shares themselves are: whatever the dependence between looks, the sum of the shares bounds the total error.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from ..rules import FieldError
from ..rules.errors import whole
from .equivalence import rate


@dataclass(frozen=True)
class Looks:
    """When a comparison is judged: after these numbers of seeds, growing; the last is the most that will be trained."""

    seeds: tuple[int, ...] = (3, 5, 8)

    def __post_init__(self) -> None:
        if not self.seeds:
            raise FieldError("seeds", "", "names no look: give growing numbers of seeds, for example 3, 5, 8")
        for before, count in zip((1, *self.seeds), self.seeds, strict=False):
            whole("seeds", count, before + 1, before + 2)

    def levels(self, alpha: float = 0.05) -> tuple[float, ...]:
        """The level of each look; they add up to ``alpha``. Each serves the test for "within" and that for "beyond"."""
        alpha = rate("alpha", alpha)
        time = np.array(self.seeds) / self.seeds[-1]
        spent = 2 * stats.norm.sf(stats.norm.isf(alpha / 2) / np.sqrt(time))
        return tuple(float(share) for share in np.diff(spent, prepend=0))

    def look(self, pairs: int) -> int | None:
        """Which look (0 first) so many pairs allow; None before the first."""
        reached = sum(count <= pairs for count in self.seeds)
        return reached - 1 if reached else None
