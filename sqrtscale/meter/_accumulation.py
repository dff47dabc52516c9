"""Gradient accumulation on one process: the first micro-batch's gradient against the mean of all of them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ._measurements import Measurements
from ._preconditioner import divisor, second_moment


class MicroBatches:
    """Hooks after every accumulation of a parameter's gradient, before anything clips it, and after the optimizer's step.

    After, because some trainers make the backward pass within the step (a closure).
    """

    def __init__(self, meter: Measurements, model: nn.Module, optimizer: torch.optim.Optimizer):
        self.meter, self.optimizer = meter, optimizer
        self.parameters = [p for p in model.parameters() if p.requires_grad]
        self.passes = [0] * len(self.parameters)
        self.first: list[tuple[Tensor, Tensor | None]] = []
        self.last: dict[int, tuple[Tensor, Tensor | None]] = {}
        self.handles: list[Any] = [p.register_post_accumulate_grad_hook(self._hook(i))  # type: ignore[no-untyped-call]
                                   for i, p in enumerate(self.parameters)]
        self.handles.append(optimizer.register_step_post_hook(self._step))

    def remove(self) -> None:
        for handle in self.handles:
            handle.remove()

    def _hook(self, i: int) -> Any:
        def accumulated(parameter: Tensor) -> None:
            self.passes[i] += 1
            if not self.meter.due or parameter.grad is None:
                return
            norms = self._norms(parameter)
            if self.passes[i] == 1:
                self.first.append(norms)
            self.last[i] = norms

        return accumulated

    def _norms(self, parameter: Tensor) -> tuple[Tensor, Tensor | None]:
        """Squared norm of a parameter's gradient, and the same as the optimizer divides it."""
        assert parameter.grad is not None
        gradient = parameter.grad.detach().float()
        divided = divisor(self.optimizer, parameter)
        return gradient.square().sum(), None if divided is None else (gradient / divided).square().sum()

    def _step(self, *_: object) -> None:
        used = [count for count in self.passes if count]
        passes = max(used, default=0)
        if self.meter.due and passes:
            if passes == 1:
                raise RuntimeError(
                    "this loop has one micro-batch a step and one process, so there is nothing to hold its gradient against: "
                    "accumulate gradients over at least two micro-batches, or give squared norms at two batch sizes to "
                    "NoiseMeter.record")
            if min(used) == passes:  # else some parameter has no gradient of some micro-batch
                self._record(passes)
        self.meter.passed(passes * self.meter.micro_batch)
        self.passes = [0] * len(self.parameters)
        self.first, self.last = [], {}

    def _record(self, passes: int) -> None:
        b = self.meter.micro_batch
        # Of what is accumulated by then: the mean's share, or the sum.
        small, large = (float(passes**2), 1.0) if self.meter.averaged else (1.0, passes**-2.0)
        sums = [(_total(norms, 0), _total(norms, 1)) for norms in (self.first, list(self.last.values()))]
        (first, first_pre), (last, last_pre) = sums
        assert first is not None and last is not None
        preconditioned = None if first_pre is None or last_pre is None else (small * first_pre, large * last_pre)
        moments = [v for p in self.parameters if (v := second_moment(self.optimizer, p)) is not None]
        mean = float(sum(v.sum() for v in moments) / sum(v.numel() for v in moments)) if moments else None
        self.meter.record((b, small * first), (passes * b, large * last), preconditioned=preconditioned, second_moment=mean)


def _total(norms: list[tuple[Tensor, Tensor | None]], which: int) -> float | None:
    values = [pair[which] for pair in norms]
    return None if any(value is None for value in values) else float(torch.stack([v for v in values if v is not None]).sum())
