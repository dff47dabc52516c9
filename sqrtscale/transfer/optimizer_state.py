"""What an optimizer's state must look like before anything is computed from it, and which family wrote it.

A state dict is what ``optimizer.state_dict()`` returns: ``state``, a table of what is kept for each parameter by its number or
name, and ``param_groups``, a list of tables with the options and the parameters of each group.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ..rules import FAMILIES, UNDERIVED, FieldError

StateDict = Mapping[str, Any]

_ADAM_STATE = ("step", "exp_avg", "exp_avg_sq")
STATE_NAMES = {  # family -> what the state of a parameter holds, and what it may hold besides
    "adam": (_ADAM_STATE, ("max_exp_avg_sq",)),
    "adamw": (_ADAM_STATE, ("max_exp_avg_sq",)),
    "nadam": ((*_ADAM_STATE, "mu_product"), ()),
    "radam": (_ADAM_STATE, ()),
    "rmsprop": (("step", "square_avg"), ("momentum_buffer", "grad_avg")),
    "sgd": ((), ("momentum_buffer",)),
}
TORCH_CLASSES = {getattr(torch.optim, FAMILIES[name].call.rpartition(".")[2]): name for name in STATE_NAMES}  # class -> family
# What a scheduler keeps in a group beside lr, betas and momentum, and the field that it moves with.
FOLLOWERS = {
    "lr": ("initial_lr", "max_lr", "min_lr", "swa_lr"),
    "beta1": ("base_momentum", "max_momentum"),
    "momentum": ("base_momentum", "max_momentum"),
}
NUMBER_OPTIONS = {
    "lr",
    "eps",
    "weight_decay",
    "alpha",
    "momentum",
    "dampening",
    "momentum_decay",
    *(key for keys in FOLLOWERS.values() for key in keys),
}
FLAG_OPTIONS = ("amsgrad", "centered", "nesterov", "decoupled_weight_decay", "bias_correction", "correct_bias", "use_muon")
REMEDY = "give what optimizer.state_dict() returned"
LARGEST_INTEGER_BITS = 1000


def is_state_dict(value: Any) -> bool:
    """Whether this is meant as what ``optimizer.state_dict()`` returns; :func:`check_structure` says whether it is in order."""
    return isinstance(value, Mapping) and "state" in value and "param_groups" in value


def family_named(optimizer: object) -> str:
    """The family of a torch.optim class by its name, also with its module before it; raises FieldError."""
    name = optimizer.rpartition(".")[2].lower() if isinstance(optimizer, str) else ""
    family = {"amsgrad": "adam", "rmsprop_centered": "rmsprop"}.get(name, name)
    if family not in STATE_NAMES:
        raise refusal(optimizer)
    return family


def refusal(optimizer: object) -> FieldError:
    """The error for an optimizer that cannot be moved, with what is known of its rule."""
    underived = UNDERIVED.get(optimizer.rpartition(".")[2].lower()) if isinstance(optimizer, str) else None
    classes = ", ".join(torch_class.__name__ for torch_class in TORCH_CLASSES)
    allowed = (
        underived.allowed if underived else f"cannot be moved: only torch.optim's own {classes} have a rule and a known state"
    )
    return FieldError("optimizer", optimizer, allowed)


def check_structure(state_dict: StateDict) -> None:
    """Raises FieldError where groups, numbers, keys or tensors are not what an optimizer keeps."""
    groups, state = state_dict["param_groups"], state_dict["state"]
    if not isinstance(groups, (list, tuple)) or not groups:
        raise FieldError("param_groups", type(groups).__name__, f"is no list of parameter groups: {REMEDY}")
    parameters: set[int | str] = set()
    for i, group in enumerate(groups):
        _check_group(i, group)
        keys = set(group["params"])
        if len(keys) < len(group["params"]) or not parameters.isdisjoint(keys):
            raise FieldError("params", f"of group {i}", f"names a parameter twice: {REMEDY}")
        parameters |= keys
    if not isinstance(state, Mapping):
        raise FieldError("state", type(state).__name__, f"is no table of parameters: {REMEDY}")
    for key, entry in state.items():
        if key not in parameters:
            parameter = key if isinstance(key, (int, str)) else type(key).__name__
            raise FieldError("state", parameter, f"belongs to no parameter group, so nothing says how it moves: {REMEDY}")
        if not isinstance(entry, Mapping):
            raise FieldError("state", f"of parameter {key}", f"is no table of tensors: {REMEDY}")
        for name, value in entry.items():
            fault = _tensor_fault(value) if isinstance(value, Tensor) else ""
            if fault:
                raise FieldError("state", f"{name} of parameter {key}", f"{fault}: {REMEDY}")


def as_number(name: str, value: Any) -> Any:
    """A hyperparameter as Python has it, also from a tensor of one element; raises FieldError for what is no number.

    None stays None: which hyperparameters may be left out is for the rules to say.
    """
    if isinstance(value, Tensor):
        if value.numel() != 1 or _tensor_fault(value) or not value.is_floating_point():
            raise FieldError(name, f"tensor of shape {tuple(value.shape)}", "is not one real number: give one, for example 0.001")
        return value.item()
    if isinstance(value, int) and value.bit_length() > LARGEST_INTEGER_BITS:
        raise FieldError(name, f"an integer of {value.bit_length()} bits", "is not allowed: give a number, for example 0.001")
    if value is not None and not isinstance(value, (int, float)):
        raise FieldError(name, type(value).__name__, "is no number: give one, for example 0.001")
    return value


def as_betas(group: Mapping[str, Any]) -> tuple[Any, Any]:
    """beta1 and beta2 of a group; raises FieldError for what is no pair of numbers."""
    betas = group["betas"]
    if type(betas) not in (list, tuple) or len(betas) != 2:
        raise FieldError("betas", type(betas).__name__, "is no pair of decay rates: give two, for example (0.9, 0.999)")
    return as_number("beta1", betas[0]), as_number("beta2", betas[1])


def recognised_family(state_dict: StateDict) -> str | None:
    """The family that an optimizer's state dict tells of, by the options of its groups and the names in its state, or None.

    Adam and AdamW write ``decoupled_weight_decay`` since torch 2.7. Before, they differ by their class alone, and it is
    needed where there is weight decay.
    """
    groups = state_dict["param_groups"]
    options = set.intersection(*(set(group) for group in groups))
    family = None
    if {"betas", "momentum_decay"} <= options:
        family = "nadam"
    elif {"betas", "amsgrad", "decoupled_weight_decay"} <= options:
        family = "adamw" if all(group["decoupled_weight_decay"] for group in groups) else "adam"
    elif {"betas", "correct_bias"} <= options:  # AdamW of the transformers library, until 2025
        family = "adamw"
    elif {"betas", "amsgrad"} <= options:
        family = None if any(as_number("weight_decay", group.get("weight_decay")) for group in groups) else "adam"
    elif {"betas", "decoupled_weight_decay"} <= options:
        family = "radam"
    elif {"alpha", "centered", "momentum"} <= options:
        family = "rmsprop"
    elif {"nesterov", "dampening"} <= options:
        family = "sgd"
    fits = family is not None and not any(state_fault(family, entry) for entry in state_dict["state"].values() if entry)
    return family if fits else None


def state_fault(family: str, entry: Any) -> str:
    """How the state of one parameter differs from what torch.optim keeps for that family, or an empty text."""
    if not isinstance(entry, Mapping):
        return "it is no table of tensors"
    needed, possible = STATE_NAMES[family]
    for key in needed:
        if key not in entry:
            return f"it has no {key}"
    shapes = {}
    for key, value in entry.items():
        if key not in (*needed, *possible):
            return f"{str(key)[:40]} is unknown"
        if key in ("step", "mu_product"):
            is_real = _is_count(value) if key == "step" else _is_count(value) and float(value) <= 1
        else:
            is_real = (isinstance(value, Tensor) and value.is_floating_point()) or (key == "momentum_buffer" and value is None)
        if not is_real or (isinstance(value, Tensor) and _tensor_fault(value)):
            return f"{key} holds no real numbers"
        if isinstance(value, Tensor) and key not in ("step", "mu_product"):
            shapes[key] = tuple(value.shape)
    if len(set(shapes.values())) > 1:
        return "its tensors differ in shape: " + ", ".join(f"{key} {shape}" for key, shape in shapes.items())
    return ""


def step_counts(state_dict: StateDict) -> tuple[float, float] | None:
    """Smallest and largest step count, of the parameters or (Apex) of the groups, if there is one; raises FieldError."""
    steps = []
    for table in (*state_dict["state"].values(), *state_dict["param_groups"]):
        if table.get("step") is not None:
            if not _is_count(table["step"]):
                raise FieldError("step", type(table["step"]).__name__, f"is no count of steps: {REMEDY}")
            steps.append(float(table["step"]))
    return (min(steps), max(steps)) if steps else None


def _is_count(value: Any) -> bool:
    """Whether this is one finite number of at least 0."""
    if isinstance(value, Tensor):
        value = value.item() if value.numel() == 1 and not _tensor_fault(value) else None
    if isinstance(value, int):
        return 0 <= value < 2**63
    return isinstance(value, float) and math.isfinite(value) and value >= 0


def _check_group(i: int, group: Any) -> None:
    if not isinstance(group, Mapping):
        raise FieldError("param_groups", f"[{i}]", f"is no table with lr and params: {REMEDY}")
    params = group.get("params")
    if not isinstance(params, (list, tuple)) or not all(isinstance(key, (int, str)) for key in params):
        raise FieldError("params", f"of group {i}", f"is no list of parameters: {REMEDY}")
    if "lr" not in group:
        raise FieldError("param_groups", f"[{i}]", f"has no lr: {REMEDY}")
    for name in NUMBER_OPTIONS & group.keys():
        as_number(name, group[name])
    for name in FLAG_OPTIONS:
        if not isinstance(group.get(name), (bool, int, type(None))):
            raise FieldError(name, type(group[name]).__name__, f"is not true or false: {REMEDY}")
    if "betas" in group:
        as_betas(group)


def _tensor_fault(value: Tensor) -> str:
    """The reason why a tensor's numbers are not all stored as real ones, or an empty text."""
    if value.is_meta:
        return "is a tensor without values (meta)"
    if value.is_complex():
        return "holds complex numbers"
    if value.layout != torch.strided or value.is_quantized or value.is_nested:
        return "is sparse, nested or quantized"
    if value.numel() * value.element_size() > value.untyped_storage().nbytes():
        return f"spreads {value.numel()} numbers over fewer that are stored"
    return ""
