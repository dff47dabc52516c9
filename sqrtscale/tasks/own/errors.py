"""An error in the user's code: their traceback without our frames, and its last line as the reason."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ...rules import FieldError

DEVICE_ASSERT = "device-side assert"  # as CUDA and HIP say that a kernel has checked what it was given, and refused it
OF_AN_INDEX = "a check in a kernel failed, often of an index that is out of range: train on the CPU, which names the line"


class OwnTaskError(RuntimeError):
    """What the user's code raised. ``str`` is one line for a reason, ``log`` the traceback from their file on."""

    def __init__(self, reason: str, log: str):
        super().__init__(reason)
        self.log = log


@contextmanager
def users_code(path: str) -> Iterator[None]:
    """While code of the user's file runs: what it raises becomes an OwnTaskError, also when it asks the process to end."""
    try:
        yield
    except (OwnTaskError, FieldError, MemoryError):
        raise
    except (KeyboardInterrupt, GeneratorExit):
        raise
    except BaseException as error:  # SystemExit among them, and what libraries in other languages raise
        # a context manager lets a StopIteration pass where it is the cause of another error
        raise _explained(error, path) from (None if isinstance(error, StopIteration) else error)


@contextmanager
def beside_users_code(path: str | None) -> Iterator[None]:
    """While torch may call code of the user's file, hooks and functions of a backward pass: what that raises becomes an
    OwnTaskError, too. An error in whose traceback the file does not stand is left as it is, unless a kernel's check failed: a GPU
    says so only later, wherever that may be, and nearly always of what the file gave it."""
    try:
        yield
    except (OwnTaskError, FieldError, MemoryError):
        raise
    except (KeyboardInterrupt, GeneratorExit):
        raise
    except BaseException as error:
        in_file = any(frame.f_code.co_filename == path for frame, _ in traceback.walk_tb(error.__traceback__))
        if path is None or not (in_file or DEVICE_ASSERT in str(error)):
            raise
        raise _explained(error, path) from (None if isinstance(error, StopIteration) else error)


def _explained(error: BaseException, path: str) -> OwnTaskError:
    told = traceback.TracebackException.from_exception(error)
    own = [i for i, frame in enumerate(told.stack) if frame.filename == path]
    told.stack = traceback.StackSummary.from_list(told.stack[own[0] :] if own else [])
    log = _written("".join(told.format()))
    reason = _sentence(_written("".join(told.format_exception_only())), isinstance(error, SyntaxError))
    if DEVICE_ASSERT in reason:
        reason += f": {OF_AN_INDEX}"
    if isinstance(error, SystemExit):
        reason += ": the code of a task must not end its process, so remove sys.exit or exit"
    lines = [frame.lineno for frame in told.stack if frame.filename == path]
    place = f"{Path(path).name}, line {lines[-1]}" if lines else Path(path).name
    return OwnTaskError(f"{reason[:400]} ({place})", log)


def _written(text: str) -> str:
    """Text that any file and terminal takes, whatever characters an error has in it."""
    return text.encode("utf-8", "backslashreplace").decode()


def _sentence(text: str, at_the_end: bool) -> str:
    """The first line, and what follows a colon; at_the_end: the last one, because the code stands before it."""
    lines = [" ".join(line.split()) for line in text.strip().splitlines()]
    if at_the_end:
        return lines[-1]
    said = lines.pop(0)
    while said.endswith(":") and lines:
        said += f" {lines.pop(0)}"
    return said
