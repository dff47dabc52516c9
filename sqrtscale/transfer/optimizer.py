"""Changing the batch in the middle of training: a torch.optim optimizer, live or saved, moved to another batch size.

Hyperparameters move by the rule, through the table of families. The state is moved as the SDE has it (u = v / sigma^2):
with kappa = B'/B, g the gradient and s its squared mean (the signal), a prime for the target,

    v' = s + (v - s) / kappa     exp_avg_sq, max_exp_avg_sq, square_avg: noise variance falls by kappa; s = 0 unless known
    m' = m                       exp_avg, grad_avg: an average gradient
    k' = k / kappa               step: bias corrections 1 - beta^k agree; it need not be whole
    b' = b (1 - mu) / (1 - mu') * sqrt(v / v')    momentum_buffer: 1 / (1 - mu) times an average g (over sqrt(v) in RMSprop)

[derived by us; what each way of handing the state over does to a run: docs/experiments.md, benchmarks/state_transfer.py].
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import torch
from torch import Tensor

from ..rules import (
    FAMILIES,
    UNDERIVED,
    DecayForm,
    FieldError,
    MomentumForm,
    ParameterGroup,
    TrainingConfig,
    family,
    scale,
)
from ..rules.errors import real
from .optimizer_state import (
    FOLLOWERS,
    STATE,
    check_structure,
    is_state_dict,
    number,
    pair,
    recognised,
    unlike_torch,
)
from .other_libraries import Back, as_torch, without_rule

LARGEST_KAPPA = 10**6
SECOND_MOMENTS = ("exp_avg_sq", "max_exp_avg_sq", "square_avg")
CLASSES = {getattr(torch.optim, FAMILIES[name].call.rpartition(".")[2]): name for name in STATE}

Signal = Mapping[Hashable, Tensor | float]


def transfer_optimizer_(optimizer: torch.optim.Optimizer, kappa: float, decay_form: DecayForm = "linear",
                        momentum_form: MomentumForm = "kept", signal: Signal | None = None) -> None:
    """Move a live optimizer to a batch ``kappa`` times larger (smaller below 1), in place. Call it between two steps.

    optimizer: torch.optim's Adam, AdamW (amsgrad too), NAdam, RAdam, RMSprop (centered or with momentum too) or SGD
    themselves. kappa: new global batch over the old one. decay_form, momentum_form: as for ``sqrtscale.scale``; a momentum
    buffer goes on most smoothly with momentum_form "scaled". signal: parameter -> squared mean gradient (its shape, or a
    number), where that is no small part of exp_avg_sq or square_avg; a centered RMSprop uses its own grad_avg^2.

    Groups get exactly the numbers of ``sqrtscale.scale``, also what schedulers keep in them (initial_lr ...). Values held
    in tensors are changed in these tensors. Weights, gradients and ``optimizer.defaults`` are left as they are.

    A scheduler counts steps and keeps base_lrs of its own. Make it anew for lengths / kappa, for example
    ``LambdaLR(optimizer, shape, last_epoch=round(steps_so_far / kappa) - 1)``, which starts from the moved initial_lr; one
    that only multiplies lr (ExponentialLR, StepLR) may go on, with gamma^kappa or its interval / kappa.

    An exponential average of weights (torch.optim.swa_utils.AveragedModel) goes on with
    ``averaged.multi_avg_fn = get_ema_multi_avg_fn(ema_decay(0.999, kappa))``.

    Raises FieldError, with nothing changed, for any other optimizer, a hyperparameter that has no number at this kappa, or a
    state that is not torch's own.
    """
    if not isinstance(optimizer, torch.optim.Optimizer):
        raise FieldError("optimizer", type(optimizer).__name__, "is no torch.optim optimizer: give the one that it wraps")
    name = CLASSES.get(type(optimizer))
    if name is None:
        raise _refused(type(optimizer).__name__)
    move = _Move(name, ratio(kappa), decay_form, momentum_form, signal or {})
    groups, decays = move.checked(optimizer.param_groups, optimizer.state)
    with torch.no_grad():
        for group, values in zip(optimizer.param_groups, groups, strict=True):
            group.update(_renewed(group, values, in_place=True))
        for key, change in decays.items():
            entry = optimizer.state[key]
            entry.update(_renewed(entry, move.state(key, entry, *change), in_place=True))


def transfer_state_dict(state_dict: Mapping[str, Any], kappa: float, optimizer: str | None = None,
                        decay_form: DecayForm = "linear", momentum_form: MomentumForm = "kept",
                        signal: Signal | None = None) -> dict[str, Any]:
    """A saved ``optimizer.state_dict()`` moved to a batch ``kappa`` times larger; the given one is left as it is.

    optimizer: name of the class, for example "adamw", needed where the file does not tell (see ``recognised``). signal:
    keys of ``state_dict["state"]`` -> squared mean gradient. The rest is as in :func:`transfer_optimizer_`. What does not
    change is shared with the given dict. Adam and AdamW of bitsandbytes, Apex and DeepSpeed keep their own names and form.
    Raises FieldError, also where anything in the dict is not what an optimizer keeps.
    """
    if not is_state_dict(state_dict):
        raise FieldError("state_dict", type(state_dict).__name__, "is no optimizer's: give what optimizer.state_dict() returned")
    given, back, family = understood(state_dict)
    name = family if optimizer is None else family_named(optimizer)
    if name is None:
        raise FieldError("optimizer", optimizer, "is not told by the file (Adam and AdamW write the same in torch before 2.7, "
                         "Apex and DeepSpeed): give the class that wrote it, for example 'adamw'")
    move = _Move(name, ratio(kappa), decay_form, momentum_form, signal or {})
    groups, decays = move.checked(given["param_groups"], given["state"])
    state = dict(given["state"])
    with torch.no_grad():
        for key, change in decays.items():
            entry = state[key]
            state[key] = {**entry, **_renewed(entry, move.state(key, entry, *change))}
        param_groups = [{**group, **_renewed(group, values)} for group, values in zip(given["param_groups"], groups, strict=True)]
        return back({**given, "state": state, "param_groups": param_groups}, float(move.kappa))


def understood(state_dict: Mapping[str, Any]) -> tuple[Mapping[str, Any], Back, str | None]:
    """A saved state under torch's names, the way back to its own, and its family, or None where it does not tell.

    Raises FieldError for an optimizer without a rule, by its name, and for a state that is not in order.
    """
    unmovable = without_rule(state_dict)
    if unmovable:
        raise _refused(unmovable)
    check_structure(state_dict)
    given, back = as_torch(state_dict)
    return given, back, recognised(given)


def ema_decay(rho: float, kappa: float) -> float:
    """The decay rho^kappa of an average of the weights [Busbridge et al. 2023, arXiv 2307.13813]. Raises FieldError."""
    exact = ratio(kappa)
    config = TrainingConfig("sgd", exact.denominator, run={"ema_decay": rho})  # no decay of its own
    return scale(config, exact.numerator, "half-life").config.run["ema_decay"]


def ratio(kappa: float) -> Fraction:
    """kappa as a ratio of two batch sizes of at most 10^12, so 1/3 is a third; raises FieldError."""
    allowed = "is not allowed: give new batch / old batch, a number from 1e-06 to 1e+06, for example 4"
    number = real("kappa", kappa, allowed)
    if not 1 / LARGEST_KAPPA <= number <= LARGEST_KAPPA:
        raise FieldError("kappa", kappa, allowed)
    exact = kappa if isinstance(kappa, (int, Fraction)) else number
    if number >= 1:
        return Fraction(exact).limit_denominator(LARGEST_KAPPA)
    return 1 / Fraction(1 / exact).limit_denominator(LARGEST_KAPPA)


@dataclass(frozen=True)
class _Move:
    """One transfer: the optimizer's family, kappa, the forms of decays and momenta, and the signal by state key."""

    name: str
    kappa: Fraction
    decay_form: DecayForm
    momentum_form: MomentumForm
    signal: Signal

    def checked(self, groups: list, state: Mapping) -> tuple[list[dict[str, Any]], dict[Hashable, tuple[float, float]]]:
        """The new values of every group under torch's names; for every key with a state, its first decay before and after.

        Everything that can be refused is refused here, before anything is changed.
        """
        known = {key for group in groups for key in group["params"]}
        if any(key not in known for key in self.signal):
            raise FieldError("signal", f"{len(self.signal)} keys", "does not fit: give parameters of this optimizer, or for a "
                             "saved state the keys of its state")
        moved = [self.group(group) for group in groups]
        decays = {}
        for group, values in zip(groups, moved, strict=True):
            for key in group["params"]:
                if state.get(key):  # a parameter that never had a gradient has none
                    self.check_state(key, state[key])
                    decays[key] = (_first_decay(group), _first_decay({**group, **values}))
        return moved, decays

    def group(self, group: Mapping[str, Any]) -> dict[str, Any]:
        """The new values of a group under torch's names: those of ``sqrtscale.scale``."""
        flat = dict(group)
        if "betas" in group:
            flat["beta1"], flat["beta2"] = pair(group)
        fields = family(self.name).fields
        missing = [name for name in fields if name not in flat]
        if missing:
            raise FieldError("optimizer", self.name, f"does not fit: a parameter group has no {missing[0]}; give the class that "
                             "made it")
        own = {name: number(name, flat[name]) for name in fields}
        at_rest = own["lr"] == 0  # as at the start of a warm-up: it stays 0, which is no lr for the rule
        if at_rest:
            del own["lr"]
        followers = [ParameterGroup(key, {name: number(key, flat[key])}) for name, keys in FOLLOWERS.items() if name in fields
                     for key in keys if key in flat and number(key, flat[key])]
        found = self.scaled(self.name, own, followers)
        moved = dict(found.hyperparameters) | {one.name: value for one in found.groups for value in one.values.values()}
        if at_rest:
            del moved["lr"]
        decoupled = group.get("decoupled_weight_decay", self.name == "adamw")
        if decoupled != (self.name == "adamw"):  # Adam, NAdam and RAdam have a decoupled form, whose rule is AdamW's
            other = self.scaled("adamw" if decoupled else "adam", {"weight_decay": own["weight_decay"]})
            moved["weight_decay"] = other["weight_decay"]
        if "beta1" in moved:
            moved["betas"] = (moved.pop("beta1"), moved.pop("beta2"))
        return moved

    def scaled(self, name: str, values: Mapping[str, float], groups: Sequence[ParameterGroup] = ()) -> TrainingConfig:
        """These values of a family, scaled; raises FieldError where one has no number."""
        config = TrainingConfig(name, self.kappa.denominator, values, groups=tuple(groups))
        return scale(config, self.kappa.numerator, self.decay_form, self.momentum_form).config

    def check_state(self, key: Hashable, entry: Mapping[str, Any]) -> None:
        """Raises FieldError for a state that torch.optim does not make, and for a signal that does not fit it."""
        problem = unlike_torch(self.name, entry)
        if problem:
            raise FieldError("state", ", ".join(map(str, entry)), f"is not {family(self.name).call}'s: {problem}")
        if key not in self.signal:
            return
        given = torch.as_tensor(self.signal[key])
        moments = [entry[name] for name in SECOND_MOMENTS if name in entry]
        if "grad_avg" in entry or not moments:
            raise FieldError("signal", tuple(given.shape), "is not used here: SGD has no second moment, and a centered RMSprop "
                             "knows its own signal; leave it out")
        if given.shape not in ((), moments[0].shape) or not (given.isfinite() & (given >= 0)).all():
            raise FieldError("signal", tuple(given.shape), "does not fit: give squared mean gradients, finite and 0 or more, in "
                             f"the shape {tuple(moments[0].shape)} of the parameter")

    def state(self, key: Hashable, entry: Mapping[str, Any], old: float, new: float) -> dict[str, Any]:
        """What changes in the state of one parameter, whose first decay (beta1 or momentum) goes from ``old`` to ``new``."""
        kappa = float(self.kappa)
        centre = entry.get("grad_avg")  # its square must stay below the second moment, whose root is taken of the difference
        signal = self.signal.get(key) if centre is None else centre.square()
        moved: dict[str, Any] = {name: _second_moment(entry[name], signal, kappa) for name in SECOND_MOMENTS if name in entry}
        if "step" in entry:
            moved["step"] = entry["step"] / kappa
        if "mu_product" in entry:
            moved["mu_product"] = _mu_product(float(entry["mu_product"]), float(entry["step"]), old, new, kappa)
        if entry.get("momentum_buffer") is not None:
            root: Tensor | float = 1.0
            if "square_avg" in entry:
                known = signal is not None and centre is None
                root = (entry["square_avg"] / moved["square_avg"]).sqrt().nan_to_num(nan=1.0) if known else math.sqrt(kappa)
            moved["momentum_buffer"] = entry["momentum_buffer"] * ((1 - old) / (1 - new)) * root
        return moved


