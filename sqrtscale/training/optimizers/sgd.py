"""SGD with momentum as in torch.optim.SGD, under its own rule, the linear one."""

from __future__ import annotations

from torch import Tensor

from ._optimizer import StackedOptimizer
from ._piece import sum_of_gradients


class SGD(StackedOptimizer):
    """b = momentum b + g; theta -= lr b [Robbins & Monro 1951; Polyak 1964]. Nothing divides the gradient."""

    pieces = (sum_of_gradients("momentum_buffer"),)

    def step(self, parameters: Tensor, gradients: Tensor, lr_factor: Tensor | float = 1.0) -> None:
        lr = self.counted(lr_factor)
        b = self.state["momentum_buffer"]
        b.mul_(self.hyper["momentum"]).add_(self.with_l2(parameters, gradients))
        parameters.sub_(b * lr.to(b.dtype))


OPTIMIZER = SGD
