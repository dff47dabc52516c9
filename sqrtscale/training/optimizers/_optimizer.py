"""What a trained optimizer is: one family's step for a stack of models, each model with its own hyperparameters.

Parameters and gradients are flat tensors [M, P]; every hyperparameter is [M, 1]. The updates are those of torch.optim in the
conventions of ``sqrtscale.rules.families``, and the tests hold every file of this folder to torch.optim step by step.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ...rules import TrainingConfig, family
from ._piece import Piece

TINY = 1e-30  # stands for a decay of 0 where its logarithm is taken


@dataclass(frozen=True)
class Kernel:
    """A compiled step. family: its constant in ``executors/kernels/steps.py``; the rest names what that step reads, in its order:

    two pieces of the state, and lr, two decays, epsilon and weight decay.
    """

    family: str
    state: tuple[str, str]
    hyperparameters: tuple[str, str, str, str, str]


class StackedOptimizer(ABC):
    """One optimizer for M models.

    pieces: what the state is called, in torch.optim's words, and how each piece moves to another batch; second_moment: the
    piece that a gradient is divided by the root of, if any; second_decay: the hyperparameter that forgets it, by which steps
    are counted over another decay; kernel: the compiled form of this step, if any. It is not inherited: another step needs
    another kernel.

    group_of: of each parameter [P] its parameter group, 0 for none, i for the i-th; what groups set themselves is then [M, P].
    state: name -> tensor; steps [M, 1] in double precision; hyper: name -> [M, 1] as the parameters are kept; exact: the same
    in double precision, for the handful of numbers a step (learning rates, bias corrections, warm-up); complement: 1 - beta of
    every decay, taken in double precision as torch.optim does, because in float32 0.999 loses four digits of it.
    """

    pieces: ClassVar[tuple[Piece, ...]]
    second_moment: ClassVar[str | None] = None
    second_decay: ClassVar[str | None] = None
    kernel: ClassVar[Kernel | None] = None

    def __init_subclass__(cls) -> None:
        cls.kernel = cls.__dict__.get("kernel")

    def __init__(self, configs: Sequence[TrainingConfig], parameters: Tensor, group_of: Tensor | None = None):
        device, dtype = parameters.device, parameters.dtype
        self.group_of = group_of
        self.hyper, self.exact, self.complement = _tables(configs, dtype, device, group_of)
        self.steps = torch.zeros(len(configs), 1, dtype=torch.float64, device=device)
        self.state = {piece.name: torch.full_like(self.steps if piece.per_model else parameters, piece.start)
                      for piece in self.pieces}

    def adopt(self, configs: Sequence[TrainingConfig]) -> None:
        """Take other hyperparameters, one configuration for each model, where the old ones lie."""
        for mine, other in zip((self.hyper, self.exact, self.complement),
                               _tables(configs, self.hyper["lr"].dtype, self.steps.device, self.group_of), strict=True):
            for name, value in other.items():
                mine[name].copy_(value)

    @abstractmethod
    def step(self, parameters: Tensor, gradients: Tensor, lr_factor: Tensor | float = 1.0) -> None:
        """Update ``parameters`` [M, P], the state and ``steps`` in place; lr_factor [M, 1] multiplies the learning rate.

        A GPU replays it without Python: every tensor stays where it is, and nothing waits for a number on the host (no
        ``item``, no branch on a tensor's values).
        """

    def counted(self, lr_factor: Tensor | float) -> Tensor:
        """Count a step; its learning rate [M, 1], in double precision."""
        self.steps += 1
        return self.exact["lr"] * lr_factor

    def with_l2(self, parameters: Tensor, gradients: Tensor) -> Tensor:
        """The gradients of the loss with weight decay in it, g + weight_decay theta."""
        return torch.addcmul(gradients, self.hyper["weight_decay"], parameters)

    def average_square(self, name: str, gradients: Tensor, decay: str) -> None:
        """v = beta v + (1 - beta) g^2 of that piece of the state. No ``lerp``: where g^2 alone is too large a number, v becomes
        infinite, and v + (1 - beta) (g^2 - v) of an infinite v is NaN for good."""
        self.state[name].mul_(self.hyper[decay]).addcmul_(gradients * self.complement[decay], gradients)

    def second_moment_hat(self) -> Tensor | None:
        """The second moment [M, P] as the update uses it, bias corrected where it is.

        None before the first step, and where the optimizer has none.
        """
        if self.second_moment is None or not bool((self.steps > 0).all()):
            return None
        return self.state[self.second_moment]

    def denominator(self) -> Tensor | None:
        """sqrt(v_hat) + eps [M, P], what a gradient is divided by; None before the first step, and where nothing divides it."""
        second = self.second_moment_hat()
        return None if second is None else second.sqrt() + self.hyper["eps"]

    def eps_share(self) -> Tensor | None:
        """Share of epsilon in what divides a gradient, [M, P]; None where nothing does."""
        denominator = self.denominator()
        return None if denominator is None else self.hyper["eps"] / denominator

    def move_to_batch(self, kappa: Tensor, excess: Tensor | float = 1.0) -> None:
        """Carry the state to a kappa [M, 1] times larger batch, each piece by its exponent. ``take`` sees to the steps.

        excess: q of ``sqrtscale.rules.signal``, [M, 1]: by how much more the second moment of a larger batch is than 1 / kappa of
        the base's. A piece that the noise alone moves needs none.
        """
        for piece in self.pieces:
            if piece.exponent:
                value = self.state[piece.name]
                ratio = kappa if piece.noise_alone else kappa / excess
                size = (ratio ** abs(piece.exponent)).to(value.dtype)
                signal = torch.minimum(self.state[piece.signal].square(), value) if piece.signal else torch.zeros_like(value)
                noise = value - signal
                self.state[piece.name] = signal + (noise * size if piece.exponent > 0 else noise / size)

    def take(self, source: StackedOptimizer, rows: Tensor) -> None:
        """Copy the state of ``source``'s models ``rows`` [M], of the same family, from whatever device.

        k steps become k ln(beta2) / ln(beta2'), the number after which the new decay has forgotten as much as the old one:
        beta2'^k' = beta2^k, so v keeps its bias correction, whatever an arm does to beta2 (k / kappa for the half-life form).
        """
        here = self.steps.device
        self.state = {name: value.to(here)[rows] for name, value in source.state.items()}
        self.steps = source.steps.to(here)[rows]
        if self.second_decay is not None:
            old, new = (side.exact[self.second_decay].clamp(min=TINY).log() for side in (source, self))
            self.steps = self.steps * (old.to(here)[rows] / new)
        for piece in self.pieces:
            if piece.momentum:
                before, after = source.hyper[piece.momentum].to(here)[rows], self.hyper[piece.momentum]
                self.state[piece.name] *= (1 - before) / (1 - after)

    def keep(self, rows: Tensor) -> None:
        """Drop all models but ``rows``."""
        for table in (self.hyper, self.complement, self.exact, self.state):
            for name in table:
                table[name] = table[name][rows]
        self.steps = self.steps[rows]


def _tables(configs: Sequence[TrainingConfig], dtype: torch.dtype, device: torch.device, group_of: Tensor | None
            ) -> tuple[dict[str, Tensor], dict[str, Tensor], dict[str, Tensor]]:
    """``hyper``, ``exact`` and ``complement`` of a stack of models."""
    fields = family(configs[0].optimizer).fields
    values = {name: torch.tensor([[config[name]] for config in configs], dtype=torch.float64) for name in fields}
    for name in {name for group in configs[0].groups for name in group.values} if group_of is not None else ():
        own = [[config[name], *(group.values.get(name, config[name]) for group in config.groups)] for config in configs]
        values[name] = torch.tensor(own, dtype=torch.float64, device=device)[:, group_of]
    return ({name: value.to(dtype).to(device) for name, value in values.items()},
            {name: value.to(device) for name, value in values.items()},
            {name: (1 - value).to(dtype).to(device) for name, value in values.items() if fields[name].is_decay})
