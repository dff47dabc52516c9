"""What a noise law is: a distribution of mean 0 and variance 1 for one source of noise, before the batch averages it."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol


class Parameter(NamedTuple):
    """The one number that a law may take, in (low, high]."""

    symbol: str
    low: float
    high: float
    usual: float


class Law(Protocol):
    """A file of this folder."""

    TITLE: str
    SAYS: str  # what this law does to the approximation, one sentence
    PARAMETER: Parameter | None
    SYMMETRIC: bool

    def distribution(self, parameter: float) -> Any:
        """A frozen distribution of scipy, mean 0 and variance 1 (for ``stable``: scale 1)."""

    def slope(self, parameter: float) -> float | None:
        """The predicted slope of the weak error of RMSprop and Adam; None where nothing predicts it."""
