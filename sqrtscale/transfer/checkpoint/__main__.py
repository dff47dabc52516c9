"""A process that reads and moves checkpoints for others.

    python -m sqrtscale.transfer.checkpoint FILE
    python -m sqrtscale.transfer.checkpoint FILE --out OUT --kappa 4
    python -m sqrtscale.transfer.checkpoint FILE --out OUT --kappa 256:1024 --noise-scale 567

prints what the optimizers in a file hold, or what was moved, as one JSON object: for a process that must not load torch
itself, and must not be endangered by a file. It bounds its own memory and time by the file's size.
"""

from __future__ import annotations

import argparse
import gc
import json
import sys
from contextlib import suppress
from dataclasses import asdict
from fractions import Fraction
from pathlib import Path
from typing import Any

from ...rules import FieldError
from .contents import check_movable, find_contents
from .notes import neighbouring_files
from .reading import REMEDY, TOO_LARGE, is_out_of_memory, limit_resources, read, refusal
from .summary import summarised
from .transfer_file import transfer_checkpoint


def main() -> int:
    """Read or move one file; exit code 2 and one line (and the error as JSON) for a file that cannot be used, 1 for a disk."""
    parser = argparse.ArgumentParser(
        prog="python -m sqrtscale.transfer.checkpoint",
        description="What the optimizers in a "
        "checkpoint hold, or with --out a copy moved to another batch size; one JSON object. "
        "Nothing in the file is run.",
    )
    parser.add_argument("file", help="a file that torch.save wrote")
    parser.add_argument("--out", help="a file that does not exist yet")
    parser.add_argument("--kappa", type=_kappa, help="new batch over old, a number or a fraction, or both as OLD:NEW")
    parser.add_argument("--optimizer")
    parser.add_argument("--decay-form", default="linear")
    parser.add_argument("--momentum-form", default="kept")
    parser.add_argument("--noise-scale", type=_number)
    options = parser.parse_args()
    try:
        answer = _answer(options)
    except FieldError as error:
        value = error.value if isinstance(error.value, (str, int, float, type(None))) else str(error.value)[:80]
        print(json.dumps({"field": error.field, "value": value, "allowed": error.allowed}))
        print(" ".join(str(error).split()), file=sys.stderr)
        return 2
    except OSError as error:  # a full disk
        print(error, file=sys.stderr)
        return 1
    print(json.dumps(answer, indent=2))
    return 0


def _answer(options: argparse.Namespace) -> dict[str, Any]:
    """What the file holds, or what was moved; whatever else goes wrong with a file's content is told as a FieldError."""
    path = Path(options.file)
    gc.disable()  # millions of small objects, none of them a cycle worth collecting
    try:
        if options.out is None:
            limit_resources(path)
            contents = find_contents(read(path))
            if not contents.optimizers:
                check_movable(path, contents)
            return {"optimizers": [asdict(optimizer) for optimizer in summarised(contents.optimizers)]}
        limit_resources(path, *neighbouring_files(path, "optim"), *neighbouring_files(path, "sched"))
        forms = options.decay_form, options.momentum_form
        return asdict(transfer_checkpoint(path, options.out, options.kappa, options.optimizer, *forms, options.noise_scale))
    except (FieldError, OSError):
        raise
    except Exception as error:  # content of a form that nobody thought of
        if is_out_of_memory(error):
            raise refusal(path, TOO_LARGE) from error
        raise refusal(path, f"holds what was not expected ({type(error).__name__}): {REMEDY}") from error


def _kappa(text: str) -> Any:
    """A number, a fraction, or a pair of batches; other text is left for the transfer to refuse by name."""
    old, colon, new = text.partition(":")
    return (_number(old), _number(new)) if colon else _number(text)


def _number(text: str) -> Any:
    for form in (int, Fraction if "/" in text else float):
        with suppress(ValueError, ZeroDivisionError):
            return form(text)
    return text


if __name__ == "__main__":
    sys.exit(main())
