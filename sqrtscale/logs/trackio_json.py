"""What ``trackio get metric --json`` prints: project, run, metric and its values.

Looked up: trackio 0.43, cli.py and sqlite_storage.py (get_metric_values).
"""

from __future__ import annotations

from pathlib import Path

from ._json import listed
from ._series import Names, Reading, Rows, Series

TITLE = "trackio metric (JSON)"


def recognises(path: Path, head: bytes) -> str:
    is_metric = head.lstrip().startswith(b"{") and all(key in head[:4096] for key in (b'"run"', b'"metric"', b'"values"'))
    return "the keys run, metric and values" if is_metric else ""


def read(path: Path, names: Names) -> Reading:
    data, values = listed(path, "values", "has no list of values: give what `trackio get metric --json` prints")
    rows = Rows(path)
    for row in values:
        rows.add({"step": row.get("step"), "value": row.get("value")})
    reading = rows.reading({"step": "step"})
    return Reading(
        [Series(str(data.get("metric")), single.points, str(data.get("run"))) for single in reading.series], reading.notes
    )
