"""What every snippet is written from: a scaled configuration in a convention that it speaks, a batch, and what to say."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ...rules import RUN_FIELDS, Family, FieldError, ParameterGroup, TrainingConfig, family
from ...rules.batch import Batch
from ...rules.config import named_as_pytorch
from ._course import LrCourse

WIDTH = 100


@dataclass(frozen=True)
class Recipe:
    """config: scaled, in a convention that the snippet speaks; batch: how the global batch comes about, or None.

    remarks: sentences that belong above the snippet: the transfer, and what a translation changed; course: factors on lr over
    samples seen, or None.
    """

    config: TrainingConfig
    batch: Batch | None
    remarks: tuple[str, ...]
    course: LrCourse | None = None

    @property
    def family(self) -> Family:
        """The family of the configuration."""
        return family(self.config.optimizer)

    @property
    def package(self) -> str:
        """What to import for the optimizer: torch itself for torch.optim's."""
        package = self.family.call.rpartition(".")[0]
        return "torch" if package == "torch.optim" else package

    @property
    def run(self) -> dict[str, Any]:
        """The fields of the run that are given."""
        return self.config.of_the_run()

    def arguments(self, values: Mapping[str, float]) -> dict[str, Any]:
        """Hyperparameters under the library's names, its fixed options last."""
        return {self.family.argument_names[name]: value for name, value in values.items()} | dict(self.family.options)

    def in_torch(self, values: Mapping[str, float]) -> dict[str, Any]:
        """The same for a torch.optim optimizer, whose beta1 and beta2 are one tuple."""
        arguments = named_as_pytorch(self.arguments(values))
        return {name: tuple(value) if name == "betas" else value for name, value in arguments.items()}

    def of_group(self, group: ParameterGroup) -> dict[str, float]:
        """What a group sets itself; with one beta the other one too, since they are one argument in torch."""
        wanted = set(group.values)
        if wanted & {"beta1", "beta2"}:
            wanted |= {"beta1", "beta2"} & set(self.config.hyperparameters)
        return {name: group.values.get(name, self.config[name]) for name in self.config.hyperparameters if name in wanted}

    @property
    def others(self) -> str:
        """A name for the parameters in no group."""
        return "all others" if any(group.name == "others" for group in self.config.groups) else "others"

    def without_groups(self, instead: str) -> None:
        """Raises FieldError where there are parameter groups, for a format that has no place for them."""
        if self.config.groups:
            names = ", ".join(group.name for group in self.config.groups)
            raise FieldError("groups", names, f"has no place in this format: {instead}")

    def left(self, *written: str) -> list[str]:
        """Remarks for the fields of the run that the snippet does not write as arguments, and what a step is."""
        rest = [f"{_lower(RUN_FIELDS[name].label)}: {shown(value)}" for name, value in self.run.items() if name not in written]
        return [*rest, *(["a step is one update of the optimizer, after all accumulation"] if counts_steps(self.run) else [])]

    @property
    def course_in_words(self) -> list[str]:
        """The factors on lr, where there are any, for a format that has no place for them."""
        return [self.course.in_words] if self.course else []

    @property
    def size(self) -> str:
        """The global batch, and its parts where they are known."""
        parts = f" = {self.batch} (per device × accumulation × devices)" if self.batch else ""
        return f"global batch size: {self.config.batch_size}{parts}"


def counts_steps(run: Mapping[str, Any]) -> bool:
    """Whether any field of the run is counted in steps."""
    return any(name.endswith(("_steps", "_interval", "_per_step")) or name == "milestones" for name in run)


def shown(value: Any) -> str:
    """A number with every digit, a name as it is, a list with commas."""
    return ", ".join(map(str, value)) if isinstance(value, tuple) else value if isinstance(value, str) else repr(value)


def quoted(value: Any) -> str:
    """A value as Python code, text in double quotes."""
    return value if isinstance(value, Code) else json.dumps(value) if isinstance(value, str) else repr(value)


def _lower(label: str) -> str:
    """A label inside a line: "Total steps" loses its capital, "EMA decay" does not."""
    return label if label[:2].isupper() else label[:1].lower() + label[1:]


def commented(sentences: Iterable[str], sign: str = "# ") -> list[str]:
    """The sentences as lines of comments."""
    return [line for sentence in sentences
            for line in textwrap.wrap(sentence, WIDTH, initial_indent=sign, subsequent_indent=sign, break_on_hyphens=False)]


def call(function: str, arguments: Mapping[str, Any], first: Iterable[str] = ()) -> list[str]:
    """Lines of Python that call a function, one argument a line; ``first``: lines (or arguments) before those."""
    inside = [f"    {line}" for line in (*first, *(f"{name}={quoted(value)}," for name, value in arguments.items()))]
    return [f"{function}(", *inside, ")"] if inside else [f"{function}()"]


class Code(str):
    """An argument that is code already, and stands as it is."""


def joined(*parts: Iterable[str]) -> str:
    """The lines of all parts as one text."""
    return "\n".join(line for part in parts for line in part) + "\n"
