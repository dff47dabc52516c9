"""What a file gives once its format has read it: batch, questions, keys that were not read, and what a user must know."""

from __future__ import annotations

from collections.abc import Iterator

from ..rules import FieldError
from ._accounting import Leftover, leftovers
from ._batch_reading import read_batch
from ._document import shown
from ._doubles import double_scaling
from ._format import Format
from ._hazards import bf16_state, hazards, not_covered
from ._imported import Imported
from ._launcher import named_file
from ._optimizers import refuse_replaced
from ._reading import PASSES, STEPS, Reading, as_number

SETTLES = {
    "learning rate": ("lr",),
    "batch size": ("per_device", "batch_size"),
    "optimizer": ("optimizer",),
    "gradient accumulation": ("accumulation", "batch_size"),
}  # the question that makes a key of that kind harmless


def as_imported(reading: Reading, format: Format, function: str | None = None) -> Imported:
    """What the reading of a file in that format gives, with the questions about the batch that are left.

    Raises FieldError where a key that decides the answer was not read.
    """
    refuse_replaced(reading.document.data)
    file = named_file(reading.document)
    if file:
        _leave_to(reading, file)
    batch = read_batch(reading)
    unread = _unread(reading, format)
    return Imported(
        format=format.key,
        label=f"{format.label}, in wandb's config.yaml" if reading.document.fixed else format.label,
        syntax=reading.document.syntax,
        optimizer=reading.optimizer,
        hyperparameters=reading.values,
        batch=batch,
        run=reading.run,
        groups=tuple(reading.groups),
        places={name: shown(path) for name, path in reading.places.items() if reading.has(*path)},
        questions=tuple(reading.questions),
        assumed=(*reading.assumed.values(), *(f"{question.field} = {question.default} ({question.text})"
                                              for question in reading.questions if not question.required)),
        unread=tuple(unread),
        notes=(*reading.document.notes, *reading.notes, *hazards(reading.document.data)),
        double_scaling=tuple(dict.fromkeys((*reading.doubles, *double_scaling(reading.document.data, format.irrelevant)))),
        uncovered=(*reading.uncovered, *not_covered(reading.document.data)),
        batched_rate=reading.batched_rate,
        function=function,
        assumed_fields=frozenset(reading.assumed),
        bf16_state=reading.bf16_state or bf16_state(reading.document.data),
        following=tuple(_following(reading)),
    )


def _leave_to(reading: Reading, file: str) -> None:
    """What the program would take by default may stand in the file that a command names: then it is asked for."""
    reading.defaults.clear()
    reading.notes.append(f"{file} sets what the command does not, and is not read: give that file, with these options in it.")
    for name in [name for name in reading.assumed if name in reading.places and name in (*reading.values, *reading.run)]:
        del reading.assumed[name]
        if reading.run.pop(name, None) is None:
            reading.ask(name, f"The command names {file}, which may say {name}: which one?", reading.values.pop(name))
    if "optimizer" in reading.assumed and reading.has_a_key:
        del reading.assumed["optimizer"]
        reading.ask("optimizer", f"The command names {file}, which may say the optimizer: which one?", reading.optimizer)


def _following(reading: Reading) -> Iterator[str]:
    """What moves along with a field, a line each."""
    for path, name in reading.follows.items():
        how = "steps, divided by kappa" if name in (STEPS, PASSES) else f"moves as {name} does"
        yield f"{shown(path)} = {reading.get(*path)} ({how})"


def _unread(reading: Reading, format: Format) -> list[str]:
    """The keys that look like hyperparameters and were not read; raises FieldError for one that decides the answer."""
    accounted = reading.accounted | set(reading.places.values()) | set(reading.follows)
    rest = leftovers(reading.document, accounted, format.irrelevant)
    for leftover in rest:
        if leftover.decides and _is_open(reading, leftover):
            raise FieldError(
                shown(leftover.path),
                leftover.value,
                f"looks like {leftover.looks} and is not read here as "
                f"{format.label}, so no number would be right: take it out, or fill in the form",
            )
    return [str(leftover) for leftover in rest]


def _is_open(reading: Reading, leftover: Leftover) -> bool:
    """True where neither what was read nor a question settles what that key would say."""
    if {question.field for question in reading.questions} & set(SETTLES.get(leftover.kind, ())):
        return False
    if leftover.kind == "learning rate":
        return "lr" not in reading.values and reading.batched_rate is None
    if leftover.kind in ("batch size", "gradient accumulation"):
        return as_number(leftover.value) not in reading.batch.values()
    return True
