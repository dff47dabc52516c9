"""What is measured of a population at an evaluation point: the metrics of its task. Its regime is ``regime``'s.

The judged metric is measured at every point, because the mean over its last points is what a verdict compares; the others at
``points.complete_points``, because they are there to be looked at.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..tasks import Data
from .population import Population


@torch.no_grad()
def measure(population: Population, data: Data, judged_only: bool = False) -> dict[str, Tensor]:
    """Metrics of the task for every model, on the CPU: name -> [M].

    judged_only: leave out those that cost a pass over another split than the judged one's.
    """
    splits = {"validation": data.validation, "train": data.train_sample}
    task = population.task
    judged = task.metrics[task.judged].split
    metrics = {name: metric for name, metric in task.metrics.items() if not judged_only or metric.split == judged}
    values = {name: population.executor.evaluate(population, split) for name, split in splits.items()
              if any(metric.split == name for metric in metrics.values())}
    return {name: values[metric.split][metric.measure].cpu() for name, metric in metrics.items()}
