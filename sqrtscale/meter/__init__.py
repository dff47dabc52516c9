"""The gradient noise scale of somebody's own training loop. Needs torch and nothing else of this package."""

from ._estimate import Estimate
from ._meter import NoiseMeter

__all__ = ["Estimate", "NoiseMeter"]
