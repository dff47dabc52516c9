"""RMSprop as in torch.optim.RMSprop: no bias correction, and momentum without a factor 1 - mu."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from ._optimizer import Kernel, StackedOptimizer
from ._piece import Piece, noise_variance, sum_of_divided_gradients


class RMSprop(StackedOptimizer):
    """v = alpha v + (1 - alpha) g^2; b = momentum b + g / (sqrt(v) + eps); theta -= lr b [Tieleman & Hinton 2012]."""

    pieces: ClassVar[tuple[Piece, ...]] = (noise_variance("square_avg"), sum_of_divided_gradients("momentum_buffer"))
    second_moment = "square_avg"
    second_decay = "alpha"
    kernel = Kernel("RMSPROP", ("momentum_buffer", "square_avg"), ("lr", "momentum", "alpha", "eps", "weight_decay"))

    def step(self, parameters: Tensor, gradients: Tensor, lr_factor: Tensor | float = 1.0) -> None:
        lr = self.counted(lr_factor)
        gradients = self.with_l2(parameters, gradients)
        self.average(gradients)
        b = self.state["momentum_buffer"]
        b.mul_(self.hyper["momentum"]).addcdiv_(gradients, self.variance().sqrt().add_(self.hyper["eps"]))
        parameters.addcmul_(b, lr.to(b.dtype), value=-1)

    def average(self, gradients: Tensor) -> None:
        """v with one gradient more."""
        self.average_square("square_avg", gradients, "alpha")

    def variance(self) -> Tensor:
        """What a gradient is divided by the root of, [M, P]."""
        return self.state["square_avg"]


OPTIMIZER = RMSprop
