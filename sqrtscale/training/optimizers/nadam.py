"""NAdam as in torch.optim.NAdam."""

from __future__ import annotations

import torch
from torch import Tensor

from ._moments import Moments
from ._optimizer import TINY, StackedOptimizer
from ._piece import of_a_model

WARMUP = "mu_warmup"  # t momentum_decay, which torch.optim computes from its step count


class NAdam(Moments):
    """Adam that looks ahead along the next step's momentum, which warms up [Dozat 2016; mu_t as in torch.optim.NAdam].

    mu_t = beta1 (1 - 0.96^(t momentum_decay) / 2);
    theta -= lr (mu_{t+1} m / (1 - prod mu_{i<=t+1}) + (1 - mu_t) g / (1 - prod mu_{i<=t})) / (sqrt(v_hat) + eps).
    """

    pieces = (*Moments.pieces, of_a_model("mu_product", 1.0), of_a_model(WARMUP, 0.0))

    def step(self, parameters: Tensor, gradients: Tensor, lr_factor: Tensor | float = 1.0) -> None:
        lr = self.counted(lr_factor)
        gradients = self.with_l2(parameters, gradients)
        self.average(gradients)
        m, product, warmup = self.state["exp_avg"], self.state["mu_product"], self.state[WARMUP]
        warmup += self.exact["momentum_decay"]
        now, ahead = self._momentum(warmup), self._momentum(warmup + self.exact["momentum_decay"])
        product *= now
        root = self.corrections()[1].sqrt()
        size = lr * root
        of_gradient, of_average = size * (1 - now) / (1 - product), size * ahead / (1 - product * ahead)
        both = torch.addcmul(gradients * of_gradient.to(m.dtype), m, of_average.to(m.dtype))
        parameters.addcdiv_(both, self.divisor(root), value=-1)

    def _momentum(self, warmup: Tensor) -> Tensor:
        """mu_t, [M, 1]."""
        return self.exact["beta1"] * (1 - 0.5 * 0.96**warmup)

    def take(self, source: StackedOptimizer, rows: Tensor) -> None:
        """Also prod mu_i = beta1^k w, where w is the warm-up's: over k' steps it is beta1'^k' w^(k' / k), to first order."""
        super().take(source, rows)
        steps = source.steps.to(self.steps.device)[rows]
        old, new = (side.exact["beta1"].clamp(min=TINY).log() for side in (source, self))
        of_warmup = (self.state["mu_product"].log() - steps * old.to(self.steps.device)[rows]).clamp(max=0)
        share = torch.where(steps > 0, self.steps / steps, 0.0)
        self.state["mu_product"] = (self.steps * new + share * of_warmup).exp()


OPTIMIZER = NAdam