def _second_moment(v: Tensor, signal: Tensor | float | None, kappa: float) -> Tensor:
    """v' = s + (v - s) / kappa; a signal above v leaves no noise to divide."""
    if signal is None:
        return v / kappa
    s = torch.minimum(torch.as_tensor(signal, dtype=v.dtype, device=v.device), v)
    return s + (v - s) / kappa


def _mu_product(product: float, k: float, old: float, new: float, kappa: float) -> float:
    """NAdam's prod mu_i = beta1^k w with the warm-up's w; the run at the new batch has beta1'^(k / kappa) w^(1 / kappa)."""
    if not product or not old or not new:
        return 0.0
    return math.exp(min(0.0, k * math.log(new) + math.log(product) - k * math.log(old)) / kappa)


def _first_decay(group: Mapping[str, Any]) -> float:
    return pair(group)[0] if "betas" in group else number("momentum", group["momentum"])


def _renewed(table: Mapping[str, Any], values: Mapping[str, Any], in_place: bool = False) -> dict[str, Any]:
    """The new values as the table held the old ones: in tensors (with ``in_place`` the same ones), pairs, whole numbers."""
    def like(old: Any, new: Any) -> Any:
        if isinstance(old, (tuple, list)):
            return type(old)(like(one, other) for one, other in zip(old, new, strict=True))
        if isinstance(old, Tensor):
            new = new if isinstance(new, Tensor) else torch.full_like(old, new, dtype=torch.float64)
            new = (new if old.is_floating_point() else new.round()).to(old.dtype)
            return old.copy_(new) if in_place else new
        return int(new) if isinstance(old, int) and float(new).is_integer() else float(new)

    return {name: like(table[name], value) for name, value in values.items()}


def family_named(optimizer: object) -> str:
    """The family of a torch.optim class by its name; raises FieldError."""
    name = optimizer.rpartition(".")[2].lower() if isinstance(optimizer, str) else optimizer
    found = {"amsgrad": "adam", "rmsprop_centered": "rmsprop"}.get(name, name) if isinstance(name, str) else name
    if found not in STATE:
        raise _refused(optimizer)
    return found


def _refused(optimizer: object) -> FieldError:
    """Why this optimizer cannot be moved, with what is known of its rule."""
    known = UNDERIVED.get(optimizer.rpartition(".")[2].lower()) if isinstance(optimizer, str) else None
    classes = ", ".join(one.__name__ for one in CLASSES)
    allowed = known.allowed if known else f"cannot be moved: only torch.optim's own {classes} have a rule and a known state"
    return FieldError("optimizer", optimizer, allowed)
