"""The tasks that were added on this machine: one file each in the home, beside the database."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from ...home import home, owner_only, private_folder
from ...rules import FieldError
from .file import OwnFile, check_name


def folder() -> Path:
    """Where they lie."""
    return home() / "tasks"


def add(file: OwnFile) -> None:
    """Keep a file under its name, in place of an earlier version."""
    place = _place(file.name)
    private_folder(place.parent)
    partial = place.with_suffix(f".{os.getpid()}")
    with open(partial, "w", opener=owner_only) as opened:
        json.dump(file.as_dict(), opened, indent=1)
    partial.replace(place)


def added() -> dict[str, OwnFile]:
    """Name -> file of every task that was added, by name; one that cannot be read any more is left out."""
    files = {}
    for place in sorted(folder().glob("*.json")):
        try:
            file = OwnFile.from_dict(json.loads(place.read_text()))
        except (OSError, ValueError):  # FieldError among them: it does not hide the others
            continue
        files[file.name] = file
    return files


def remove(name: str) -> None:
    """Forget a task; calibrations keep its text. Raises FieldError for one that was not added."""
    file = added().get(name)
    try:
        _place(name).unlink()
    except FileNotFoundError as error:
        raise FieldError("task", name, "was not added: sqrtscale tasks list shows those that were") from error
    written = written_file(name)
    if file is not None and written == Path(file.path) and written.is_file() and written.read_text() == file.text:
        written.unlink()


def written_file(name: str) -> Path:
    """Where the text of a task lies that was written for the user, by an adapter."""
    return folder() / f"{check_name(name)}.py"


@contextmanager
def draft(name: str, text: str) -> Iterator[Path]:
    """A text as a file that can be checked, and is gone afterwards."""
    path = private_folder(folder()) / f".{check_name(name)}.{os.getpid()}.py"
    try:
        with open(path, "w", encoding="utf-8", opener=owner_only) as opened:
            opened.write(text)
        yield path
    finally:
        path.unlink(missing_ok=True)


def keep_draft(file: OwnFile) -> OwnFile:
    """The checked draft at its place for good. What lay there with another text, which users may have changed, gets a ~."""
    path = written_file(file.name)
    if path.is_file() and path.read_text() != file.text:
        path.replace(path.with_suffix(".py~"))
    with open(path, "w", encoding="utf-8", opener=owner_only) as opened:
        opened.write(file.text)
    return replace(file, path=str(path))


def _place(name: str) -> Path:
    return folder() / f"{check_name(name)}.json"
