"""RAdam as in torch.optim.RAdam."""

from __future__ import annotations

import torch
from torch import Tensor

from ._moments import Moments

SHORTEST = 5  # length of v's average, in steps, beyond which it divides the step


class RAdam(Moments):
    """Adam whose step is rectified while v knows few gradients, and divided by nothing before that [Liu et al. 2020].

    rho_k = rho - 2 k beta2^k / (1 - beta2^k), rho = 2 / (1 - beta2) - 1;
    rho_k > 5: theta -= lr m_hat r_k sqrt(1 - beta2^k) / (sqrt(v) + eps); else theta -= lr m_hat.
    """

    def step(self, parameters: Tensor, gradients: Tensor, lr_factor: Tensor | float = 1.0) -> None:
        lr = self.counted(lr_factor)
        self.average(self.with_l2(parameters, gradients))
        m, size = self.state["exp_avg"], lr / self.corrections()[0]
        length = self._length()
        divided = m / self._divisor() * (size * self._rectified(length)).to(m.dtype)
        parameters.sub_(torch.where(length > SHORTEST, divided, m * size.to(m.dtype)))

    def _longest(self) -> Tensor:
        """rho, [M, 1]."""
        return 2 / (1 - self.exact["beta2"]) - 1

    def _length(self) -> Tensor:
        """rho_k, [M, 1]."""
        rest = self.corrections()[1]
        return self._longest() - 2 * self.steps * (1 - rest) / rest

    def _rectified(self, length: Tensor) -> Tensor:
        """r_k, [M, 1]; no number where the step is not divided."""
        longest = self._longest()
        return ((length - 4) * (length - 2) * longest / ((longest - 4) * (longest - 2) * length)).sqrt()

    def _divisor(self) -> Tensor:
        """(sqrt(v) + eps) / sqrt(1 - beta2^k), [M, P]: eps is added before the bias is corrected."""
        v = self.state["exp_avg_sq"]
        return v.sqrt().add_(self.hyper["eps"]).div_(self.corrections()[1].sqrt().to(v.dtype))

    def denominator(self) -> Tensor | None:
        """1 where the step is not divided yet. r_k, one factor of the whole step, belongs to the learning rate."""
        if self.second_moment_hat() is None:
            return None
        divisor = self._divisor()
        return torch.where(self._length() > SHORTEST, divisor, torch.ones_like(divisor))

    def eps_share(self) -> Tensor | None:
        """Of sqrt(v) + eps, which is corrected as a whole; 0 where the step is not divided yet."""
        if self.second_moment_hat() is None:
            return None
        share = self.hyper["eps"] / (self.state["exp_avg_sq"].sqrt() + self.hyper["eps"])
        return torch.where(self._length() > SHORTEST, share, torch.zeros_like(share))


OPTIMIZER = RAdam
