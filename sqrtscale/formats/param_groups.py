"""torch's optimizer.state_dict()["param_groups"], or the whole state_dict, as JSON. The optimizer's class is not in it."""

from __future__ import annotations

from typing import Any

from ..rules import FAMILIES, FieldError, ParameterGroup, family
from ._document import Document, Path
from ._format import Format
from ._optimizers import covered
from ._reading import AUTO, LOSS_REDUCTION, Reading

PLACES: dict[str, Path] = {
    "lr": ("lr",),
    "beta1": ("betas", 0),
    "beta2": ("betas", 1),
    "alpha": ("alpha",),
    "eps": ("eps",),
    "weight_decay": ("weight_decay",),
    "momentum": ("momentum",),
    "momentum_decay": ("momentum_decay",),
}
CLASSES = {name: name for name in ("adam", "adamw", "nadam", "radam", "rmsprop", "rmsprop_centered", "sgd", "amsgrad")}
TORCH_KEYS = {
    "params",
    "param_names",
    "name",
    "lr",
    "initial_lr",
    "betas",
    "eps",
    "weight_decay",
    "amsgrad",
    "maximize",
    "foreach",
    "capturable",
    "differentiable",
    "fused",
    "decoupled_weight_decay",
    "momentum_decay",
    "alpha",
    "momentum",
    "centered",
    "nesterov",
    "dampening",
    "rho",
    "lr_decay",
    "initial_accumulator_value",
    "max_lr",
    "min_lr",
    "base_momentum",
    "max_momentum",
}  # the last four are OneCycleLR's and CyclicLR's


def root(document: Document) -> Path:
    """Where the list of groups stands."""
    inside = ("optimizer", "param_groups"), ("optimizer_state_dict", "param_groups"), ("param_groups",)
    return next((path for path in inside if isinstance(document.get(path), list)), ())


def fits(document: Document) -> tuple[str, ...]:
    groups = document.get(root(document))
    if not isinstance(groups, list) or not groups or not isinstance(groups[0], dict):
        return ()
    return tuple(f"[0].{key}" for key in ("lr", "params", "betas", "foreach") if key in groups[0]) if "lr" in groups[0] else ()


def read(document: Document) -> Reading:
    reading = Reading(document, "PyTorch")
    where = root(document)
    groups = document.get(where)
    for i, group in enumerate(groups):
        if not isinstance(group, dict):
            raise FieldError(f"param_groups[{i}]", group, "is not a parameter group: each is a table with lr and so on")
    _optimizer(reading, (*where, 0), groups[0])
    names = [
        name
        for name, path in PLACES.items()
        if path[0] in groups[0] and (reading.optimizer is None or name in FAMILIES[reading.optimizer].fields)
    ]
    places = [{name: _place(reading, (*where, i), name) for name in names} for i in range(len(groups))]
    for name in names:
        reading.take(name, *places[0][name])
    if any("initial_lr" in group for group in groups):
        reading.notes.append("lr is where the schedule stood when the state was saved; initial_lr is taken, and both are scaled.")
    _groups(reading, groups, places)
    for i in range(len(groups)):
        for key in ("max_lr", "min_lr"):  # of OneCycleLR
            reading.along("lr", *where, i, key)
    reading.ask(*LOSS_REDUCTION, required=False)
    return reading


def _place(reading: Reading, group: Path, name: str) -> Path:
    initial = name == "lr" and reading.number(*group, "initial_lr")
    if initial:
        reading.along("lr", *group, "lr")
    return (*group, "initial_lr") if initial else (*group, *PLACES[name])


def _optimizer(reading: Reading, where: Path, group: dict[str, Any]) -> None:
    """The class: as the file names it beside the groups, or by the keys that only its groups have."""
    name = reading.document.get(("optimizer",)) if isinstance(reading.document.data, dict) else None
    foreign = sorted(set(group) - TORCH_KEYS)
    if isinstance(name, str):
        reading.chosen(covered("optimizer", reading.text("optimizer", default=""), CLASSES))
        return
    if foreign:
        reading.ask("optimizer", f"Which optimizer wrote these groups? {', '.join(foreign)[:80]} are no keys of torch's own.")
        return
    decoupled = reading.switch(*where, "decoupled_weight_decay") and bool(reading.number(*where, "weight_decay"))
    if decoupled and ("momentum_decay" in group or "amsgrad" not in group):
        raise FieldError("decoupled_weight_decay", True, "is covered for AdamW alone: set it to false, or weight_decay to 0")
    if "alpha" in group:
        reading.chosen("rmsprop_centered" if reading.switch(*where, "centered") else "rmsprop")
    elif "momentum_decay" in group:
        reading.chosen("nadam")
    elif "nesterov" in group or "dampening" in group:
        reading.chosen("sgd")
    elif "rho" in group:
        family("adadelta")
    elif "lr_decay" in group:
        family("adagrad")
    elif "betas" not in group or "eps" not in group:
        raise FieldError(
            "param_groups",
            ", ".join(sorted(group))[:60],
            "are the keys of no optimizer that the rule covers: it covers Adam, AdamW, NAdam, RAdam, RMSprop and SGD",
        )
    elif "amsgrad" not in group:
        reading.chosen("radam")
    elif isinstance(group.get("decoupled_weight_decay"), bool) or not group.get("weight_decay"):
        reading.chosen("amsgrad" if group["amsgrad"] and not decoupled else "adamw" if decoupled else "adam")
    else:
        reading.ask("optimizer", "Is it Adam or AdamW? Only weight decay differs, and their groups look the same.", "adamw")
    if group.get("amsgrad") and reading.optimizer != "amsgrad":
        reading.notes.append("amsgrad is true: AMSGrad divides by the largest v so far, and the rule holds while v is steady.")


def _groups(reading: Reading, groups: list[dict[str, Any]], places: list[dict[str, Path]]) -> None:
    """Values that differ from the first group's become a group's own; equal ones move along with them."""
    for i, group in enumerate(groups[1:], 1):
        own = {}
        for name, place in places[i].items():
            value = reading.number(*place)
            if value is None or reading.get(*place) == AUTO:
                raise FieldError(f"param_groups[{i}]", None, f"has no {name}: every group has what the first has")
            if value == reading.values.get(name):
                reading.follows[place] = name
            else:
                own[name] = value
        if own:
            fields = reading.fields
            checked = {name: fields[name].kind.check(name, value) if fields else value for name, value in own.items()}
            reading.groups.append(ParameterGroup(str(group.get("name", f"group {i}")), checked))
            reading.group_places.append(places[i])


FORMAT = Format("param_groups", "PyTorch param_groups", ("json",), fits, read)
