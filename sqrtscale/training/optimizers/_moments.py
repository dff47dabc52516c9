"""What Adam and its relatives share: two averages, of the gradient and of its square, corrected for their start at 0."""

from __future__ import annotations

from typing import ClassVar

import torch
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
        self.state["exp_avg"].lerp_(gradients, self.complement["beta1"])
        self.average_square("exp_avg_sq", gradients, "beta2")

    def corrections(self) -> tuple[Tensor, Tensor]:
        """1 - beta1^k and 1 - beta2^k, [M, 1] in double precision."""
        return 1 - self.exact["beta1"] ** self.steps, 1 - self.exact["beta2"] ** self.steps

    def divisor(self, root: Tensor) -> Tensor:
        """root (sqrt(v_hat) + eps) [M, P]; root: of v's correction, [M, 1]. It belongs to the step's size, one number a model."""
        v = self.state[self.second_moment]
        # Denormal numbers count as 0, and 0 / 0 would be no number.
        return v.sqrt().add_((self.exact["eps"] * root).clamp(min=torch.finfo(v.dtype).tiny).to(v.dtype))

    def move(self, parameters: Tensor, lr: Tensor) -> None:
        """theta -= lr m_hat / (sqrt(v_hat) + eps)"""
        m, (first, second) = self.state["exp_avg"], self.corrections()
        root = second.sqrt()
        parameters.addcdiv_(m * (lr / first * root).to(m.dtype), self.divisor(root), value=-1)

    def second_moment_hat(self) -> Tensor | None:
        second = super().second_moment_hat()
        return None if second is None else second / self.corrections()[1].to(second.dtype)
