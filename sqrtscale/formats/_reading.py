"""Reading one file: values by path, checked under the file's own names; what was assumed, asked and said on the way."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, overload

from ..rules import FAMILIES, RUN_FIELDS, Field, FieldError, ParameterGroup, family
from ..rules.errors import real, whole
from ._document import Document, Path, Unread, shown
from ._imported import BatchedRate, Question
from ._optimizers import covered
from ._references import followed
from ._yaml import parse_number

AUTO = "auto"
STEPS = "steps"  # what ``follows`` says of a number of steps that no field of ours holds
PASSES = "passes"  # the same of a number of passes of all devices, which accumulation leaves alone
LOSS_REDUCTION = (
    "loss_reduction",
    "Mean or sum? Where the loss is summed over the batch, gradients grow with it: then eps, clipping and L2 move otherwise.",
    "mean",
)


class Reading:
    """A file being read, and afterwards the map from our names to the file's.

    has_a_key: True where the program has a key for the optimizer; places: our name -> path of its value (of the batch too:
    per_device, accumulation, devices, global_batch, and products of two: process_batch = per_device x accumulation,
    forward_batch = per_device x devices, passes = accumulation x devices); follows: path -> name of the field by whose ratio
    the value there moves as well, STEPS or PASSES; group_places: the places of each parameter group; sharing: devices that
    share one copy of the model; autos: names that the file sets to "auto"; accounted: paths that were looked at; defaults:
    parts of the batch that the program has where neither the file nor the total says them; settings: path -> what the export
    writes there whatever the target; derived: names whose value here is not the number of the file; multiple_of: what every
    batch of the program is a multiple of.
    """

    def __init__(self, document: Document, library: str = ""):
        self.document = document
        self.library = library
        self.optimizer: str | None = None
        self.has_a_key = False
        self.values: dict[str, Any] = {}
        self.run: dict[str, Any] = {}
        self.batch: dict[str, int | None] = {"per_device": None, "accumulation": None, "devices": None, "global_batch": None}
        self.defaults: dict[str, int] = {"accumulation": 1}
        self.places: dict[str, Path] = {}
        self.follows: dict[Path, str] = {}
        self.groups: list[ParameterGroup] = []
        self.group_places: list[Mapping[str, Path]] = []
        self.autos: list[str] = []
        self.accounted: set[Path] = set()
        self.assumed: dict[str, str] = {}
        self.questions: list[Question] = []
        self.sharing = 1
        self.notes: list[str] = []
        self.doubles: list[str] = []
        self.uncovered: list[str] = []
        self.batched_rate: BatchedRate | None = None
        self.bf16_state = ""
        self.settings: dict[Path, Any] = {}
        self.derived: set[str] = set()
        self.multiple_of = 1

    def get(self, *path: str | int) -> Any:
        """The value at a path, None where it is null or absent; raises FieldError for an expression of a program."""
        path = followed(self.document, path)
        value = self.document.get(path)
        if isinstance(value, Unread):
            raise FieldError(shown(path), value, "is only known when the program runs: write its value in its place")
        if not isinstance(value, dict):
            self.accounted.add(path)
        return value

    def has(self, *path: str | int) -> bool:
        """True where the file has a value there that is not null."""
        return self.document.get(followed(self.document, path)) is not None

    def first(self, *paths: Path) -> Path:
        """The first of the paths that the file has a value at, or else the first of all."""
        return next((path for path in paths if self.has(*path)), paths[0])

    def chosen(self, name: object) -> None:
        """Settle the optimizer by our name for it; raises FieldError where the rule does not cover it."""
        self.optimizer = family(name).name

    def named(self, names: Mapping[str, str], *path: str | int, default: str) -> None:
        """Settle the optimizer by the program's name for it at that path, or by its default; raises FieldError."""
        name = self.text(*path)
        self.chosen(covered(shown(path), default if name is None else name, names))
        self.has_a_key = True
        if name is None:
            self.assumed["optimizer"] = f"optimizer = {self.optimizer} ({shown(path)}: the default of {self.library})"
        else:
            self.places["optimizer"] = path

    @property
    def fields(self) -> Mapping[str, Field]:
        """The hyperparameters of the optimizer; none while that is not settled."""
        return FAMILIES[self.optimizer].fields if self.optimizer else {}

    @overload
    def text(self, *path: str | int, default: str) -> str: ...

    @overload
    def text(self, *path: str | int, default: None = None) -> str | None: ...

    def text(self, *path: str | int, default: str | None = None) -> str | None:
        """A text; raises FieldError for anything else."""
        value = self.get(*path)
        if value is not None and not isinstance(value, str):
            raise FieldError(shown(path), value, "is not a text: correct the file")
        return default if value is None else value

    def table(self, *path: str | int) -> Mapping[str | int, Any]:
        """A mapping, empty where there is none; raises FieldError for anything else."""
        value = self.get(*path)
        if value is not None and not isinstance(value, dict):
            raise FieldError(shown(path), value, "is not a table of settings: correct the file")
        return value or {}

    def switch(self, *path: str | int) -> bool:
        """A yes or no; raises FieldError for anything else."""
        value = self.get(*path)
        if value is not None and not isinstance(value, bool):
            raise FieldError(shown(path), value, "is not true or false: correct the file")
        return bool(value)

    def _amount(self, *path: str | int) -> Any:
        """A number, also as text, or any other value; raises FieldError for a reference out of the file."""
        value = self.get(*path)
        if isinstance(value, str) and value.startswith("${"):
            raise FieldError(shown(path), value, "is only known when the program runs: write its value in its place")
        return as_number(value)

    def number(self, *path: str | int) -> float | None:
        """A finite number, also as text; raises FieldError for anything else."""
        value = self.get(*path)
        return None if value is None else real(shown(path), as_number(value), "is not a number: correct the file")

    def ask(self, field: str, text: str, default: Any = None, required: bool = True) -> None:
        """Put a question, once."""
        if all(question.field != field for question in self.questions):
            self.questions.append(Question(field, text, default, required))

    def rate(self, *path: str | int) -> None:
        """Read the learning rate; where the file has none it is asked for, whatever its program would take."""
        self.places["lr"] = path = followed(self.document, path)
        if not self.has(*path) or self.get(*path) == AUTO:
            if self.get(*path) == AUTO:
                self.autos.append("lr")
            self.ask("lr", f"Which learning rate does the run start from? The file does not say {shown(path)}.")
        else:
            self.take("lr", *path)

    def take(self, name: str, *path: str | int, default: Any = None) -> None:
        """Read a hyperparameter or a field of the run from its place; ``default`` is what the library takes without it."""
        self.places[name] = path = followed(self.document, path)
        if name in ("beta1", "beta2") and isinstance(path[-1], int):
            self._pair(*path[:-1])
        value = self._amount(*path)
        if value == AUTO:
            self.autos.append(name)
            if name == "lr":  # no default is a guess good enough
                return
            value = None
        elif value is None and default is None and name not in RUN_FIELDS:
            default = self._family_default(name)
        if value is None and default is not None:
            self.assumed[name] = f"{name} = {default!r} ({shown(path)}: the default of {self.library})"
            value = default
        if value is not None:
            self._keep(name, shown(path), value)

    def fix(self, name: str, value: Any) -> None:
        """A hyperparameter that the program itself sets, and the file has no key for."""
        self.assumed[name] = f"{name} = {value!r} (set by {self.library} itself, which has no key for it)"
        self._keep(name, name, value)

    def _keep(self, name: str, label: str, value: Any) -> None:
        known = RUN_FIELDS if name in RUN_FIELDS else self.fields
        kind = known[name].kind if name in known else None
        checked = kind.check(label, value) if kind else real(label, value, "is not a number: correct the file")
        (self.run if name in RUN_FIELDS else self.values)[name] = checked

    def _family_default(self, name: str) -> Any:
        return self.fields[name].default if name in self.fields and name != "lr" else None

    def _pair(self, *path: str | int) -> None:
        value = self.get(*path)
        if value is not None and not (isinstance(value, list) and len(value) == 2):
            raise FieldError(shown(path), value, "is not a pair: give two decay rates, for example 0.9 and 0.999")

    def count(self, part: str, *path: str | int, default: int | None = None, example: int = 8) -> None:
        """Read a part of the batch; null and "auto" stay unknown. ``default``: the program's, where no total is given."""
        self.places[part] = path = followed(self.document, path)
        value = self._amount(*path)
        if default is not None:
            self.defaults[part] = default
        if value == AUTO:
            self.autos.append(part)
            self.defaults.pop(part, None)
        elif value is not None:
            self.batch[part] = whole(shown(path), value, 1, example, 10**12)

    def along(self, name: str, *path: str | int) -> None:
        """The number at that path moves by the same ratio as the field ``name`` (STEPS: is divided by kappa; PASSES: by
        how much larger a pass becomes)."""
        path = followed(self.document, path)
        value = self.get(*path)
        if isinstance(value, list):
            for i in range(len(value)):
                self.along(name, *path, i)
        elif value not in (None, AUTO) and path != self.places.get(name) and self.number(*path):
            self.follows[path] = name

    def share_a_model(self, names: Iterable[str], *around: str) -> None:
        """Note each degree of model parallelism above 1: its devices are one data-parallel device."""
        for name in names:
            degree = self.number(*around, name) or 1
            if degree > 1:
                self.sharing *= int(degree)
                self.notes.append(
                    f"{name} = {self.get(*around, name)}: devices that share one copy of the model count as one "
                    "data-parallel device."
                )

    def choice(self, name: str, *path: str | int, names: Mapping[str, str]) -> None:
        """A field of the run that is one of several names; one that we have no word for becomes a note."""
        value = self.get(*path)
        if value is None:
            return
        word = str(value).lower()
        if word in names:
            self.run[name] = names[word]
            self.places[name] = path
        else:
            self.notes.append(
                f"{shown(path)} = {word!r:.60} has no name here: make it a function of samples seen, as every schedule must be."
            )


def as_number(value: Any) -> Any:
    """A number that stands as text ("2e-4") as the number; anything else as it is."""
    parsed = parse_number(value.strip()) if isinstance(value, str) else None
    return value if parsed is None else parsed
