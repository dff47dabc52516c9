"""Centered RMSprop as in torch.optim.RMSprop(centered=True)."""

from __future__ import annotations

from torch import Tensor

from ._piece import average_gradient, noise_variance, sum_of_divided_gradients
from .rmsprop import RMSprop


class CenteredRMSprop(RMSprop):
    """RMSprop that divides by the standard deviation: a = alpha a + (1 - alpha) g, sqrt(v - a^2) + eps [Graves 2013]."""

    pieces = (noise_variance("square_avg", signal="grad_avg"), average_gradient("grad_avg"),
              sum_of_divided_gradients("momentum_buffer", noise_alone=True))

    def average(self, gradients: Tensor) -> None:
        super().average(gradients)
        self.state["grad_avg"].lerp_(gradients, self.complement["alpha"])

    def variance(self) -> Tensor:
        a = self.state["grad_avg"]
        return self.state["square_avg"].addcmul(a, a, value=-1)

    def second_moment_hat(self) -> Tensor | None:
        return None if super().second_moment_hat() is None else self.variance()


OPTIMIZER = CenteredRMSprop
