"""Files as they lie on the disk: their first bytes, their hash, their lines; and the sentence for one that cannot be read."""

from __future__ import annotations

import gzip
import hashlib
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from io import TextIOWrapper
from pathlib import Path
from typing import IO

from ..rules.errors import FieldError

HEAD = 2**20  # bytes that a file is recognised by
MOST_BYTES = 2 * 2**30  # of text, unpacked
MOST_LINE = 2**24
MOST_DOCUMENT = 100 * 2**20  # a JSON document is in memory as a whole, at ten times its size
MOST_POINTS = 20_000_000
MOST_CURVES = 20_000
GZIP = b"\x1f\x8b"


def refuse(path: Path | str, allowed: str) -> FieldError:
    """The error for a file: ``allowed`` says what is wrong with it and what to do."""
    return FieldError("logs", path.name if isinstance(path, Path) else path, allowed)


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turns what the system, gzip and the decoder say of a file into one sentence."""
    try:
        yield
    except UnicodeDecodeError as error:
        raise refuse(path, "is not UTF-8 text: save it again as UTF-8") from error
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise refuse(path, "is a damaged or truncated gzip file: copy it again, or unpack it with gunzip") from error
    except OSError as error:
        raise refuse(path, f"cannot be read ({error.strerror or error}): give a file that you may read") from error


def opened(path: Path) -> IO[bytes]:
    """The bytes of a file, unpacked where it is gzip."""
    with path.open("rb") as file:
        packed = file.read(2) == GZIP
    return gzip.open(path) if packed else path.open("rb")  # type: ignore[return-value]


def head_of(path: Path) -> bytes:
    """The first bytes of a file, unpacked; none of a folder."""
    if path.is_dir():
        return b""
    with reading(path), opened(path) as file:
        return file.read(HEAD)


def sha256(path: Path) -> str:
    """The SHA-256 of a file as it lies there; of a folder that of the hashes of its files in order."""
    if path.is_dir():
        total = hashlib.sha256()
        for inner in sorted(path.rglob("*")):
            if inner.is_file():
                total.update(f"{inner.relative_to(path).as_posix()} {sha256(inner)}\n".encode())
        return total.hexdigest()
    with reading(path), path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def text_of(path: Path) -> Iterator[TextIOWrapper]:
    """A file as text."""
    with reading(path), opened(path) as file, TextIOWrapper(file, encoding="utf-8-sig", newline="") as text:
        yield text


def lines(path: Path) -> Iterator[str]:
    """The lines of a text; refuses one that is longer than any log."""
    length = 0
    with text_of(path) as text:
        while line := text.readline(MOST_LINE):
            length += len(line)
            if len(line) >= MOST_LINE or length > MOST_BYTES:
                raise refuse(
                    path,
                    f"has lines of more than {MOST_LINE >> 20} MB or more than {MOST_BYTES >> 30} GB of text: "
                    "export fewer runs or metrics",
                )
            yield line


def document(path: Path) -> str:
    """A whole text; refuses one that is too large to be held in memory with all that is in it."""
    with text_of(path) as text:
        content = text.read(MOST_DOCUMENT + 1)
    if len(content) > MOST_DOCUMENT:
        raise refuse(path, f"is larger than {MOST_DOCUMENT >> 20} MB, too large for one JSON document: export JSON lines or CSV")
    return content


@lru_cache(2)
def first_lines(head: bytes) -> Sequence[str]:
    """The whole lines of the first bytes of a text; none of what is not UTF-8."""
    try:
        text = head.decode("utf-8-sig") if len(head) < HEAD else head[: head.rfind(b"\n") + 1].decode("utf-8-sig")
    except UnicodeDecodeError:
        return ()
    return tuple(line for line in text.splitlines() if line.strip())
