"""AMSGrad with decoupled weight decay, as in torch.optim.AdamW(amsgrad=True)."""

from __future__ import annotations

import torch
from torch import Tensor

from ._moments import Moments
from ._piece import noise_variance


class AMSGradW(Moments):
    """theta *= 1 - lr weight_decay, then AMSGrad's step [Reddi et al. 2018; Loshchilov & Hutter 2019]."""

    pieces = (*Moments.pieces, noise_variance("max_exp_avg_sq"))
    second_moment = "max_exp_avg_sq"

    def step(self, parameters: Tensor, gradients: Tensor, lr_factor: Tensor | float = 1.0) -> None:
        lr = self.counted(lr_factor)
        parameters.mul_((1 - lr * self.exact["weight_decay"]).to(parameters.dtype))
        self.average(gradients)
        largest = self.state["max_exp_avg_sq"]
        torch.maximum(largest, self.state["exp_avg_sq"], out=largest)
        self.move(parameters, lr)


OPTIMIZER = AMSGradW
