"""The command line: scale a configuration, run a calibration, look after stored runs.

Exit codes: 0 done, 1 the job failed, 2 bad input (one line on standard error says what is allowed).
Ctrl-C during ``calibrate --wait`` ends the waiting with 1; the calibration goes on.
Everything heavy is imported inside the commands: ``sqrtscale scale`` answers at once.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from ..rules import FieldError
from .parser import build_parser
from .shared import BadInput


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code."""
    try:
        code = _run(arguments)
        if sys.stdout is not None:
            sys.stdout.flush()  # here a failure can still be told; at exit Python only complains about it
        return code
    except BrokenPipeError:  # the reader (head, for example) has seen enough
        code = 0
    except OSError as error:
        code = _say(error, 1)
    if sys.stdout is not None:  # what it still holds cannot be written
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
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
    except RuntimeError as error:  # a store that cannot be used
        return _say(error, 1)


def _say(message: object, code: int) -> int:
    print(" ".join(str(message).split()), file=sys.stderr)
    return code


__all__ = ["build_parser", "main"]
