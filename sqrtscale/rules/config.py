"""TrainingConfig: everything about an optimizer, its batch and its run that the rule can move."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from .errors import FieldError, shown, whole
from .families import Field, family
from .run_fields import RUN_FIELDS

LARGEST_BATCH = 10**12
OF_NUMBERS = "a number for each hyperparameter, by name"


@dataclass(frozen=True)
class ParameterGroup:
    """A parameter group: a name, and the hyperparameters that it sets itself (the others are the optimizer's)."""

    name: str
    values: Mapping[str, float]

    def __hash__(self) -> int:
        return hash((self.name, tuple(self.values.items())))

    def __reduce__(self) -> tuple[type[ParameterGroup], tuple[Any, ...]]:  # a mapping proxy does not pickle
        return ParameterGroup, (self.name, dict(self.values))


@dataclass(frozen=True)
class TrainingConfig:
    """An optimizer, its hyperparameters, the global batch size and what else the run depends on.

    optimizer: name of a family (``adam``, ``adamw``, ``rmsprop``, ``keras_adam`` ...).
    batch_size: global batch size in samples (per device x accumulation x devices), or in tokens.
    hyperparameters: one number per field of the family; a field left out takes the library's default.
    total_steps, warmup_steps: lengths in optimizer steps, or None when not given.
    run: other fields of the run by their names in ``RUN_FIELDS`` (schedule, intervals, ema_decay, clip_norm ...).
    groups: parameter groups with values of their own.

    Raises FieldError for a value that its field cannot hold, and for a field the family does not have.
    """

    optimizer: str
    batch_size: int
    hyperparameters: Mapping[str, float] = field(default_factory=dict)
    total_steps: int | None = None
    warmup_steps: int | None = None
    run: Mapping[str, Any] = field(default_factory=dict)
    groups: tuple[ParameterGroup, ...] = ()

    def __post_init__(self) -> None:
        optimizer = family(self.optimizer)
        lengths = {"total_steps": self.total_steps, "warmup_steps": self.warmup_steps}
        given = lengths | _table("run", self.run, "a schedule, clip_norm and so on, by name")
        run = _checked({name: value for name, value in given.items() if value is not None}, RUN_FIELDS, "a run")
        first = {name: about.default for name, about in optimizer.fields.items()}
        own = _table("hyperparameters", self.hyperparameters, OF_NUMBERS)
        checked = {
            "optimizer": optimizer.name,
            "batch_size": whole("batch_size", self.batch_size, 1, 256, LARGEST_BATCH),
            "hyperparameters": MappingProxyType(_checked(first | own, optimizer.fields, optimizer.label)),
            "total_steps": run.pop("total_steps", None),
            "warmup_steps": run.pop("warmup_steps", None),
            "run": MappingProxyType(run),
            "groups": tuple(ParameterGroup(group.name, MappingProxyType(_checked(
                group.values, optimizer.fields, optimizer.label, prefix=f"{group.name}."))) for group in _groups(self.groups)),
        }
        for name, value in checked.items():
            object.__setattr__(self, name, value)
        for name in ("warmup_steps", "decay_steps"):
            length = self.of_the_run().get(name)
            if length is not None and self.total_steps is not None and length > self.total_steps:
                allowed = f"is longer than the run: give at most total_steps = {self.total_steps}"
                raise FieldError(name, length, allowed)

    def __getitem__(self, name: str) -> float:
        """The value of a hyperparameter, for example ``config["lr"]``."""
        return self.hyperparameters[name]

    def of_the_run(self) -> dict[str, Any]:
        """The fields of the run that were given, total and warm-up steps first."""
        lengths = {"total_steps": self.total_steps, "warmup_steps": self.warmup_steps}
        return {name: value for name, value in lengths.items() if value is not None} | dict(self.run)

    def __hash__(self) -> int:
        return hash((self.optimizer, self.batch_size, tuple(self.hyperparameters.items()), tuple(self.of_the_run().items()),
                     self.groups))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TrainingConfig) and self.as_dict() == other.as_dict()

    def __reduce__(self) -> tuple[type[TrainingConfig], tuple[Any, ...]]:
        return (  # a mapping proxy does not pickle, and pages cache by configuration
            TrainingConfig,
            (self.optimizer, self.batch_size, dict(self.hyperparameters), self.total_steps, self.warmup_steps,
             dict(self.run), self.groups),
        )

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON types under PyTorch's argument names (beta1 and beta2 as one ``betas`` list)."""
        run = {name: list(value) if isinstance(value, tuple) else value for name, value in self.run.items()}
        values = named_as_pytorch({"optimizer": self.optimizer, **self.hyperparameters,
                                   "batch_size": self.batch_size, "total_steps": self.total_steps,
                                   "warmup_steps": self.warmup_steps, **run})
        if self.groups:
            values["groups"] = [{"name": group.name, **named_as_pytorch(group.values)} for group in self.groups]
        return values

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> TrainingConfig:
        """The inverse of :meth:`as_dict`; raises FieldError for what does not fit."""
        values = _own_names(_table("configuration", data, "optimizer, batch_size and so on, by name"))
        groups = []
        listed = values.pop("groups", None)
        for i, group in enumerate(() if listed is None else _listed(listed)):
            if not isinstance(group, Mapping):
                raise FieldError("groups", group, "is not a parameter group: give a table of hyperparameters for each")
            own = _own_names(group)
            groups.append(ParameterGroup(own.pop("name", f"group {i}"), own))
        common: dict[str, Any] = {key: values.pop(key, None) for key in ("optimizer", "batch_size")}
        run = {name: values.pop(name) for name in RUN_FIELDS if name in values}
        return cls(hyperparameters=values, run=run, groups=tuple(groups), **common)


