"""SGD with momentum as in torch.optim.SGD, under its own rule, the linear one."""

from __future__ import annotations

import torch
from torch import Tensor

from ._optimizer import StackedOptimizer
from ._piece import sum_of_gradients


class SGD(StackedOptimizer):
    """b = momentum b + g; theta -= lr b [Robbins & Monro 1951; Polyak 1964]. Nothing divides the gradient."""

    pieces = (sum_of_gradients("momentum_buffer"),)

    def step(self, parameters: Tensor, gradients: Tensor, lr_factor: Tensor | float = 1.0) -> None:
        lr = self.counted(lr_factor)
        b = self.state["momentum_buffer"]
        torch.addcmul(self.with_l2(parameters, gradients), b, self.hyper["momentum"], out=b)
        parameters.addcmul_(b, lr.to(b.dtype), value=-1)


OPTIMIZER = SGD
