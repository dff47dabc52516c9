"""What an import gives: a configuration with its gaps, and what a user must know about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from ..rules import RUN_FIELDS, FieldError, ParameterGroup, ScaledConfig, TrainingConfig, family
from ..rules.batch import Batch
from ..rules.validity import bf16_state_warning
from ._batches import BATCH_PARTS, BatchParts

NONE: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True)
class Question:
    """Something the file does not say.

    field: its name ("devices", "per_device", "accumulation", "batch_size", "optimizer" or a field of a
    configuration); text: one sentence, what is asked and why; default: a suggestion, or None; required: False for one
    whose default stands where nobody answers.
    """

    field: str
    text: str
    default: int | float | str | None = None
    required: bool = True


@dataclass(frozen=True)
class BatchedRate:
    """A learning rate that the program computes from its global batch: lr (batch / size)^power."""

    lr: float
    size: int
    power: float

    def at(self, batch_size: int) -> float:
        """The learning rate at that global batch."""
        factor: float = (batch_size / self.size) ** self.power
        return self.lr * factor


@dataclass(frozen=True)
class Imported:
    """A file that was recognised and read.

    format, label: key and human name of the format; syntax: how the text is written; function: which of several functions
    was read; optimizer: name of a family, or None; hyperparameters, run, groups: as in TrainingConfig, with the program's
    own defaults filled in (never a learning rate); batch: as far as the file says; places: our name -> where the file has
    it; questions: what must be answered before there is a configuration, and nothing else.

    What a user must know, each a tuple of sentences: assumed: what the file leaves to its program's defaults; unread: keys
    that look like hyperparameters and were not read; notes: ambiguities; double_scaling: which key scales again with the
    batch, and what to set instead; uncovered: why the rule promises nothing for this training. batched_rate: set where lr
    depends on the global batch; assumed_fields: the names behind ``assumed``; bf16_state: the key by which second moments are
    kept in bfloat16, or empty; following: what moves along with a field.
    """

    format: str
    label: str
    syntax: str
    optimizer: str | None
    hyperparameters: Mapping[str, float]
    batch: BatchParts
    run: Mapping[str, Any] = field(default_factory=dict)
    groups: tuple[ParameterGroup, ...] = ()
    places: Mapping[str, str] = field(default_factory=dict)
    questions: tuple[Question, ...] = ()
    assumed: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    double_scaling: tuple[str, ...] = ()
    uncovered: tuple[str, ...] = ()
    batched_rate: BatchedRate | None = None
    function: str | None = None
    assumed_fields: frozenset[str] = frozenset()
    bf16_state: str = ""
    following: tuple[str, ...] = ()

    @property
    def lines(self) -> tuple[str, ...]:
        """What was read, one "our name = value (its place)" each."""
        parts = {name: getattr(self.batch, name) for name in BATCH_PARTS}
        parts |= {"global_batch": self.batch.total, **self.batch.products}
        values = {"optimizer": self.optimizer, **self.hyperparameters, **parts, **self.run}
        read = (f"{name} = {_text(value)} ({self.places[name]})" for name, value in values.items()
                if value is not None and name in self.places)
        return (*read, *self.following)

    def config(self, answers: Mapping[str, Any] = NONE) -> TrainingConfig:
        """The configuration, with answers to the questions and, under the same names, corrections of what was read.

        Raises FieldError for a question without an answer and for a value that its field cannot hold.
        """
        for question in self.questions:
            whole = question.field in BATCH_PARTS and answers.get("batch_size") is not None  # says what its parts would
            if question.required and answers.get(question.field) is None and not whole:
                raise FieldError(question.field, None, f"is not in the file: {question.text}")
        optimizer = family(answers.get("optimizer") or self.optimizer)
        for name, value in answers.items():
            if name not in ("optimizer", "batch_size", *BATCH_PARTS, *optimizer.fields, *RUN_FIELDS):
                raise FieldError(name, value, f"is not a field of {optimizer.label}: it has {', '.join(optimizer.fields)}")
        given = {name: value for name, value in answers.items() if value is not None}
        batch_size = self._batch_size(given)
        rate = {"lr": self.batched_rate.at(batch_size)} if self.batched_rate and "lr" not in self.hyperparameters else {}
        values = {name: value for name, value in self.hyperparameters.items()
                  if name in optimizer.fields or name not in self.assumed_fields}
        return TrainingConfig(
            optimizer.name,
            batch_size,
            {**rate, **values, **{name: given[name] for name in optimizer.fields if name in given}},
            run={**self.run, **{name: given[name] for name in RUN_FIELDS if name in given}},
            groups=self.groups,
        )

    def problems(self, scaled: ScaledConfig) -> tuple[str, ...]:
        """Why the scaled values may not be taken as they are: scaled twice, not covered, lost in bfloat16; empty for none."""
        betas = [beta for row in scaled.fields if row.name == "beta2" and self.bf16_state for beta in (row.base, row.scaled)]
        warnings = [bf16_state_warning(beta) for beta in betas if beta is not None]
        lost = [f"{self.bf16_state}: {warning}" for warning in warnings if warning]
        return (*self.double_scaling, *self.uncovered, *dict.fromkeys(lost))

    def parts(self, answers: Mapping[str, Any] = NONE) -> Batch | None:
        """The global batch in parts, where the file and the answers say all of them; None otherwise."""
        return self.batch.corrected(answers).batch

    def _batch_size(self, given: Mapping[str, Any]) -> int:
        solved = self.batch.corrected(given)
        if solved.total is None:
            raise FieldError("batch_size", None, f"is not in the file: give it, or {' and '.join(solved.unknown)}")
        return solved.total


def _text(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, tuple) else str(value)


@dataclass(frozen=True)
class Patched:
    """text: the file with the scaled values; diff: unified, before and after; notes: what had to be left to the user."""

    text: str
    diff: str
    notes: tuple[str, ...] = ()
