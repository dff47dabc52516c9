"""``sqrtscale doctor``: whether calibrations can run here, on what, and what to do where it could be better."""

from __future__ import annotations

import argparse
import json

from ..gpu import diagnose_each
from ..gpu.words import text


def run_doctor(options: argparse.Namespace) -> int:
    """Exit code 0 where calibrations can run at all."""
    diagnosis, *others = diagnose_each(options.quick)
    if options.json:
        print(json.dumps(diagnosis.as_dict() | {"others": [other.as_dict() for other in others]}, indent=2))
    else:
        print(text(diagnosis, *others))
    return 0 if diagnosis.runs else 1