def _checked(values: Mapping[str, Any], fields: Mapping[str, Field], owner: str, prefix: str = "") -> dict[str, Any]:
    """The values as their kinds hold them, in the order of the fields; raises FieldError, with ``prefix`` before the name."""
    for name, value in values.items():
        if name not in fields:
            label = name if isinstance(name, str) else shown(name)
            raise FieldError(prefix + label, value, f"is not a field of {owner}: it has {', '.join(fields)}")
    return {name: about.kind.check(prefix + name, values[name]) for name, about in fields.items() if name in values}


def _table(field: str, value: object, holds: str) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise FieldError(field, value, f"is not a table: give {holds}")
    return dict(value)


def _listed(groups: object) -> list[Any]:
    if not isinstance(groups, Iterable) or isinstance(groups, (str, bytes, Mapping)):
        raise FieldError("groups", groups, "is not a list: give a parameter group for each part of the model that has its own")
    return list(groups)


def _groups(groups: object) -> list[ParameterGroup]:
    """The parameter groups, each with a name that is text and a table of values; raises FieldError."""
    listed = _listed(groups)
    for group in listed:
        if not isinstance(group, ParameterGroup):
            raise FieldError("groups", group, "is not a parameter group: give ParameterGroup(name, values)")
        if not isinstance(group.name, str):
            raise FieldError("name of a group", group.name, "is not text: give a name, for example no decay")
        _table(group.name, group.values, OF_NUMBERS)
    return listed


def named_as_pytorch(values: Mapping[str, Any]) -> dict[str, Any]:
    """The same values with ``beta1`` and ``beta2`` joined to ``betas`` (at the place of beta1), where both are there."""
    if "beta1" not in values or "beta2" not in values:
        return dict(values)
    named: dict[str, Any] = {}
    for name, value in values.items():
        if name == "beta1":
            named["betas"] = [value, values["beta2"]]
        elif name != "beta2":
            named[name] = value
    return named


def _own_names(data: Mapping[str, Any]) -> dict[str, Any]:
    """The inverse of ``named_as_pytorch``."""
    values = dict(data)
    if "betas" in values:
        betas = values.pop("betas")
        if not isinstance(betas, (list, tuple)) or len(betas) != 2:
            raise FieldError("betas", betas, "is not a pair: give two decay rates, for example 0.9 0.999")
        values["beta1"], values["beta2"] = betas
    return values
