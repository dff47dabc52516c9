"""How each piece of an optimizer's state moves to another batch, as data. A piece with another rule gets a function here.

With kappa = B'/B and noise that dominates the gradient, the SDE keeps u = v / sigma^2, where sigma^2 is proportional to 1 / B
[Malladi et al. 2022, arXiv 2205.10287]. What each piece does follows from that [derived by us; docs/experiments.md, "Changing
the batch in the middle", has what every other way of handing the state over does to a run].
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Piece:
    """One tensor of the state, by torch.optim's name: kappa^exponent times what it was, at a batch kappa times larger.

    start: its value before the first step; per_model: one number a model, [M, 1] in double precision, else [M, P];
    signal: name of an average gradient a in the same state, whose square is no noise: a^2 + kappa^exponent (v - a^2);
    momentum: name of the hyperparameter mu of a buffer that sums 1 / (1 - mu) gradients: where mu changes, the average gradient
    in it stays, b' = b (1 - mu) / (1 - mu'); noise_alone: that kappa moves it whatever share of a gradient is signal.
    """

    name: str
    exponent: float = 0
    start: float = 0.0
    per_model: bool = False
    signal: str = ""
    momentum: str = ""
    noise_alone: bool = False


def average_gradient(name: str) -> Piece:
    """Its mean is the loss's gradient, which no batch size changes."""
    return Piece(name)


def noise_variance(name: str, signal: str = "") -> Piece:
    """It estimates sigma^2 diag Sigma, the variance of the noise, and the square of the signal, if that is known."""
    return Piece(name, exponent=-1, signal=signal, noise_alone=bool(signal))


def sum_of_gradients(name: str, momentum: str = "momentum") -> Piece:
    """As an average gradient, but with no factor 1 - mu."""
    return Piece(name, momentum=momentum)


def sum_of_divided_gradients(name: str, momentum: str = "momentum", noise_alone: bool = False) -> Piece:
    """The gradients in it are divided by sqrt(v), and from now on by sqrt(v') = sqrt(v / kappa)."""
    return Piece(name, exponent=1 / 2, momentum=momentum, noise_alone=noise_alone)


def of_a_model(name: str, start: float) -> Piece:
    """A number that follows the count of steps: the optimizer's own ``take`` moves it with that, not the batch."""
    return Piece(name, start=start, per_model=True)
