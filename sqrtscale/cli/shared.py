"""What several commands use: the error of bad input, the open store, tables."""

from __future__ import annotations

import math
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..rules.errors import shown

if TYPE_CHECKING:
    from ..store import Store


class BadInput(Exception):
    """Something on the command line that cannot be used; its text is the one line to print."""


def number(text: str) -> Any:
    """A number if it reads as one; other text, and digits beyond floating point, stay text for the field's check to refuse."""
    try:
        value = float(text)
    except ValueError:
        return text
    if text.strip().lstrip("+-").isdecimal():
        return int(text) if math.isfinite(value) else text
    return value


@contextmanager
def ordinary_file(option: str, path: Path, content: str) -> Iterator[None]:
    """While the file of an option is read: what cannot be read ends the command with one line."""
    name = shown(str(path))
    try:
        mode = path.stat().st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):  # a pipe or a device may never end; a directory says what it is
            raise BadInput(f"{option} = {name} is no ordinary file: give one that holds {content}")
        yield
    except (OSError, ValueError) as error:
        raise BadInput(f"{option} = {name} cannot be read: {getattr(error, 'strerror', None) or error}") from error


def file_bytes(option: str, path: Path, largest: int, content: str) -> bytes:
    """All of an option's file, up to ``largest`` bytes; raises BadInput."""
    with ordinary_file(option, path, content), path.open("rb") as file:
        data = file.read(largest + 1)
    if len(data) > largest:
        raise BadInput(f"{option} = {shown(str(path))} is too large for {content}: give the file that holds only that")
    return data


@contextmanager
def open_store(prompt: bool = True) -> Iterator[Store]:
    """The open store, closed at the end; a database that fails ends the command with one line.

    prompt: also one that does not answer, within seconds; else it is waited for, by what runs for hours.
    """
    from sqlalchemy.exc import SQLAlchemyError

    from ..store import DamagedChunk, NotFound, Store, failure

    store = Store.open(prompt=prompt)
    try:
        yield store
    except NotFound as error:
        raise BadInput(str(error)) from error
    except DamagedChunk as error:
        raise RuntimeError(str(error)) from error
    except SQLAlchemyError as error:
        raise RuntimeError(failure(error)) from error
    finally:
        store.close()


def table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows as lines of aligned columns."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
