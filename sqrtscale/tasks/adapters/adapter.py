"""What an adapter is, and how its task is written: a small file like one of the user's own, which they may copy and change."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from ...rules import FieldError
from ...rules.errors import whole

Options = Mapping[str, str]  # option -> text of those that were given


@dataclass(frozen=True)
class Adapter:
    """A kind of data (or model) that a task can be made of: ``sqrtscale tasks add KIND:PLACE``.

    kind: what stands before the colon; place: what comes after it, for the help; does: in a few words; write: (place, options)
    -> the text of the task's file, without running anything and without torch, or FieldError for what cannot be one;
    options: of the command line, without dashes -> their help; check_options: raises FieldError for those that no data can mend.
    """

    kind: str
    place: str
    does: str
    write: Callable[[str, Options], str]
    options: Mapping[str, str] = field(default_factory=dict)
    check_options: Callable[[Options], object] = lambda options: None

    def check(self, options: Options) -> None:
        """Raises FieldError for options of other adapters, and for those that cannot be a task's of whatever data."""
        for option in options:
            if option not in self.options:
                known = ", ".join(f"--{name}" for name in self.options) or "none"
                raise FieldError(f"--{option}", options[option], f"is not read for {self.kind}: its options are {known}")
        self.check_options(options)

    def text(self, place: str, options: Options) -> str:
        """The text of a task's file. Raises FieldError for a place that has no data and for options of other adapters."""
        self.check(options)
        if not place:
            raise FieldError("FILE", f"{self.kind}:", f"names no data: give {self.kind}:{self.place}")
        return self.write(place, options)


def existing(place: str) -> Path:
    """The place as an absolute path; raises FieldError where there is nothing."""
    path = Path(place).expanduser().absolute()
    if not path.exists():
        raise FieldError("data", place, "is not there: give the path of a file or folder")
    return path


def whole_option(options: Options, name: str, least: int, default: int, most: int) -> int:
    """A whole number of the options, ``default`` where it was not given; raises FieldError."""
    value: object = options.get(name, default)
    with suppress(ValueError):
        number = float(options.get(name, default))
        value = int(number) if number.is_integer() else number
    return whole(name, value, least, default, most)


def described(title: str, description: str) -> str:
    """The docstring that begins a task's file, whatever characters a file's name has put into it."""
    lines = ("".join(character if character.isprintable() else " " for character in line) for line in (title, description))
    title, description = (line.replace("\\", "\\\\").replace('"', "'") for line in lines)
    return f'"""{title}\n\n{description}\n"""\n'
