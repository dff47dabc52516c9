"""Reading one file: values by path, checked under the file's own names; what was assumed, asked and said on the way."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ..rules import FAMILIES, RUN_FIELDS, FieldError, ParameterGroup, family
from ..rules.errors import real, whole
from ._document import Document, Path, Unread, shown
from ._doubles import double_scaling
from ._imported import BatchedRate, Imported, Question
from ._yaml import number

AUTO = "auto"
DEVICES = Question("devices", "How many data-parallel devices does it run on? The global batch is per device x accumulation x "
                   "devices, and devices that share one copy of the model count as one.")
PER_DEVICE = Question("per_device", "How many samples does one device take in one forward pass?")
BATCH_SIZE = Question("batch_size", "How many samples does one optimizer step see, over all devices and accumulated passes?")
ACCUMULATION = Question("accumulation", "How many passes are accumulated before an optimizer step?", 1)


@dataclass(frozen=True)
class Format:
    """A format: its key and human name, the syntaxes it is written in, how well a document fits it (0: not at all),
    and how it is read."""

    key: str
    label: str
    syntaxes: tuple[str, ...]
    fits: Callable[[Document], int]
    read: Callable[[Document], Reading]


def hits(document: Document, *names: str) -> int:
    """How many of those keys the document has at its root."""
    return sum(name in document.data for name in names) if isinstance(document.data, dict) else 0


class Reading:
    """A file being read, and afterwards the map from our names to the file's.

    places: our name -> path of its value (of the batch too: per_device, accumulation, devices, global_batch);
    follows: path -> name of the field by whose ratio the value there moves as well; group_places: the places of
    each parameter group; autos: names that the file sets to "auto".
    """

    def __init__(self, document: Document, library: str = ""):
        self.document = document
        self.library = library
        self.optimizer: str | None = None
        self.values: dict[str, Any] = {}
        self.run: dict[str, Any] = {}
        self.batch: dict[str, int | None] = {"per_device": None, "accumulation": 1, "devices": None, "global_batch": None}
        self.places: dict[str, Path] = {}
        self.follows: dict[Path, str] = {}
        self.groups: list[ParameterGroup] = []
        self.group_places: list[Mapping[str, Path]] = []
        self.autos: list[str] = []
        self.assumed: list[str] = []
        self.questions: list[Question] = []
        self.notes: list[str] = []
        self.doubles: list[str] = []
        self.batched_rate: BatchedRate | None = None

    def get(self, *path: str | int) -> Any:
        """The value at a path, None where it is null or absent; raises FieldError for an expression of a program."""
        found = self.document.get(path)
        if isinstance(found, Unread):
            raise FieldError(shown(path), found, "is only known when the program runs: write its value in its place")
        return found

    def chosen(self, name: object) -> None:
        """Settle the optimizer by our name for it; raises FieldError where the rule does not cover it."""
        self.optimizer = family(name).name

    def text(self, *path: str | int, default: str | None = None) -> str | None:
        """A text; raises FieldError for anything else."""
        found = self.get(*path)
        if found is not None and not isinstance(found, str):
            raise FieldError(shown(path), found, "is not a text: correct the file")
        return default if found is None else found

    def table(self, *path: str | int) -> Mapping[str, Any]:
        """A mapping, empty where there is none; raises FieldError for anything else."""
        found = self.get(*path)
        if found is not None and not isinstance(found, dict):
            raise FieldError(shown(path), found, "is not a table of settings: correct the file")
        return found or {}

    def switch(self, *path: str | int) -> bool:
        """A yes or no; raises FieldError for anything else."""
        found = self.get(*path)
        if found is not None and not isinstance(found, bool):
            raise FieldError(shown(path), found, "is not true or false: correct the file")
        return bool(found)

    def number(self, *path: str | int) -> float | None:
        """A finite number, also as text; raises FieldError for anything else."""
        found = self.get(*path)
        return None if found is None else real(shown(path), as_number(found), "is not a number: correct the file")

    def take(self, name: str, *path: str | int, default: Any = None) -> None:
        """Read a hyperparameter or a field of the run from its place; ``default`` is what the library takes without it."""
        self.places[name] = path
        if name in ("beta1", "beta2") and isinstance(path[-1], int):
            self._pair(*path[:-1])
        found = as_number(self.get(*path))
        known = RUN_FIELDS if name in RUN_FIELDS else FAMILIES[self.optimizer].fields if self.optimizer else {}
        if found == AUTO:
            self.autos.append(name)
            if name == "lr":  # no default is a guess good enough
                return
            found = None
        elif found is None and default is None and name not in RUN_FIELDS and name in known:
            default = known[name].default
        if found is None and default is not None:
            self.assumed.append(f"{shown(path)} = {default!r}")
            found = default
        if found is not None:
            kind = known[name].kind if name in known else None
            checked = kind.check(shown(path), found) if kind else real(shown(path), found, "is not a number: correct the file")
            (self.run if name in RUN_FIELDS else self.values)[name] = checked

    def _pair(self, *path: str | int) -> None:
        found = self.get(*path)
        if found is not None and not (isinstance(found, list) and len(found) == 2):
            raise FieldError(shown(path), found, "is not a pair: give two decay rates, for example 0.9 and 0.999")

    def count(self, part: str, *path: str | int, default: int | None = None, example: int = 8) -> None:
        """Read a part of the batch; null stays unknown, and so does "auto"."""
        self.places[part] = path
        found = as_number(self.get(*path))
        if found == AUTO:
            self.autos.append(part)
            self.batch[part] = None
            return
        if found is None and default is not None:
            self.assumed.append(f"{shown(path)} = {default}")
            found = default
        if found is not None:
            self.batch[part] = whole(shown(path), found, 1, example, 10**12)

    def along(self, name: str, *path: str | int) -> None:
        """The number at that path moves by the same ratio as the field ``name``."""
        if self.number(*path):
            self.follows[path] = name

    def choice(self, name: str, *path: str | int, names: Mapping[str, str]) -> None:
        """A field of the run that is one of several names; one that we have no word for becomes a note."""
        found = self.get(*path)
        word = str(found).lower() if found is not None else None
        if word in names:
            self.run[name] = names[word]
        elif word is not None:
            self.notes.append(f"{shown(path)} = {word!r:.60} has no name here: make it a function of samples seen, as every "
                              "schedule must be.")

    def imported(self, kind: Format) -> Imported:
        """The result, with the questions about the batch that are left."""
        batch = self.batch
        if batch["global_batch"] is None:
            self._ask_for_the_batch()
        elif batch["devices"] is None and batch["per_device"] and batch["accumulation"]:
            share, rest = divmod(batch["global_batch"], batch["per_device"] * batch["accumulation"])
            batch["devices"] = share if rest == 0 and share else None
        if self.assumed:
            known = ", ".join(self.assumed)
            self.notes.append(f"Not given in the file, so defaults of {self.library or kind.label} stand: {known}.")
        return Imported(
            kind.key, kind.label, self.document.syntax, self.optimizer, self.values, batch["per_device"],
            batch["accumulation"] or 1, batch["devices"], batch["global_batch"], self.run, tuple(self.groups),
            tuple(self.questions), tuple(self.notes), (*self.doubles, *double_scaling(self.document.data)), self.batched_rate)

    def _ask_for_the_batch(self) -> None:
        batch = self.batch
        asked = any(question.field == "per_device" for question in self.questions)
        nowhere = "per_device" not in self.places and not asked
        if batch["per_device"] is None and (nowhere or batch["accumulation"] is None):
            self.questions.append(BATCH_SIZE)
            return
        wanted = {"per_device": PER_DEVICE, "accumulation": ACCUMULATION, "devices": DEVICES}
        missing = [part for part in wanted if batch[part] is None]
        self.questions += [wanted[part] for part in missing if not (part == "per_device" and asked)]
        if not missing:
            batch["global_batch"] = batch["per_device"] * batch["accumulation"] * batch["devices"]


def as_number(value: Any) -> Any:
    """A number that stands as text ("2e-4") as the number; anything else as it is."""
    found = number(value.strip()) if isinstance(value, str) else None
    return value if found is None else found
