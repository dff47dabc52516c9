"""Adam as in torch.optim.Adam."""

from __future__ import annotations

from torch import Tensor

from ._moments import Moments


class Adam(Moments):
    """theta -= lr m_hat / (sqrt(v_hat) + eps) [Kingma & Ba 2015, Algorithm 1], with weight decay as L2 in the gradient."""

    kernel = "ADAM"

    def step(self, parameters: Tensor, gradients: Tensor, lr_factor: Tensor | float = 1.0) -> None:
        lr = self.counted(lr_factor)
        self.average(self.with_l2(parameters, gradients))
        self.move(parameters, lr)


OPTIMIZER = Adam
