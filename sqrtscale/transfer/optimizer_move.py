"""How the hyperparameters and the state of a torch.optim optimizer move to another batch size.

Hyperparameters move by the rule, through the table of families. The state is moved as the SDE has it (u = v / sigma^2):
with kappa = B'/B, g the gradient and s its squared mean (the signal), a prime for the target,

    v' = s + (v - s) / kappa     exp_avg_sq, max_exp_avg_sq, square_avg: noise variance falls by kappa; s = 0 unless known
    v' = q v / kappa             where the noise scale b is known, s = v / (1 + b / B), and q = (kappa B + b) / (B + b)
    m' = m                       exp_avg, grad_avg: an average gradient
    k' = k / kappa               step: bias corrections 1 - beta^k agree; it need not be whole
    b' = b (1 - mu) / (1 - mu') * sqrt(v / v')    momentum_buffer: 1 / (1 - mu) times an average g (over sqrt(v) in RMSprop)

A centered RMSprop divides by its noise alone, which no noise scale changes: its s is grad_avg^2, and its root that of v - s.

[derived by us; what each way of handing the state over does to a run: docs/experiments.md, benchmarks/state_transfer.py].
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import torch
from torch import Tensor

from ..rules import DecayForm, FieldError, MomentumForm, ParameterGroup, TrainingConfig, family, scale
from ..rules.config import LARGEST_BATCH
from ..rules.errors import real, whole
from ..rules.signal import excess
from ..rules.signal import noise_scale as checked_noise_scale
from .optimizer_state import FOLLOWERS, as_betas, as_number, state_fault

LARGEST_KAPPA = 10**6
SECOND_MOMENTS = ("exp_avg_sq", "max_exp_avg_sq", "square_avg")

# parameter, or its key in a state dict -> squared mean gradient; a Mapping is invariant in its key, so no type fits both
Signal = Mapping[Any, Tensor | float]
BatchChange = float | Fraction | tuple[int, int]  # kappa, or the old and the new global batch
NoiseScale = float | Mapping[int | str, float]  # in samples, of the whole gradient, or by the number of a parameter group


def batch_ratio(kappa: object) -> Fraction:
    """kappa as a ratio of two batch sizes of at most 10^12, so 1/3 is a third; raises FieldError."""
    allowed = "is not allowed: give new batch / old batch, a number from 1e-06 to 1e+06, for example 4"
    value = real("kappa", kappa, allowed)
    if not 1 / LARGEST_KAPPA <= value <= LARGEST_KAPPA:
        raise FieldError("kappa", kappa, allowed)
    exact = kappa if isinstance(kappa, (int, Fraction)) else value
    if value >= 1:
        return Fraction(exact).limit_denominator(LARGEST_KAPPA)
    return 1 / Fraction(1 / exact).limit_denominator(LARGEST_KAPPA)


def batch_pair(change: object) -> tuple[int, int]:
    """The old and the new global batch as they were given, or the smallest that have this kappa; raises FieldError."""
    if not isinstance(change, (tuple, list)):
        ratio = batch_ratio(change)
        return ratio.denominator, ratio.numerator
    if len(change) != 2:
        raise FieldError("kappa", change, "is no pair of batches: give the old and the new global batch, for example (256, 1024)")
    old, new = whole("base_batch", change[0], 1, 256, LARGEST_BATCH), whole("target_batch", change[1], 1, 1024, LARGEST_BATCH)
    batch_ratio(Fraction(new, old))
    return old, new


def check_noise_scale(change: object, noise_scale: object) -> None:
    """Raises FieldError for a noise scale that is none, or that no batch stands beside: its unit is the samples of a batch."""
    if noise_scale is None:
        return
    for value in noise_scale.values() if isinstance(noise_scale, Mapping) else (noise_scale,):
        checked_noise_scale(value)
    if not isinstance(change, (tuple, list)):
        raise FieldError("kappa", change, "does not say which batches a noise scale is compared with: give both, (256, 1024)")


@dataclass(frozen=True)
class ParameterMove:
    """What moves the state of one parameter: its first decay (beta1 or momentum) before and after, and q of its noise scale."""

    decay: float
    new_decay: float
    excess: float


@dataclass(frozen=True)
class OptimizerMove:
    """One transfer: the optimizer's family, old and new batch, the forms of decays and momenta, what is known of the signal.

    signal: of parameters, each coordinate by itself; noise_scale: of the whole gradient or of parameter groups, or None.
    """

    family: str
    batches: tuple[int, int]
    decay_form: DecayForm
    momentum_form: MomentumForm
    signal: Signal
    noise_scale: NoiseScale | None = None

    @property
    def kappa(self) -> Fraction:
        """The new batch over the old one."""
        return Fraction(self.batches[1], self.batches[0])

    def checked(
        self, groups: Sequence[Mapping[str, Any]], state: Mapping[Any, Mapping[str, Any]]
    ) -> tuple[list[dict[str, Any]], dict[Any, ParameterMove]]:
        """The new values of every group under torch's names; for every parameter with a state, what moves it.

        Everything that can be refused is refused here, by FieldError, before anything is changed.
        """
        parameters = {key for group in groups for key in group["params"]}
        if any(key not in parameters for key in self.signal):
            raise FieldError(
                "signal",
                f"{len(self.signal)} keys",
                "does not fit: give parameters of this optimizer, or for a saved state the keys of its state",
            )
        noise = self.noise_of_groups(len(groups))
        moved = [self.group(*pair) for pair in zip(groups, noise, strict=True)]
        moves = {}
        for group, values, noise_scale in zip(groups, moved, noise, strict=True):
            q = 1.0 if noise_scale is None else excess(*self.batches, noise_scale)
            for key in group["params"]:
                if state.get(key):  # a parameter that never had a gradient has none
                    self.check_state(key, state[key])
                    moves[key] = ParameterMove(_first_decay(group), _first_decay({**group, **values}), q)
        return moved, moves

    def noise_of_groups(self, count: int) -> list[float | None]:
        """The noise scale of each of so many groups, None where none is given; raises FieldError."""
        if not isinstance(self.noise_scale, Mapping):
            return [self.noise_scale] * count
        for key in self.noise_scale:
            if key != "" and (type(key) is not int or not 0 <= key < count):
                raise FieldError(
                    "noise_scale", key, f'is no parameter group: give numbers from 0 to {count - 1}, "" for the rest'
                )
        others = self.noise_scale.get("")
        noise = [self.noise_scale.get(i, others) for i in range(count)]
        if None in noise:
            raise FieldError(
                "noise_scale",
                list(self.noise_scale),
                f'says nothing of parameter group {noise.index(None)}: give its number, or the others\' by the name ""',
            )
        return noise

    def group(self, group: Mapping[str, Any], noise_scale: float | None = None) -> dict[str, Any]:
        """The new values of a group under torch's names: those of ``sqrtscale.scale``. Raises FieldError."""
        options = dict(group)
        if "betas" in group:
            options["beta1"], options["beta2"] = as_betas(group)
        fields = family(self.family).fields
        missing = [name for name in fields if name not in options]
        if missing:
            raise FieldError(
                "optimizer", self.family, f"does not fit: a parameter group has no {missing[0]}; give the class that made it"
            )
        values = {name: as_number(name, options[name]) for name in fields}
        lr_is_zero = values["lr"] == 0  # as at the start of a warm-up: it stays 0, which is no lr for the rule
        if lr_is_zero:
            del values["lr"]
        followers = [
            ParameterGroup(key, {name: as_number(key, options[key])})
            for name, keys in FOLLOWERS.items()
            if name in fields
            for key in keys
            if key in options and as_number(key, options[key])
        ]
        scaled = self.scaled("rmsprop_centered" if group.get("centered") else self.family, values, noise_scale, followers)
        moved: dict[str, Any] = dict(scaled.hyperparameters)
        moved |= {follower.name: value for follower in scaled.groups for value in follower.values.values()}
        if lr_is_zero:
            del moved["lr"]
        decoupled = group.get("decoupled_weight_decay", self.family == "adamw")
        if decoupled != (self.family == "adamw"):  # Adam, NAdam and RAdam have a decoupled form, whose rule is AdamW's
            weight_decay = {"weight_decay": values["weight_decay"]}
            own = self.scaled("adamw" if decoupled else "adam", weight_decay, noise_scale)
            moved["weight_decay"] = own["weight_decay"]
        if "beta1" in moved:
            moved["betas"] = (moved.pop("beta1"), moved.pop("beta2"))
        return moved

    def scaled(
        self, name: str, values: Mapping[str, float], noise_scale: float | None, groups: Sequence[ParameterGroup] = ()
    ) -> TrainingConfig:
        """These values of a family, scaled; raises FieldError where one has no number."""
        config = TrainingConfig(name, self.batches[0], values, groups=tuple(groups))
        return scale(config, self.batches[1], self.decay_form, self.momentum_form, noise_scale=noise_scale).config

    def check_state(self, key: Any, entry: Mapping[str, Any]) -> None:
        """Raises FieldError for a state that torch.optim does not make, and for a signal that does not fit it."""
        fault = state_fault(self.family, entry)
        if fault:
            raise FieldError("state", ", ".join(map(str, entry)), f"is not {family(self.family).call}'s: {fault}")
        if key not in self.signal:
            return
        signal = torch.as_tensor(self.signal[key])
        moments = [entry[name] for name in SECOND_MOMENTS if name in entry]
        if "grad_avg" in entry or not moments:
            raise FieldError(
                "signal",
                tuple(signal.shape),
                "is not used here: SGD has no second moment, and a centered RMSprop knows its own signal; leave it out",
            )
        if signal.shape not in ((), moments[0].shape) or not (signal.isfinite() & (signal >= 0)).all():
            raise FieldError(
                "signal",
                tuple(signal.shape),
                "does not fit: give squared mean gradients, finite and 0 or more, in "
                f"the shape {tuple(moments[0].shape)} of the parameter",
            )

    def state(self, key: Any, entry: Mapping[str, Any], move: ParameterMove) -> dict[str, Any]:
        """What changes in the state of one parameter.

        Tensors have the shape of the parameter, step and mu_product are numbers.
        """
        kappa, decay, new_decay = float(self.kappa), move.decay, move.new_decay
        centre = entry.get("grad_avg")  # its square must stay below the second moment, whose root is taken of the difference
        signal = self.signal.get(key) if centre is None else centre.square()
        ratio = kappa if signal is not None else kappa / move.excess  # a known signal is taken out of v, and the rest is noise
        moved: dict[str, Any] = {name: _second_moment(entry[name], signal, ratio) for name in SECOND_MOMENTS if name in entry}
        if "step" in entry:
            moved["step"] = entry["step"] / kappa
        if "mu_product" in entry:
            moved["mu_product"] = _mu_product(float(entry["mu_product"]), float(entry["step"]), decay, new_decay, kappa)
        if entry.get("momentum_buffer") is not None:
            root: Tensor | float = 1.0
            if "square_avg" in entry:
                is_known = signal is not None and centre is None
                root = (entry["square_avg"] / moved["square_avg"]).sqrt().nan_to_num(nan=1.0) if is_known else math.sqrt(ratio)
            moved["momentum_buffer"] = entry["momentum_buffer"] * ((1 - decay) / (1 - new_decay)) * root
        return moved


def _second_moment(v: Tensor, signal: Tensor | float | None, ratio: float) -> Tensor:
    """v' = s + (v - s) / ratio; a signal above v leaves no noise to divide."""
    if signal is None:
        return v / ratio
    s = torch.minimum(torch.as_tensor(signal, dtype=v.dtype, device=v.device), v)
    return s + (v - s) / ratio


def _mu_product(product: float, k: float, beta1: float, new_beta1: float, kappa: float) -> float:
    """NAdam's prod mu_i = beta1^k w with the warm-up's w; the run at the new batch has beta1'^(k / kappa) w^(1 / kappa)."""
    if not product or not beta1 or not new_beta1:
        return 0.0
    return math.exp(min(0.0, k * math.log(new_beta1) + math.log(product) - k * math.log(beta1)) / kappa)


def _first_decay(group: Mapping[str, Any]) -> float:
    """beta1 of a group, or its momentum."""
    decay: float = as_betas(group)[0] if "betas" in group else as_number("momentum", group["momentum"])
    return decay
