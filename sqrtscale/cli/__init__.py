"""The command line: scale a configuration, run a calibration, look after stored runs.

Exit codes: 0 done, 1 the job failed, 2 bad input (one line on standard error says what is allowed). An error that nobody
expected is 1 and one line as well: its traceback goes to a file, which the line names.
Ctrl-C during ``calibrate --wait`` ends the waiting with 1; the calibration goes on.
Everything heavy is imported inside the commands: ``sqrtscale scale`` answers at once.
"""

from __future__ import annotations

import os
import platform
import sys
import traceback
from collections.abc import Sequence
from datetime import UTC, datetime

from .. import __version__
from ..home import home, owner_only, private_folder
from ..rules import FieldError
from ..rules.errors import shown
from .parser import build_parser
from .shared import BadInput


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code."""
    if sys.stdout is None:
        return _say("standard output is closed: send it to a file, or to /dev/null", 2)
    try:
        code = _run(arguments)
        sys.stdout.flush()  # here a failure can still be told; at exit Python only complains about it
        return code
    except BrokenPipeError:  # the reader (head, for example) has seen enough
        code = 0
    except OSError as error:
        code = _say(error, 1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what it still holds cannot be written
    return code


def _run(arguments: Sequence[str] | None) -> int:
    try:
        options = build_parser().parse_args(arguments)
        code: int = options.run(options)
        return code
    except SystemExit as end:  # argparse's --help
        return int(end.code or 0)
    except (BadInput, FieldError) as error:
        return _say(error, 2)
    except KeyboardInterrupt:
        return _say("interrupted", 1)
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package in ("", "sqrtscale"):
            return _unexpected(error)
        return _say(f"the package {package} is missing: install sqrtscale with its dependencies (pip install .)", 1)
    except RuntimeError as error:  # a store that cannot be used
        return _say(error, 1)
    except OSError:
        raise
    except Exception as error:
        return _unexpected(error)


def _unexpected(error: Exception) -> int:
    return _say(f"unexpected {type(error).__name__}: {shown(str(error))}; {_keep_traceback(error)}", 1)


def _keep_traceback(error: Exception) -> str:
    """Write the traceback to a file of the home; says where it is, or why it is nowhere."""
    path = home() / "errors" / f"{datetime.now(UTC):%Y%m%dT%H%M%S%f}.txt"
    try:
        private_folder(path.parent)
        with open(path, "x", encoding="utf-8", errors="replace", opener=owner_only) as file:
            file.write(f"sqrtscale {__version__}, Python {platform.python_version()}\n")
            traceback.print_exception(error, file=file)
    except OSError as failed:
        return f"its traceback could not be kept in {path.parent}: {failed.strerror or failed}"
    return f"please report it with its traceback, which is in {path}"


def _say(message: object, code: int) -> int:
    print(" ".join(str(message).split()), file=sys.stderr)
    return code


__all__ = ["build_parser", "main"]
