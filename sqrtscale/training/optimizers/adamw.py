"""AdamW as in torch.optim.AdamW."""

from __future__ import annotations

from torch import Tensor

from ._moments import Moments


class AdamW(Moments):
    """Adam with decoupled decay, theta *= 1 - lr weight_decay before the step [Loshchilov & Hutter 2019, Algorithm 2]."""

    kernel = "ADAMW"

    def step(self, parameters: Tensor, gradients: Tensor, lr_factor: Tensor | float = 1.0) -> None:
        lr = self.counted(lr_factor)
        parameters.mul_((1 - lr * self.exact["weight_decay"]).to(parameters.dtype))
        self.average(gradients)
        self.move(parameters, lr)


OPTIMIZER = AdamW
