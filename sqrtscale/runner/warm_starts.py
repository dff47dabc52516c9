"""Where the weights and optimizers of finished warm starts are kept, so that the next calibration begins at the branch point."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from ..home import home
from ..plan import CalibrationPlan

LIMIT = 1_000_000_000  # bytes of all together; those that nobody has used for longest go first


def folder() -> Path:
    """Of all of them."""
    return home() / "warm-starts"


def place(plan: CalibrationPlan, conditions: Mapping[str, Any]) -> Path:
    """The file of the plan's warm start: its name says all that the weights, and what is measured on the way, depend on."""
    one_device = {name: value for name, value in conditions.items() if name != "number of devices"}
    depends_on = {
        "task": plan.task, "version": plan.version, "facts": plan.own and plan.own.facts.as_dict(), "size": plan.size,
        "base": plan.base.as_dict(), "seed": plan.seeds[0], "samples": plan.warm_samples, "points": plan.warm_points,
        "followed": plan.follows, "conditions": one_device}
    name = hashlib.sha256(json.dumps(depends_on, sort_keys=True).encode()).hexdigest()
    return folder() / f"{name[:40]}.snapshot"


def used(path: Path) -> None:
    """Note that it was used now."""
    with suppress(OSError):  # another process has removed it, or the home can only be read
        os.utime(path)


def forget(path: Path) -> None:
    """Remove one that is damaged."""
    with suppress(OSError):
        path.unlink()


def prune(limit: int = LIMIT) -> None:
    """Remove those that were not used for longest, until the others take no more than so many bytes."""
    files = [(path.stat().st_mtime_ns, path.stat().st_size, path) for path in folder().iterdir()]
    total = sum(size for _, size, _ in files)
    for _, size, path in sorted(files):
        if total <= limit:
            return
        path.unlink(missing_ok=True)
        total -= size
