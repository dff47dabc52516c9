"""What a ``NoiseMeter`` writes: JSON lines of samples, signal and noise of the gradient, and what else it measured."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ._json import first_object, objects
from ._series import Names, Reading, Rows

TITLE = "NoiseMeter (JSON lines)"
OWN = ("samples", "signal", "noise")
ALSO = ("signal_pre", "noise_pre", "second_moment", "clipped")


def recognises(path: Path, head: bytes) -> str:
    row = first_object(head)
    is_meter = set(OWN) <= set(row) <= {*OWN, *ALSO}
    return f"the keys {', '.join(OWN)}" if is_meter else ""


def read(path: Path, names: Names) -> Reading:
    rows = Rows(path)
    for row in objects(path):
        rows.add(row)
    return replace(rows.reading({}), measured=True)
