"""AMSGrad as in torch.optim.Adam(amsgrad=True)."""

from __future__ import annotations

import torch
from torch import Tensor

from ._moments import Moments
from ._piece import noise_variance


class AMSGrad(Moments):
    """Adam that divides by the largest v so far, v_max = max(v_max, v), corrected by this step's factor [Reddi et al. 2018]."""

    pieces = (*Moments.pieces, noise_variance("max_exp_avg_sq"))
    second_moment = "max_exp_avg_sq"

    def step(self, parameters: Tensor, gradients: Tensor, lr_factor: Tensor | float = 1.0) -> None:
        lr = self.counted(lr_factor)
        self.average(self.with_l2(parameters, gradients))
        largest = self.state["max_exp_avg_sq"]
        torch.maximum(largest, self.state["exp_avg_sq"], out=largest)
        self.move(parameters, lr)


OPTIMIZER = AMSGrad
