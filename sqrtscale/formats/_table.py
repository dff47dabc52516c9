"""A format that is a table: where each field stands, what it is called, and what its program assumes. One reader for all.

To add one: copy ``levanter.py``. Paths are dotted ("optimizer.betas.0"); of several the first that the file has counts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..rules import RUN_FIELDS
from ._document import Document, dotted
from ._format import Format, path_of
from ._optimizers import covered
from ._reading import STEPS, Reading, as_number

COUNTED = ("per_device", "accumulation", "devices", "global_batch", "forward_batch", "passes")


@dataclass(frozen=True)
class Optimizer:
    """Where the optimizer's name stands, and the program's names (lower case) -> our families.

    default: the program's own where the file names none, as one of ``names``; None: it is asked for. last: only the part
    of the name behind the last dot counts ("torch.optim.AdamW").
    """

    paths: tuple[str, ...]
    names: Mapping[str, str]
    default: str | None = None
    last: bool = False


@dataclass(frozen=True)
class Row:
    """One field: our name, its places in the file, and what the program takes without it.

    name: a hyperparameter, a field of the run, a part of the batch (COUNTED: forward_batch is per_device x
    devices, passes is accumulation x devices), or
    "warmup" for a number of steps that is a share of the run where it is below 1;
    paths: empty for what the program sets itself (then ``default`` is its value); default: None for a field of the run
    assumes nothing, for a hyperparameter the family's own; off: values by which the file switches the field off; ask: the
    question where the file has no value and the program's versions differ, with ``default`` as the suggestion.
    """

    name: str
    paths: tuple[str, ...] = ()
    default: Any = None
    off: tuple[Any, ...] = (0, -1)
    ask: str = ""


@dataclass(frozen=True)
class Note:
    """A sentence for a file that has a value there for which ``when`` holds."""

    path: str
    text: str
    when: Callable[[Any], bool] = bool


@dataclass(frozen=True)
class Table:
    """A format as data.

    signature, syntaxes, over, irrelevant, patchable: as in Format; optimizer, rows: what is read (a function reads an
    optimizer that is named by its class); schedule: the path of its name, and the program's names -> ours; along: path -> the
    field by whose ratio the number there moves too; steps: further numbers of steps, divided by kappa; parallel: degrees of
    model parallelism, whose devices share one copy of the model; notes: sentences for some files, remarks: for all; more:
    what no table can say, run last; view: the arrangement of a document that is read (``_view.py``).
    """

    key: str
    label: str
    signature: Callable[[Document], tuple[str, ...]]
    optimizer: Optimizer | Callable[[Reading], None]
    rows: tuple[Row, ...]
    syntaxes: tuple[str, ...] = ("yaml",)
    schedule: tuple[str, Mapping[str, str]] | None = None
    along: Mapping[str, str] = field(default_factory=dict)
    steps: tuple[str, ...] = ()
    parallel: tuple[str, ...] = ()
    notes: tuple[Note, ...] = ()
    remarks: tuple[str, ...] = ()
    more: Callable[[Reading], None] | None = None
    view: Callable[[Document], Document] | None = None
    over: tuple[str, ...] = ()
    irrelevant: tuple[str, ...] = ()
    patchable: bool = True

    @property
    def format(self) -> Format:
        """The table as one of the formats."""
        return Format(self.key, self.label, self.syntaxes, self.signature, self.read, self.over, self.irrelevant, self.patchable)

    def read(self, document: Document) -> Reading:
        """Read a document; raises FieldError for a value that its field cannot hold and an optimizer without a rule."""
        reading = Reading(self.view(document) if self.view else document, self.label)
        if isinstance(self.optimizer, Optimizer):
            _read_optimizer(reading, self.optimizer)
        else:
            self.optimizer(reading)
        for row in self.rows:
            _read_row(reading, row)
        if self.schedule:
            reading.choice("schedule", *path_of(self.schedule[0]), names=self.schedule[1])
        for path, name in {**self.along, **dict.fromkeys(self.steps, STEPS)}.items():
            reading.along(name, *path_of(path))
        for path in self.parallel:
            *around, name = path.split(".")
            reading.share_a_model([name], *around)
        reading.notes += [note.text for note in self.notes if note.when(reading.get(*path_of(note.path)))]
        reading.notes += self.remarks
        if self.more:
            self.more(reading)
        return reading


def _read_optimizer(reading: Reading, about: Optimizer) -> None:
    place = reading.first(*map(path_of, about.paths)) if about.paths else ()
    name = reading.text(*place) if place else None
    reading.has_a_key = bool(place)
    if name is None:
        if about.default is None:
            reading.ask("optimizer", "Which optimizer does the run use? The file does not say.", "adamw")
        else:
            reading.chosen(about.names[about.default])
            reading.assumed["optimizer"] = f"optimizer = {reading.optimizer} ({reading.library}'s default)"
        return
    reading.places["optimizer"] = place
    wanted = name.rpartition(".")[2] if about.last else name
    reading.chosen(covered(dotted(place), wanted, about.names))


def _read_row(reading: Reading, row: Row) -> None:
    paths = [path_of(path) for path in row.paths]
    if row.name in COUNTED:
        place = reading.first(*paths)
        if reading.has(*place) and as_number(reading.get(*place)) in row.off:
            reading.places[row.name] = place
        else:
            reading.count(row.name, *place, default=row.default)
            if row.name == "global_batch" and row.default is not None:
                reading.defaults.pop("accumulation", None)  # it follows from that total
    elif row.name == "lr":
        reading.rate(*reading.first(*paths))
    elif row.name in (*RUN_FIELDS, "warmup") and paths:
        _read_of_the_run(reading, row)
    elif reading.optimizer and row.name not in (*reading.fields, *RUN_FIELDS):
        return  # another optimizer's
    elif not paths:
        reading.fix(row.name, row.default)
    else:
        _read_hyperparameter(reading, row)


def _read_of_the_run(reading: Reading, row: Row) -> None:
    place = reading.first(*map(path_of, row.paths))
    value = as_number(reading.get(*place))
    if value in row.off or (value is None and row.default is None):
        return
    share = isinstance(value, (int, float)) and 0 < value < 1
    if row.name == "warmup":
        reading.take("warmup_fraction" if share else "warmup_steps", *place, default=row.default)
    elif not (row.name.endswith("_interval") and (share or not isinstance(value, (int, float, type(None))))):  # epochs, shares
        reading.take(row.name, *place, default=row.default)


def _read_hyperparameter(reading: Reading, row: Row) -> None:
    place = reading.first(*map(path_of, row.paths))
    if row.ask and not reading.has(*place):
        reading.places[row.name] = place
        reading.ask(row.name, row.ask, row.default)
    elif reading.optimizer or reading.has(*place):
        reading.take(row.name, *place, default=row.default)
