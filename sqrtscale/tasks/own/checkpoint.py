"""What files beside a task's say of the training that is gone on from: which checkpoint, at which hyperparameters. Data alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ...rules import ParameterGroup, TrainingConfig, family

ALIKE = ({"adam", "adamw"},)  # families whose states are the same


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint of the user's own run as it was when it was looked at.

    form: who writes such files; optimizer: the family of its state; steps: that it has made, where that is known.
    """

    path: str
    sha256: str
    form: str
    optimizer: str
    steps: float | None = None

    @property
    def words(self) -> str:
        """What it is, for people: by its name, without the folders above it."""
        steps = f" after {self.steps:,.0f} steps" if self.steps else ""
        return f"{Path(self.path).name} ({self.form}, {family(self.optimizer).label}{steps}, SHA-256 {self.sha256[:12]}…)"

    def suits(self, optimizer: str) -> bool:
        """Whether an optimizer of that family can go on with this state."""
        return optimizer == self.optimizer or any({optimizer, self.optimizer} <= alike for alike in ALIKE)

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON types; :meth:`from_dict` reads them back."""
        return {"path": self.path, "sha256": self.sha256, "form": self.form, "optimizer": self.optimizer, "steps": self.steps}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Checkpoint:
        """The inverse of :meth:`as_dict`."""
        steps = data["steps"]
        return cls(str(data["path"]), str(data["sha256"]), str(data["form"]), family(data["optimizer"]).name,
                   None if steps is None else float(steps))


OF_A_GROUP = ("lr", "lr_factor", "weight_decay", "eps")  # what a group may have of its own


@dataclass(frozen=True)
class Group:
    """A parameter group of the task: what it sets itself (names of OF_A_GROUP; lr_factor times the lr of the others), and the
    names of its parameters."""

    name: str
    values: tuple[tuple[str, float], ...]
    parameters: tuple[str, ...]

    def at(self, base: TrainingConfig) -> ParameterGroup:
        """The group beside a base configuration."""
        values = dict(self.values)
        factor = values.pop("lr_factor", None)
        return ParameterGroup(self.name, values if factor is None else values | {"lr": factor * base["lr"]})

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON types; :meth:`from_dict` reads them back."""
        return {"name": self.name, "values": dict(self.values), "parameters": list(self.parameters)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Group:
        """The inverse of :meth:`as_dict`."""
        return cls(str(data["name"]), tuple((str(name), float(value)) for name, value in data["values"].items()),
                   tuple(map(str, data["parameters"])))


@dataclass(frozen=True)
class KnownConfiguration:
    """As much of a base configuration as files say. source: which; batch_known: whether they say its batch, 1 where not."""

    config: TrainingConfig
    source: str
    batch_known: bool = False

    def at(self, batch: int) -> TrainingConfig:
        """The base configuration; batch: where the files say none."""
        return self.config if self.batch_known else replace(self.config, batch_size=batch)

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON types; :meth:`from_dict` reads them back."""
        return {"config": self.config.as_dict(), "source": self.source, "batch_known": self.batch_known}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> KnownConfiguration:
        """The inverse of :meth:`as_dict`."""
        return cls(TrainingConfig.from_dict(data["config"]), str(data["source"]), bool(data["batch_known"]))
