"""DistributedDataParallel: the gradient of one process against the mean over all of them."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from ._measurements import Measurements


class Processes:
    """A communication hook that takes squared norms of every bucket before and after it is averaged."""

    def __init__(self, meter: Measurements, model: nn.parallel.DistributedDataParallel, optimizer: torch.optim.Optimizer):
        self.meter, self.active = meter, True
        self.group = model.process_group
        self.world = dist.get_world_size(self.group)
        self.own: list[Tensor] = []
        self.mean: list[Tensor] = []
        self.passes = 0
        model.register_comm_hook(None, lambda _, bucket: self._average(bucket))  # torch looks at annotations, if there are any
        self.handles: list[Any] = [optimizer.register_step_post_hook(self._step),
                                   model.register_forward_hook(self._forward)]

    def remove(self) -> None:
        self.active = False  # a communication hook stays, and goes on to average
        for handle in self.handles:
            handle.remove()

    def _forward(self, *_: object) -> None:
        self.passes += torch.is_grad_enabled()

    def _average(self, bucket: Any) -> torch.futures.Future[Tensor]:
        buffer: Tensor = bucket.buffer()
        measured = self.active and self.meter.due
        if measured:
            self.own.append(buffer.detach().float().square().sum())
        future = dist.all_reduce(buffer.div_(self.world), group=self.group, async_op=True).get_future()

        def done(reduced: torch.futures.Future[list[Tensor]]) -> Tensor:
            mean = reduced.value()[0]
            if measured:
                self.mean.append(mean.detach().float().square().sum())
            return mean

        averaged: torch.futures.Future[Tensor] = future.then(done)
        return averaged

    def _step(self, *_: object) -> None:
        b = self.meter.micro_batch * self.passes
        if self.meter.due and self.own:
            if self.world == 1:
                raise RuntimeError("one process has nothing to hold its gradient against: attach the meter to the module itself, "
                                   "with gradient accumulation, or run at least two processes")
            own = torch.stack(self.own).sum()
            dist.all_reduce(own, group=self.group)
            scale = 1.0 if self.meter.averaged else self.passes**-2.0
            self.meter.record((b, scale * float(own) / self.world), (self.world * b, scale * float(torch.stack(self.mean).sum())))
        self.meter.passed(self.world * b)
        self.own, self.mean, self.passes = [], [], 0
