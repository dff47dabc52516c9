"""The file of a task with what was found by running it once: what a calibration keeps, so that it can be read for ever."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from ...rules import FieldError
from .checkpoint import Checkpoint, Group, KnownConfiguration

LONGEST_NAME = 24  # characters
VERSION = "@"  # between the name and the beginning of the hash


def without_version(task: str) -> str:
    """The name of a task as people say it: of one of their own without the hash."""
    return task.partition(VERSION)[0]


@dataclass(frozen=True)
class Facts:
    """What only running the file can say: trainable parameters, samples of both splits, names of its metrics.

    checkpoint, configuration: what the files say that it goes on from, where there are such; groups: parameters with values of
    their own.
    """

    parameters: int
    train_size: int
    validation_size: int
    metrics: tuple[str, ...] = ()
    checkpoint: Checkpoint | None = None
    configuration: KnownConfiguration | None = None
    groups: tuple[Group, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON types; :meth:`from_dict` reads them back. What is not there is left out."""
        always = {"parameters": self.parameters, "train_size": self.train_size, "validation_size": self.validation_size,
                  "metrics": list(self.metrics)}
        read = {"checkpoint": self.checkpoint, "configuration": self.configuration}
        groups = {"groups": [group.as_dict() for group in self.groups]} if self.groups else {}
        return always | {name: value.as_dict() for name, value in read.items() if value is not None} | groups

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Facts:
        """The inverse of :meth:`as_dict`."""
        return cls(int(data["parameters"]), int(data["train_size"]), int(data["validation_size"]),
                   tuple(map(str, data["metrics"])),
                   Checkpoint.from_dict(data["checkpoint"]) if data.get("checkpoint") else None,
                   KnownConfiguration.from_dict(data["configuration"]) if data.get("configuration") else None,
                   tuple(Group.from_dict(group) for group in data.get("groups", ())))


@dataclass(frozen=True)
class Finding:
    """A sentence of the check: good, a warning, or the reason why the file cannot be calibrated."""

    level: Literal["good", "warning", "bad"]
    text: str


@dataclass(frozen=True)
class OwnFile:
    """name: what users type; path: where the file lies; text: what it said when it was checked."""

    name: str
    path: str
    text: str
    facts: Facts
    findings: tuple[Finding, ...] = ()

    @property
    def sha256(self) -> str:
        """The hash of the text: another one is another version."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    @property
    def key(self) -> str:
        """What a plan calls it: the name and the beginning of the hash."""
        return f"{self.name}{VERSION}{self.sha256[:12]}"

    @property
    def usable(self) -> bool:
        """Whether the check found nothing that forbids a calibration."""
        return all(finding.level != "bad" for finding in self.findings)

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON types, the hash among them; :meth:`from_dict` reads them back."""
        return {"name": self.name, "path": self.path, "sha256": self.sha256, "text": self.text, "facts": self.facts.as_dict(),
                "findings": [asdict(finding) for finding in self.findings]}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> OwnFile:
        """The inverse of :meth:`as_dict`; raises FieldError for what is no such file."""
        try:
            file = cls(check_name(data["name"]), str(data["path"]), str(data["text"]), Facts.from_dict(data["facts"]),
                       tuple(Finding(finding["level"], str(finding["text"])) for finding in data["findings"]))
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            if isinstance(error, FieldError):
                raise
            raise FieldError("task", "stored with it", "is no task of this version of sqrtscale: add its file again") from error
        if file.sha256 != data.get("sha256"):
            raise FieldError("task", file.name, "has another text than the one that was stored: add its file again")
        return file


def check_name(name: object) -> str:
    """The name of a task of one's own; raises FieldError for one that cannot stand in lists and addresses."""
    if not isinstance(name, str) or not re.fullmatch(rf"[A-Za-z][A-Za-z0-9_-]{{0,{LONGEST_NAME - 1}}}", name):
        raise FieldError("name", name, f"is no name: give a letter, then up to {LONGEST_NAME - 1} letters, digits, - and _")
    return name
