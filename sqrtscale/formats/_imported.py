"""What an import gives: a configuration with its gaps, and what a user must know about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from ..rules import RUN_FIELDS, FieldError, ParameterGroup, TrainingConfig, family
from ..rules.batch import Batch

BATCH_PARTS = ("per_device", "accumulation", "devices")
NONE: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True)
class Question:
    """Something the file does not say.

    field: its name ("devices", "per_device", "accumulation", "batch_size", "optimizer" or a field of a
    configuration); text: one sentence, what is asked and why; default: a suggestion, or None.
    """

    field: str
    text: str
    default: int | float | str | None = None


@dataclass(frozen=True)
class BatchedRate:
    """A learning rate that the program computes from its global batch: lr (batch / size)^power."""

    lr: float
    size: int
    power: float

    def at(self, batch_size: int) -> float:
        """The learning rate at that global batch."""
        return self.lr * (batch_size / self.size) ** self.power


@dataclass(frozen=True)
class Imported:
    """A file that was recognised and read.

    format, label: key and human name of the format; syntax: how the text is written; optimizer: name of a family, or
    None; hyperparameters, run, groups: as in TrainingConfig, with the format's own defaults filled in; per_device,
    accumulation, devices, global_batch: the batch as far as the file says; questions: what must be answered before there
    is a configuration, and nothing else; notes: ambiguities and assumptions; double_scaling: which key scales again
    with the batch, and what to set instead; batched_rate: set where lr depends on the global batch.
    """

    format: str
    label: str
    syntax: str
    optimizer: str | None
    hyperparameters: Mapping[str, float]
    per_device: int | None = None
    accumulation: int = 1
    devices: int | None = None
    global_batch: int | None = None
    run: Mapping[str, Any] = field(default_factory=dict)
    groups: tuple[ParameterGroup, ...] = ()
    questions: tuple[Question, ...] = ()
    notes: tuple[str, ...] = ()
    double_scaling: tuple[str, ...] = ()
    batched_rate: BatchedRate | None = None

    def config(self, answers: Mapping[str, Any] = NONE) -> TrainingConfig:
        """The configuration, with answers to the questions and, under the same names, corrections of what was read.

        Raises FieldError for a question without an answer and for a value that its field cannot hold.
        """
        for question in self.questions:
            whole = question.field in BATCH_PARTS and answers.get("batch_size") is not None  # says what its parts would
            if answers.get(question.field) is None and not whole:
                raise FieldError(question.field, None, f"is not in the file: {question.text}")
        kin = family(answers.get("optimizer") or self.optimizer)
        for name, value in answers.items():
            if name not in ("optimizer", "batch_size", *BATCH_PARTS, *kin.fields, *RUN_FIELDS):
                raise FieldError(name, value, f"is not a field of {kin.label}: it has {', '.join(kin.fields)}")
        given = {name: value for name, value in answers.items() if value is not None}
        batch_size = self._batch_size(given)
        rate = {"lr": self.batched_rate.at(batch_size)} if self.batched_rate and "lr" not in self.hyperparameters else {}
        return TrainingConfig(
            kin.name, batch_size,
            {**rate, **self.hyperparameters, **{name: given[name] for name in kin.fields if name in given}},
            run={**self.run, **{name: given[name] for name in RUN_FIELDS if name in given}}, groups=self.groups)

    def parts(self, answers: Mapping[str, Any] = NONE) -> Batch | None:
        """The global batch in parts, where the file and the answers say all of them; None otherwise."""
        given = [answers.get(name) or getattr(self, name) for name in BATCH_PARTS]
        found = None if None in given else Batch(*given)
        return found if found and found.size == self.config(answers).batch_size else None

    def _batch_size(self, given: Mapping[str, Any]) -> int:
        if "batch_size" in given:
            return given["batch_size"]
        if self.global_batch is not None and not any(name in given for name in BATCH_PARTS):
            return self.global_batch
        return Batch(*(given.get(name, getattr(self, name)) for name in BATCH_PARTS)).size


@dataclass(frozen=True)
class Patched:
    """text: the file with the scaled values; diff: unified, before and after; notes: what had to be left to the user."""

    text: str
    diff: str
    notes: tuple[str, ...] = ()
