"""Adam, AdamW and RMSprop for a stack of models, each model with its own hyperparameters.

Parameters and gradients are flat tensors [M, P]; every hyperparameter is [M, 1]. The updates are those
of torch.optim (eps outside the root; RMSprop without bias correction and its momentum without a factor
1 - mu), and the tests hold them to torch.optim step by step.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..rules import TrainingConfig


class StackedOptimizer:
    """One optimizer for M models. ``state`` maps names to tensors [M, P]; ``steps`` is [M, 1]."""

    state_names: tuple[str, ...] = ()
    second_moment: str
    second_decay: str  # of the second moment

    def __init__(self, configs: Sequence[TrainingConfig], parameters: Tensor):
        self.hyper = {
            name: torch.tensor([[config[name]] for config in configs], dtype=torch.float64)
            .to(parameters.dtype).to(parameters.device)
            for name in configs[0].hyperparameters
        }
        # 1 - beta is taken in double precision, as torch.optim does: in float32 0.999 loses four digits of it.
        self.complement = {
            name: torch.tensor([[1 - config[name]] for config in configs], dtype=torch.float64)
            .to(parameters.dtype).to(parameters.device)
            for name in ("beta1", "beta2", "alpha") if name in configs[0].hyperparameters
        }
        # Bias corrections and warm-up are computed in double precision, a handful of numbers a step.
        self.exact = {name: torch.tensor([[config[name]] for config in configs], dtype=torch.float64,
                                         device=parameters.device) for name in self.hyper}
        self.steps = torch.zeros(len(configs), 1, dtype=torch.float64, device=parameters.device)
        self.state = {name: torch.zeros_like(parameters) for name in self.state_names}

    def step(self, parameters: Tensor, gradients: Tensor, lr_factor: Tensor | float = 1.0) -> None:
        """Update ``parameters`` [M, P] in place; lr_factor [M, 1] multiplies the learning rate."""
        raise NotImplementedError

    def second_moment_hat(self) -> Tensor | None:
        """The second moment [M, P] as the update uses it, bias corrected where it is; None before the first step."""
        return self.state[self.second_moment] if bool((self.steps > 0).all()) else None

    def denominator(self) -> Tensor | None:
        """sqrt(v_hat) + eps [M, P], what a gradient is divided by; None before the first step."""
        second = self.second_moment_hat()
        return None if second is None else second.sqrt() + self.hyper["eps"]

    def move_to_batch(self, kappa: Tensor) -> None:
        """Carry the state to a kappa [M, 1] times larger batch [derived from the SDE, u = v / sigma^2].

        v estimates the gradient's second moment, which noise dominates, so v' = v / kappa; first moments stay.
        """
        self.state[self.second_moment] /= kappa.to(self.state[self.second_moment].dtype)

    def take(self, source: StackedOptimizer, rows: Tensor) -> None:
        """Copy the state of ``source``'s models ``rows`` [M], from whatever device.

        k steps become k ln(beta2) / ln(beta2'), the number after which the new decay has forgotten as much as the old one:
        beta2'^k' = beta2^k, so v keeps its bias correction, whatever an arm does to beta2 (k / kappa for the half-life form).
        """
        here = self.steps.device
        old, new = (one.exact[self.second_decay].clamp(min=1e-30).log() for one in (source, self))  # a decay may be 0
        self.steps = source.steps.to(here)[rows] * (old.to(here)[rows] / new)
        self.state = {name: value.to(here)[rows] for name, value in source.state.items()}

    def keep(self, rows: Tensor) -> None:
        """Drop all models but ``rows``."""
        for table in (self.hyper, self.complement, self.exact, self.state):
            for name in table:
                table[name] = table[name][rows]
        self.steps = self.steps[rows]


class Adam(StackedOptimizer):
    """m = beta1 m + (1 - beta1) g; v = beta2 v + (1 - beta2) g^2; theta -= lr m_hat / (sqrt(v_hat) + eps)

    [Kingma & Ba 2015, Algorithm 1], with weight decay as L2 in the gradient.
    """

    state_names = ("exp_avg", "exp_avg_sq")
    second_moment = "exp_avg_sq"
    second_decay = "beta2"

    def second_moment_hat(self):
        second = super().second_moment_hat()
        return None if second is None else second / (1 - self.exact["beta2"] ** self.steps).to(second.dtype)

    def decay(self, parameters: Tensor, gradients: Tensor, lr: Tensor) -> Tensor:
        """The gradients after weight decay."""
        return gradients + self.hyper["weight_decay"] * parameters

    def step(self, parameters, gradients, lr_factor=1.0):
        self.steps += 1
        lr = self.exact["lr"] * lr_factor
        gradients = self.decay(parameters, gradients, lr)
        m, v = self.state["exp_avg"], self.state["exp_avg_sq"]
        m.lerp_(gradients, self.complement["beta1"])
        v.mul_(self.hyper["beta2"]).add_(gradients * gradients * self.complement["beta2"])
        size = lr / (1 - self.exact["beta1"] ** self.steps)
        root = (1 - self.exact["beta2"] ** self.steps).sqrt()
        denominator = (v.sqrt() / root.to(v.dtype)).add_(self.hyper["eps"])
        parameters.sub_(m.div(denominator).mul_(size.to(m.dtype)))


class AdamW(Adam):
    """Adam with decoupled decay, theta *= 1 - lr weight_decay [Loshchilov & Hutter 2019, Algorithm 2]."""

    def decay(self, parameters, gradients, lr):
        parameters.mul_((1 - lr * self.exact["weight_decay"]).to(parameters.dtype))
        return gradients


class RMSprop(StackedOptimizer):
    """v = alpha v + (1 - alpha) g^2; b = momentum b + g / (sqrt(v) + eps); theta -= lr b.

    [Tieleman & Hinton 2012, in torch.optim.RMSprop's convention.]
    """

    state_names = ("square_avg", "momentum_buffer")
    second_moment = "square_avg"
    second_decay = "alpha"

    def move_to_batch(self, kappa):
        """Also b' = sqrt(kappa) b: the average gradient in it stays, and is divided by sqrt(v') = sqrt(v / kappa) from now on."""
        super().move_to_batch(kappa)
        self.state["momentum_buffer"] *= kappa.sqrt().to(self.state["momentum_buffer"].dtype)

    def take(self, source, rows):
        """Also b' = b (1 - mu) / (1 - mu'), where the momentum is another one: b sums 1 / (1 - mu) gradients."""
        super().take(source, rows)
        old, new = source.hyper["momentum"].to(self.steps.device)[rows], self.hyper["momentum"]
        self.state["momentum_buffer"] *= (1 - old) / (1 - new)

    def step(self, parameters, gradients, lr_factor=1.0):
        self.steps += 1
        gradients = gradients + self.hyper["weight_decay"] * parameters
        v, b = self.state["square_avg"], self.state["momentum_buffer"]
        v.mul_(self.hyper["alpha"]).add_(gradients * gradients * self.complement["alpha"])
        b.mul_(self.hyper["momentum"]).add_(gradients / v.sqrt().add_(self.hyper["eps"]))
        parameters.sub_(b * (self.exact["lr"] * lr_factor).to(b.dtype))


OPTIMIZERS: dict[str, type[StackedOptimizer]] = {"adam": Adam, "adamw": AdamW, "rmsprop": RMSprop}


def make_optimizer(configs: Sequence[TrainingConfig], parameters: Tensor) -> StackedOptimizer:
    """The optimizer for M configurations of one family over parameters [M, P]."""
    return OPTIMIZERS[configs[0].optimizer](configs, parameters)
