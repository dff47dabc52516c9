"""The catalogue of optimizers that a calibration can train. To add one: a file in this folder that defines OPTIMIZER.

The file has the name of its family in ``sqrtscale.rules``. Importing this loads no torch: plans and arms ask for names alone.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ...rules import TrainingConfig

if TYPE_CHECKING:
    from torch import Tensor

    from ._optimizer import StackedOptimizer

TRAINED: tuple[str, ...] = tuple(file.name for file in pkgutil.iter_modules(__path__) if not file.name.startswith("_"))


def optimizer_class(family: str) -> type[StackedOptimizer]:
    """The optimizer of a family that is in ``TRAINED``; loads torch."""
    optimizer: type[StackedOptimizer] = importlib.import_module(f"{__name__}.{family}").OPTIMIZER
    return optimizer


def make_optimizer(configs: Sequence[TrainingConfig], parameters: Tensor, group_of: Tensor | None = None) -> StackedOptimizer:
    """The optimizer for M configurations of one family over parameters [M, P]; group_of: their parameter groups, if any."""
    return optimizer_class(configs[0].optimizer)(configs, parameters, group_of)


__all__ = ["TRAINED", "make_optimizer", "optimizer_class"]
