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
        m, (first, second) = self.state["exp_avg"], self.corrections()
        size, length = lr / first, self._length(second)
        divides = length > SHORTEST
        size = torch.where(divides, size * second.sqrt() * self._rectified(length), size)
        parameters.addcdiv_(m * size.to(m.dtype), torch.where(divides, self._root(), 1.0), value=-1)

    def _longest(self) -> Tensor:
        """rho, [M, 1]."""
        return 2 / (1 - self.exact["beta2"]) - 1

    def _length(self, rest: Tensor) -> Tensor:
        """rho_k, [M, 1]; rest: 1 - beta2^k."""
        return self._longest() - 2 * self.steps * (1 - rest) / rest

    def _rectified(self, length: Tensor) -> Tensor:
        """r_k, [M, 1]; no number where the step is not divided."""
        longest = self._longest()
        return ((length - 4) * (length - 2) * longest / ((longest - 4) * (longest - 2) * length)).sqrt()

    def _root(self) -> Tensor:
        """sqrt(v) + eps, [M, P]: eps is added before the bias is corrected, by sqrt(1 - beta2^k) of the whole."""
        return self.state["exp_avg_sq"].sqrt().add_(self.hyper["eps"])

    def denominator(self) -> Tensor | None:
        """1 where the step is not divided yet. r_k, one factor of the whole step, belongs to the learning rate."""
        if self.second_moment_hat() is None:
            return None
        rest = self.corrections()[1]
        root = self._root()
        return torch.where(self._length(rest) > SHORTEST, root / rest.sqrt().to(root.dtype), 1.0)

    def eps_share(self) -> Tensor | None:
        """Of sqrt(v) + eps, which is corrected as a whole; 0 where the step is not divided yet."""
        if self.second_moment_hat() is None:
            return None
        return torch.where(self._length(self.corrections()[1]) > SHORTEST, self.hyper["eps"] / self._root(), 0.0)


OPTIMIZER = RAdam
