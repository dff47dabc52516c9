"""TrainingConfig: everything about an optimizer and its batch that the rule can move."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from .errors import FieldError, whole
from .families import family

LARGEST_BATCH = 10**12


@dataclass(frozen=True)
class TrainingConfig:
    """An optimizer, its hyperparameters, the global batch size and the lengths counted in steps.

    optimizer: name of a family (``adam``, ``adamw``, ``rmsprop``).
    batch_size: global batch size in samples (per device x accumulation x devices).
    hyperparameters: one number per field of the family; a field left out takes the library's default.
    total_steps, warmup_steps: lengths in optimizer steps, or None when not given.

    Raises FieldError for a value that its field cannot hold, and for a field the family does not have.
    """

    optimizer: str
    batch_size: int
    hyperparameters: Mapping[str, float] = field(default_factory=dict)
    total_steps: int | None = None
    warmup_steps: int | None = None

    def __post_init__(self):
        kin = family(self.optimizer)
        object.__setattr__(self, "optimizer", kin.name)
        object.__setattr__(self, "batch_size", whole("batch_size", self.batch_size, 1, 256, LARGEST_BATCH))
        for name in self.hyperparameters:
            if name not in kin.fields:
                allowed = f"is not a field of {kin.label}: it has {', '.join(kin.fields)}"
                raise FieldError(name, self.hyperparameters[name], allowed)
        values = {
            name: field.kind.check(name, self.hyperparameters.get(name, field.default))
            for name, field in kin.fields.items()
        }
        object.__setattr__(self, "hyperparameters", MappingProxyType(values))
        if self.total_steps is not None:
            object.__setattr__(self, "total_steps", whole("total_steps", self.total_steps, 1, 100_000))
        if self.warmup_steps is not None:
            object.__setattr__(self, "warmup_steps", whole("warmup_steps", self.warmup_steps, 0, 2_000))
            if self.total_steps is not None and self.warmup_steps > self.total_steps:
                allowed = f"is longer than the run: give at most total_steps = {self.total_steps}"
                raise FieldError("warmup_steps", self.warmup_steps, allowed)

    def __getitem__(self, name: str) -> float:
        """The value of a hyperparameter, for example ``config["lr"]``."""
        return self.hyperparameters[name]

    def __hash__(self):
        return hash((self.optimizer, self.batch_size, tuple(self.hyperparameters.items()), self.total_steps, self.warmup_steps))

    def __eq__(self, other):
        return isinstance(other, TrainingConfig) and self.as_dict() == other.as_dict()

    def __reduce__(self):  # a mapping proxy does not pickle, and pages cache by configuration
        return (
            TrainingConfig,
            (self.optimizer, self.batch_size, dict(self.hyperparameters), self.total_steps, self.warmup_steps),
        )

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON types under PyTorch's argument names (beta1 and beta2 as one ``betas`` list)."""
        return named_as_pytorch({"optimizer": self.optimizer, **self.hyperparameters,
                                 "batch_size": self.batch_size, "total_steps": self.total_steps,
                                 "warmup_steps": self.warmup_steps})

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> TrainingConfig:
        """The inverse of :meth:`as_dict`; raises FieldError for what does not fit."""
        values = dict(data)
        if "betas" in values:
            betas = values.pop("betas")
            if not isinstance(betas, (list, tuple)) or len(betas) != 2:
                raise FieldError("betas", betas, "is not a pair: give two decay rates, for example 0.9 0.999")
            values["beta1"], values["beta2"] = betas
        common = {key: values.pop(key, None) for key in ("optimizer", "batch_size", "total_steps", "warmup_steps")}
        return cls(hyperparameters=values, **common)


def named_as_pytorch(values: Mapping[str, Any]) -> dict[str, Any]:
    """The same values with ``beta1`` and ``beta2`` joined to ``betas`` (at the place of beta1)."""
    named: dict[str, Any] = {}
    for name, value in values.items():
        if name == "beta1":
            named["betas"] = [value, values["beta2"]]
        elif name != "beta2":
            named[name] = value
    return named
