"""How a calibration is trained. Importing this package loads no torch; calling it does."""

from __future__ import annotations

import os
from collections.abc import Collection, Generator, Mapping
from typing import TYPE_CHECKING, Any

from ..processes import USUAL
from .events import Branched, Event, Measured, Progress, Resumable, RunEnded, SeedsEnded, StepsMade
from .faults import is_gpu_fault
from .out_of_memory import is_out_of_memory

if TYPE_CHECKING:
    from ..plan import CalibrationPlan

# Torch's CPU threads spin while they wait. Where another program wants a core, a small model's step then
# took 543 ms instead of 6 ms (2 cores, digits). It is read when torch is first loaded, hence here.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
for _name, _value in USUAL.items():
    os.environ.setdefault(_name, _value)


def calibrate(plan: CalibrationPlan, stored: Collection[tuple[str, int]] = (), snapshot: Mapping[str, Any] | None = None
              ) -> Generator[Event, None, None]:
    """Train every run of the plan that is not ``stored``; see :func:`sqrtscale.training.engine.calibrate`."""
    from .engine import calibrate as run

    return run(plan, stored, snapshot)


def environment(device: str, plan: CalibrationPlan | None = None) -> dict[str, Any]:
    """What a result depends on beside its plan; see :func:`sqrtscale.training.device.environment`."""
    from .device import environment as describe

    return describe(device, plan)


__all__ = ["Branched", "Event", "Measured", "Progress", "Resumable", "RunEnded", "SeedsEnded", "StepsMade",
           "calibrate", "environment", "is_gpu_fault", "is_out_of_memory"]
