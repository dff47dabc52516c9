"""What is measured of a population at an evaluation point: the metrics of its task. Its regime is ``regime``'s."""

from __future__ import annotations

import torch
from torch import Tensor

from ..tasks import Data
from .population import Population


@torch.no_grad()
def measure(population: Population, data: Data) -> dict[str, Tensor]:
    """Every metric of the task for every model, on the CPU: name -> [M]."""
    splits = {"validation": data.validation, "train": data.train_sample}
    metrics = population.task.metrics
    values = {name: population.executor.evaluate(population, split) for name, split in splits.items()
              if any(metric.split == name for metric in metrics.values())}
    return {name: values[metric.split][metric.measure].cpu() for name, metric in metrics.items()}
