"""The meter: measurements that come from listening to a training loop."""

from __future__ import annotations

import torch
from torch import nn

from ._accumulation import MicroBatches
from ._distributed import Processes
from ._measurements import Measurements


class NoiseMeter(Measurements):
    """Measures tr(Sigma) and |G|^2 of the gradients that a loop computes anyway, at every ``every``-th optimizer step.

    micro_batch: samples of one backward pass on one process; every: steps from one measurement to the next; averaged: whether the
    loop divides the loss by the number of its micro-batches, as nearly all do; clip_norm: the loop's own, to note which steps it
    clips; path: a file that gets one line of JSON for each measurement, which ``sqrtscale judge`` reads.

    ``attach`` is all that most loops need. A loop that it does not suit gives squared norms to ``record`` by itself.
    Raises ValueError for numbers that are none.
    """

    def attach(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> NoiseMeter:
        """Listen to a model and the torch optimizer that trains it; returns the meter itself.

        With gradient accumulation the first micro-batch's gradient is held against the mean of all; under
        DistributedDataParallel that of one process against the mean over all of them. Without either there is nothing to compare:
        RuntimeError at the first step that should be measured.
        """
        optimizer = getattr(optimizer, "optimizer", optimizer)  # Accelerate wraps it
        listener = Processes(self, model, optimizer) if isinstance(model, nn.parallel.DistributedDataParallel) else \
            MicroBatches(self, model, optimizer)
        self._listeners.append(listener.remove)
        return self

    def detach(self) -> None:
        """Listen no more."""
        while self._listeners:
            self._listeners.pop()()
