"""What is measured of a population at an evaluation point: the metrics of its task. Its regime is ``regime``'s."""

from __future__ import annotations

import torch
from torch import Tensor

from ..tasks import Data
from .population import Population


@torch.no_grad()
def measure(population: Population, data: Data) -> dict[str, Tensor]:
    """Every metric of the task for every model, on the CPU: name -> [M]."""
    values = {}
    for prefix, split in (("val", data.validation), ("train", data.train_sample)):
        values[f"{prefix}_loss"], values[f"{prefix}_accuracy"] = population.executor.evaluate(population, split)
    return {name: values[name].cpu() for name in population.task.metrics}
