"""The configuration that a saved optimizer trained by: the values of its groups under our names, as its next step has them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ...rules import FieldError, ParameterGroup, TrainingConfig, family
from ..optimizer_state import as_betas, as_number
from .reading import refusal
from .saved import SavedTraining

UNTOLD = "adamw"  # Adam and AdamW write the same before torch 2.7; with weight decay it is nearly always this one
UNTRAINED = {"maximize": "maximizes", "nesterov": "has Nesterov's momentum", "dampening": "dampens its momentum"}


def configuration(saved: SavedTraining) -> TrainingConfig:
    """At batch 1, because no optimizer knows its batch. Raises FieldError for an optimizer that calibrations do not train.

    lr is that of the next step, wherever a schedule had brought it. The first group's values are the configuration's, what
    others have differently is theirs.
    """
    groups = saved.optimizer["param_groups"]
    names = {_family(saved, group) for group in groups}
    if len(names) > 1:
        raise refusal(saved.path, f"has groups of different optimizers ({', '.join(sorted(names))}): train them by one")
    (name,) = names
    first, *others = (_values(saved, group, name) for group in groups)
    own = [ParameterGroup(own_name, differing)
           for own_name, values in zip(group_names(groups)[1:], others, strict=True)
           if (differing := {field: value for field, value in values.items() if value != first[field]})]
    return TrainingConfig(name, 1, first, groups=tuple(own))


def group_names(groups: Sequence[Mapping[str, Any]]) -> list[str]:
    """What the groups of an optimizer are called; with their places where a name stands twice."""
    names = [str(group.get("name", f"group {i}")) for i, group in enumerate(groups)]
    return names if len(set(names)) == len(names) else [f"{name} (group {i})" for i, name in enumerate(names)]


def _family(saved: SavedTraining, group: Mapping[str, Any]) -> str:
    """The family of a group, by its options as well."""
    name = saved.family or UNTOLD
    for option, words in UNTRAINED.items():
        if as_flag(group.get(option)):
            raise refusal(saved.path, f"has an optimizer that {words}, which no calibration trains: give --start warm, or train "
                                      "without it")
    if group.get("amsgrad"):
        if name == "adamw":
            raise refusal(saved.path, "has AdamW with amsgrad, which no calibration trains: train without it")
        return "amsgrad"
    if group.get("decoupled_weight_decay") and name in ("nadam", "radam") and as_number("weight_decay", group["weight_decay"]):
        raise refusal(saved.path, f"has {family(name).label} with decoupled weight decay, which no calibration trains: leave it "
                                  "out")
    return "rmsprop_centered" if group.get("centered") else name


def as_flag(value: Any) -> bool:
    """Whether an option is set, as a switch or as a number."""
    return bool(as_number("option", value)) if value is not None else False


def _values(saved: SavedTraining, group: Mapping[str, Any], name: str) -> dict[str, float]:
    options = dict(group)
    if "betas" in group:
        options["beta1"], options["beta2"] = as_betas(group)
    values = {field: as_number(field, options[field]) for field in family(name).fields if options.get(field) is not None}
    if not values.get("lr"):
        raise FieldError("lr", values.get("lr"), f"is that of the optimizer in {saved.path}, as at the end of a schedule: save a "
                                                 "checkpoint from the middle of the training")
    return values
