"""Who runs a calibration: submit, watch, cancel. No torch and no streamlit here; the child alone trains."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from ..plan import CalibrationPlan
from ..rules import FieldError
from ..store import CalibrationRecord, Store
from . import launch, process
from .checkpoints import read_checkpoint, transfer_checkpoint
from .device import cuda_devices, occupied
from .ending import end
from .log import read_log
from .reconciliation import reconcile


@dataclass(frozen=True)
class Estimate:
    """How long a calibration will take: seconds in all and by arm, the device that was timed, and bytes of memory on it."""

    seconds: float
    device: str
    arms: dict[str, float]
    memory: float = 0.0


def submit(store: Store, plan: CalibrationPlan, name: str = "") -> str:
    """Queue a calibration and start its supervisor; returns the id at once."""
    id = store.create(plan, name)
    # From here on it is this host's to judge, also where several hosts share the store.
    store.set_process(id, host=process.host(), boot_id=process.boot_id(), pid=None, pid_started="")
    try:
        launch.start_supervisor(id)
    except OSError as error:
        end(store, id, "FAILED", f"its supervisor process could not be started: {error}")
    return id


def cancel(store: Store, id: str) -> str:
    """Ask a calibration to end; returns its state now. Its supervisor ends the processes within seconds."""
    store.request_cancel(id)
    reconcile(store)  # where there is no supervisor any more
    return store.get(id).state


def estimate(plan: CalibrationPlan, timeout: float = 120) -> Estimate:
    """Time a few steps of every arm in a process of its own. Raises FieldError, or RuntimeError with the reason."""
    timed = replace(plan, device=",".join(occupied(plan.device)))  # what the supervisor will take
    try:
        done = subprocess.run(
            launch.command("training.estimate"), input=json.dumps(timed.as_dict()), text=True, capture_output=True,
            timeout=timeout, env=launch.environment())
    except subprocess.TimeoutExpired as error:
        raise RuntimeError(f"no estimate: a few steps of every arm took more than {timeout:.0f} s") from error
    if done.returncode == 2 and "device" in done.stderr:
        raise FieldError("device", plan.device, "is " + (done.stderr.strip().partition(" is ")[2] or "not to be used"))
    if done.returncode:
        raise RuntimeError((done.stderr.strip().splitlines() or ["no estimate: the timing process ended"])[-1])
    return Estimate(**json.loads(done.stdout))


def wait(
    store: Store, id: str, poll: float = 0.5, on_progress: Callable[[CalibrationRecord], None] | None = None,
) -> CalibrationRecord:
    """Look every ``poll`` seconds until the calibration has ended; returns its record."""
    while True:
        reconcile(store)
        record = store.get(id)
        if on_progress:
            on_progress(record)
        if record.final:
            return record
        time.sleep(poll)


__all__ = ["Estimate", "cancel", "cuda_devices", "estimate", "read_checkpoint", "read_log", "reconcile", "submit",
           "transfer_checkpoint", "wait"]
