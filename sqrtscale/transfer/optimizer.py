"""Changing the batch in the middle of training: a torch.optim optimizer, in place or saved, moved to another batch size.

Hyperparameters and state move as :mod:`sqrtscale.transfer.optimizer_move` says. What each way of handing the state over does to
a run: docs/experiments.md, benchmarks/state_transfer.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import torch
from torch import Tensor

from ..rules import DecayForm, FieldError, MomentumForm, TrainingConfig, scale
from .optimizer_move import BatchChange, NoiseScale, OptimizerMove, Signal, batch_pair, batch_ratio, check_noise_scale
from .optimizer_state import TORCH_CLASSES, StateDict, family_named, is_state_dict, refusal
from .other_libraries import in_torch_form


def transfer_optimizer_(
    optimizer: torch.optim.Optimizer,
    kappa: BatchChange,
    decay_form: DecayForm = "linear",
    momentum_form: MomentumForm = "kept",
    signal: Signal | None = None,
    noise_scale: NoiseScale | None = None,
) -> None:
    """Move an optimizer to a batch ``kappa`` times larger (smaller below 1), in place. Call it between two steps.

    optimizer: torch.optim's Adam, AdamW (amsgrad too), NAdam, RAdam, RMSprop (centered or with momentum too) or SGD
    themselves. kappa: new global batch over the old one, or both, (256, 1024), as a noise scale needs them. decay_form,
    momentum_form: as for ``sqrtscale.scale``; a momentum buffer goes on most smoothly with momentum_form "scaled". signal:
    parameter -> squared mean gradient (its shape, or a number), where that is no small part of exp_avg_sq or square_avg; a
    centered RMSprop uses its own grad_avg^2. noise_scale: in samples, for batches near it: lr, eps and decay move by the
    noise-aware transfer (:mod:`sqrtscale.rules.signal`), second moments without a signal by q / kappa; also one by the number
    of each parameter group, "" for the others. A clipping threshold is your program's: ``sqrtscale.scale`` has its number.

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
    family = TORCH_CLASSES.get(type(optimizer))
    if family is None:
        raise refusal(type(optimizer).__name__)
    move = _move(family, kappa, (decay_form, momentum_form), signal, noise_scale)
    new_groups, moves = move.checked(optimizer.param_groups, optimizer.state)
    with torch.no_grad():
        for group, values in zip(optimizer.param_groups, new_groups, strict=True):
            group.update(_held_as_before(group, values, in_place=True))
        for parameter, own_move in moves.items():
            entry = optimizer.state[parameter]
            entry.update(_held_as_before(entry, move.state(parameter, entry, own_move), in_place=True))


def transfer_state_dict(
    state_dict: StateDict,
    kappa: BatchChange,
    optimizer: str | None = None,
    decay_form: DecayForm = "linear",
    momentum_form: MomentumForm = "kept",
    signal: Signal | None = None,
    noise_scale: NoiseScale | None = None,
) -> dict[str, Any]:
    """A saved ``optimizer.state_dict()`` moved to a batch ``kappa`` times larger; the given one is left as it is.

    optimizer: name of the class, for example "adamw", needed where the file does not tell (``recognised_family``). signal:
    keys of ``state_dict["state"]`` -> squared mean gradient. The rest is as in :func:`transfer_optimizer_`. What does not
    change is shared with the given dict. Adam and AdamW of bitsandbytes, Apex and DeepSpeed keep their own names and form.
    Raises FieldError, also where anything in the dict is not what an optimizer keeps.
    """
    if not is_state_dict(state_dict):
        raise FieldError("state_dict", type(state_dict).__name__, "is no optimizer's: give what optimizer.state_dict() returned")
    saved = in_torch_form(state_dict)
    family = saved.family if optimizer is None else family_named(optimizer)
    if family is None:
        raise FieldError(
            "optimizer",
            optimizer,
            "is not told by the file (Adam and AdamW write the same in torch before 2.7, "
            "Apex and DeepSpeed): give the class that wrote it, for example 'adamw'",
        )
    move = _move(family, kappa, (decay_form, momentum_form), signal, noise_scale)
    groups, state = saved.state_dict["param_groups"], dict(saved.state_dict["state"])
    new_groups, moves = move.checked(groups, state)
    with torch.no_grad():
        for key, own_move in moves.items():
            entry = state[key]
            state[key] = {**entry, **_held_as_before(entry, move.state(key, entry, own_move))}
        moved_groups = [{**group, **_held_as_before(group, values)} for group, values in zip(groups, new_groups, strict=True)]
        return saved.restore({**saved.state_dict, "state": state, "param_groups": moved_groups}, float(move.kappa))


def _move(
    family: str,
    change: BatchChange,
    forms: tuple[DecayForm, MomentumForm],
    signal: Signal | None,
    noise_scale: NoiseScale | None,
) -> OptimizerMove:
    """The transfer that was asked for; raises FieldError."""
    batches = batch_pair(change)
    check_noise_scale(change, noise_scale)
    return OptimizerMove(family, batches, *forms, signal or {}, noise_scale)


def ema_decay(rho: float, kappa: float | Fraction) -> float:
    """The decay rho^kappa of an average of the weights [Busbridge et al. 2023, arXiv 2307.13813]. Raises FieldError."""
    ratio = batch_ratio(kappa)
    config = TrainingConfig("sgd", ratio.denominator, run={"ema_decay": rho})  # no decay of its own
    decay: float = scale(config, ratio.numerator, "half-life").config.run["ema_decay"]
    return decay


def _held_as_before(table: Mapping[str, Any], values: Mapping[str, Any], in_place: bool = False) -> dict[str, Any]:
    """The new values as the table holds the old ones: in tensors (with ``in_place`` the same ones), pairs, whole numbers."""

    def held_as(old: Any, new: Any) -> Any:
        if isinstance(old, (tuple, list)):
            return type(old)(held_as(*pair) for pair in zip(old, new, strict=True))
        if isinstance(old, Tensor):
            new = new if isinstance(new, Tensor) else torch.full_like(old, new, dtype=torch.float64)
            new = (new if old.is_floating_point() else new.round()).to(old.dtype)
            return old.copy_(new) if in_place else new
        return int(new) if isinstance(old, int) and float(new).is_integer() else float(new)

    return {name: held_as(table[name], value) for name, value in values.items()}
