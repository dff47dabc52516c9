"""Who runs a calibration: submit, watch, cancel. No torch and no streamlit here; the child alone trains."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from ..home import calibration_folder, private_folder
from ..plan import CalibrationPlan
from ..rules import FieldError
from ..store import RESUMABLE_STATES, CalibrationRecord, Store, new_id
from . import election, launch, locks, process, restarts, snapshots, submitter
from .checkpoints import read_checkpoint, transfer_checkpoint
from .device import gpus, occupied
from .ending import end
from .log import read_log
from .patience import Patience, patient
from .pulse import pulse_file, say, waiting
from .reconciliation import correct, reconcile
from .rescued import rescue_file


@dataclass(frozen=True)
class Estimate:
    """How long a calibration will take: seconds in all and by arm, the device that was timed, and bytes.

    memory: on the device; disk: for the snapshots.
    """

    seconds: float
    device: str
    arms: dict[str, float]
    memory: float = 0.0
    disk: float = 0.0


def submit(store: Store, plan: CalibrationPlan, name: str = "", resume_after_restart: bool = False) -> str:
    """Queue a calibration, and start the scheduler where there is none; returns the id at once. Raises OSError in a full home.

    resume_after_restart: it goes on by itself where a restart of the machine, or an orderly end of its processes, interrupts it.
    """
    id = new_id()
    try:
        _prepare(id)
    except OSError:
        shutil.rmtree(calibration_folder(id), ignore_errors=True)
        raise
    store.create(plan, name, id=id, host=process.host(), resume_after_restart=resume_after_restart)
    _start(store, id)
    return id


def resume(store: Store, id: str) -> bool:
    """Go on under its id with a calibration that has ended before it was done; False where it has to begin anew, for lack of a
    snapshot. Raises FieldError for one that cannot go on, and OSError in a full home.
    """
    if not store.read_only:
        correct(store, store.underway())  # its processes may be gone without a word
    if (file := rescue_file(id)).exists():
        raise FieldError("calibration", id, f"went on without its database: first run sqrtscale store import {file}")
    record, has_snapshot = store.get(id), snapshots.there(id)
    if record.state in RESUMABLE_STATES and not record.deleted_at:
        _prepare(id)
    # From then on it is this host's to judge, also where several hosts share the store.
    if not store.resume(id, host=process.host(), boot_id=process.boot_id()):
        record = store.get(id)
        raise FieldError("calibration", id, "is deleted: bring it back first" if record.deleted_at else
                         f"is {record.state}: give one that has ended before it was done, {', '.join(RESUMABLE_STATES)}")
    _start(store, id)
    return has_snapshot


def resume_interrupted(store: Store) -> list[str]:
    """Queue again what a restart has interrupted and goes on by itself; returns the ids."""
    correct(store, store.underway())
    return restarts.go_on(store, again=True)


def _prepare(id: str) -> None:
    """Make its folder: the scheduler starts what has one in its home. A full disk must leave room for a word in it."""
    private_folder(calibration_folder(id))
    submitter.keep(id)
    say(pulse_file(id, "supervisor"), "")


def _start(store: Store, id: str) -> None:
    """See to it that a queued calibration gets its turn."""
    try:
        election.ensure(locks.SOON)
    except OSError as error:
        end(store, id, "FAILED", f"the scheduler could not be started: {error}")


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
    """Look every ``poll`` seconds until the calibration has ended, and wait for a database that is away; returns its record."""
    store = patient(store, Patience())
    while True:
        reconcile(store)
        record = store.get(id)
        if on_progress:
            on_progress(record)
        if record.final:
            return record
        time.sleep(poll)


__all__ = ["Estimate", "cancel", "estimate", "gpus", "read_checkpoint", "read_log", "reconcile", "resume",
           "resume_interrupted", "submit", "transfer_checkpoint", "wait", "waiting"]
