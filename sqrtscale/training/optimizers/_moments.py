"""What Adam and its relatives share: two averages, of the gradient and of its square, corrected for their start at 0."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from ._optimizer import StackedOptimizer
from ._piece import Piece, average_gradient, noise_variance


class Moments(StackedOptimizer):
    """m = beta1 m + (1 - beta1) g; v = beta2 v + (1 - beta2) g^2 [Kingma & Ba 2015, Algorithm 1]."""

    pieces: ClassVar[tuple[Piece, ...]] = (average_gradient("exp_avg"), noise_variance("exp_avg_sq"))
    second_moment: ClassVar[str] = "exp_avg_sq"
    second_decay = "beta2"

    def average(self, gradients: Tensor) -> None:
        """m and v with one gradient more."""
        m, v = self.state["exp_avg"], self.state["exp_avg_sq"]
        m.lerp_(gradients, self.complement["beta1"])
        v.mul_(self.hyper["beta2"]).add_(gradients * gradients * self.complement["beta2"])

    def corrections(self) -> tuple[Tensor, Tensor]:
        """1 - beta1^k and 1 - beta2^k, [M, 1] in double precision."""
        return 1 - self.exact["beta1"] ** self.steps, 1 - self.exact["beta2"] ** self.steps

    def divisor(self) -> Tensor:
        """sqrt(v_hat) + eps [M, P], as torch.optim rounds it."""
        v = self.state[self.second_moment]
        root = self.corrections()[1].sqrt()
        return (v.sqrt() / root.to(v.dtype)).add_(self.hyper["eps"])

    def move(self, parameters: Tensor, lr: Tensor) -> None:
        """theta -= lr m_hat / (sqrt(v_hat) + eps)"""
        m, size = self.state["exp_avg"], lr / self.corrections()[0]
        parameters.sub_(m.div(self.divisor()).mul_(size.to(m.dtype)))

    def second_moment_hat(self) -> Tensor | None:
        second = super().second_moment_hat()
        return None if second is None else second / self.corrections()[1].to(second.dtype)
