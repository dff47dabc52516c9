"""The base configuration that a user's file tells: the values of its optimizer, which is never stepped, and its batch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from ..rules import FAMILIES, FieldError, TrainingConfig
from .optimizers import TRAINED

ASKED = ("optimizer", "batch_size")
CLASSES = {getattr(torch.optim, FAMILIES[name].call.rpartition(".")[2]): name for name in TRAINED if not FAMILIES[name].options}
UNTRAINED = ("maximize", "nesterov", "dampening")  # options that no calibration has
DECOUPLED = "decoupled_weight_decay"
FLAGS = {"lr": "--lr ", "alpha": "--alpha ", "eps": "--eps ", "weight_decay": "--weight-decay ", "momentum": "--momentum "}
ALLOWED = 'is no configuration: return {"optimizer": an optimizer of torch.optim, "batch_size": your global batch}'


@dataclass(frozen=True)
class OwnConfiguration:
    """config: at the file's own batch, or where it says none at another one; notes: what of the optimizer is not in it."""

    config: TrainingConfig
    notes: tuple[str, ...] = ()

    @property
    def flags(self) -> str:
        """The options of ``sqrtscale calibrate`` that start from it."""
        config, family = self.config, FAMILIES[self.config.optimizer]
        differing = [name for name, value in config.hyperparameters.items()
                     if name == "lr" or value != family.fields[name].default]
        told = [f"{FLAGS.get(name, f'--set {name}=')}{config[name]:.8g}" for name in differing if name not in ("beta1", "beta2")]
        if {"beta1", "beta2"} & set(differing):
            told.append(f"--betas {config['beta1']:.8g} {config['beta2']:.8g}")
        return " ".join([f"--optimizer {config.optimizer} --batch {config.batch_size}", *told])


def read_configuration(given: object, batch_size: int) -> OwnConfiguration:
    """What ``configuration(model)`` of a file returned; batch_size: where it says none. Raises FieldError."""
    if not isinstance(given, Mapping) or "optimizer" not in given or not set(given) <= set(ASKED):
        shown = f"dictionary of {', '.join(map(str, given))}" if isinstance(given, Mapping) else type(given).__name__
        raise FieldError("configuration", shown, ALLOWED)
    optimizer = given["optimizer"]
    name = CLASSES.get(type(optimizer))  # a subclass may do something else
    if name is None or not isinstance(optimizer, torch.optim.Optimizer):
        raise FieldError("optimizer", type(optimizer).__name__, "is none that a calibration trains: give one of torch.optim's "
                                                                f"own {', '.join(known.__name__ for known in CLASSES)}")
    groups: list[dict[str, Any]] = sorted(optimizer.param_groups, key=_size, reverse=True)
    first, *others = (_values(name, group) for group in groups)
    notes = []
    differing = sorted({field for values in others for field, value in values.items() if value != first[field]})
    if differing:
        notes.append(f"its {len(groups)} parameter groups differ in {', '.join(differing)}: that of the largest is taken, and "
                     "what the others have of their own is trained where GROUPS(model) says it")
    if any("initial_lr" in group for group in groups):
        notes.append("its learning rate has a schedule, which is not read: --schedule gives one")
    return OwnConfiguration(TrainingConfig(_variant(name, groups[0]), given.get("batch_size", batch_size), first), tuple(notes))


def _size(group: Mapping[str, Any]) -> int:
    return sum(parameter.numel() for parameter in group["params"])


def _variant(name: str, group: Mapping[str, Any]) -> str:
    """The family of a class with the options of a group."""
    if name == "adam" and group.get(DECOUPLED):
        name = "adamw"
    refused = (*UNTRAINED, DECOUPLED) if name != "adamw" and group["weight_decay"] else UNTRAINED
    for option in refused:
        if group.get(option):
            raise FieldError(option, group[option], "is an option of no optimizer that a calibration trains: do without it")
    options = [option for option in ("amsgrad", "centered") if group.get(option)]
    variants = {family.name for family in map(FAMILIES.__getitem__, TRAINED)
                if family.call == FAMILIES[name].call and family.options == dict.fromkeys(options, True)}
    if not variants:
        told = f"{FAMILIES[name].label} with {', '.join(options)}"
        raise FieldError("optimizer", told, "is none that a calibration trains: do without")
    return variants.pop()


def _values(name: str, group: Mapping[str, Any]) -> dict[str, float]:
    """The fields of a family by our names; lr as it is before a schedule has changed it."""
    options = dict(group) | {"lr": group.get("initial_lr", group["lr"])}
    if "betas" in group:
        options["beta1"], options["beta2"] = group["betas"]
    return {field: float(options[field]) for field in FAMILIES[name].fields if field in options}
