"""How a calibration is trained. Importing this package loads no torch; calling it does."""

from __future__ import annotations

import os
from collections.abc import Collection, Generator
from typing import TYPE_CHECKING, Any

from .events import Branched, Event, Measured, Progress, RunEnded, SeedsEnded
from .out_of_memory import is_out_of_memory

if TYPE_CHECKING:
    from ..plan import CalibrationPlan

# Torch's CPU threads spin while they wait. Where another program wants a core, a small model's step then
# took 543 ms instead of 6 ms (2 cores, digits). It is read when torch is first loaded, hence here.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def calibrate(plan: CalibrationPlan, stored: Collection[tuple[str, int]] = ()) -> Generator[Event, None, None]:
    """Train every run of the plan that is not ``stored``; see :func:`sqrtscale.training.engine.calibrate`."""
    from .engine import calibrate as run

    return run(plan, stored)


def environment(device: str, plan: CalibrationPlan | None = None) -> dict[str, Any]:
    """What a result depends on beside its plan; see :func:`sqrtscale.training.device.environment`."""
    from .device import environment as describe

    return describe(device, plan)


__all__ = ["Branched", "Event", "Measured", "Progress", "RunEnded", "SeedsEnded", "calibrate", "environment",
           "is_out_of_memory"]
