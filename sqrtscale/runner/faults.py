"""A GPU that fails in the middle of a training: a new process goes on from the last snapshot, never the one that met the fault.

Once on the same GPU, if it passes the doctor's trial again, then on the CPU, where there is no such fault: so it comes to an end.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from ..store import CalibrationRecord, Store
from . import exit_codes, log
from .device import occupied, refused

KIND = "fault"  # of the event that says what failed, why, and where training went on
CRASHES = {-signal.SIGSEGV, -signal.SIGABRT, -signal.SIGBUS}  # how a driver's library ends a process, as other native code does
CPU = ("cpu",)

Fault = Mapping[str, Any]


class Ended(NamedTuple):
    """How a training process ended: final state and reason, its exit code, and whether it was killed because it hung."""

    state: str
    reason: str
    code: int
    hung: bool = False


def is_fault(ended: Ended, devices: Sequence[str]) -> bool:
    """Whether a GPU's fault has ended it, as far as can be told: nobody asked it to end, and it had a GPU."""
    failed = ended.code == exit_codes.GPU_FAULT or ended.code in CRASHES or ended.hung
    return failed and ended.state == "FAILED" and any(device != "cpu" for device in devices)


def go_on(store: Store, id: str, devices: tuple[str, ...], reason: str, meanwhile: Callable[[], object]) -> tuple[str, ...]:
    """Where the next process trains after a fault of these devices; the store and the log say so. meanwhile: called all along."""
    chosen: tuple[str, ...]
    if known(store, id):
        chosen, refusal = CPU, "it has failed before"
    else:
        refusal = refused(devices, meanwhile, anew=True)
        chosen = CPU if refusal else devices
    fault = {"device": ",".join(devices), "reason": reason, "went_on": ",".join(chosen), "refused": refusal,
             "executor": store.get(id).environment.get("executor", "")}
    store.add_event(id, KIND, fault)
    log.note(id, told(fault))
    return chosen


def known(store: Store, id: str) -> list[Fault]:
    """Those of a calibration, oldest first: device, reason, went_on, refused, executor."""
    return [data for _, kind, data in store.events(id) if kind == KIND]


def moved(faults: Sequence[Fault]) -> list[Fault]:
    """Those after which training went on elsewhere."""
    return [fault for fault in faults if fault["went_on"] != fault["device"]]


def place(store: Store, record: CalibrationRecord) -> str:
    """The name of the devices that a calibration trains on: of those that its plan names, or that it has been moved to."""
    return next((str(fault["went_on"]) for fault in reversed(moved(known(store, record.id)))), record.plan.device)


def rivals(store: Store, record: CalibrationRecord) -> list[CalibrationRecord]:
    """Those of the record's host that take one of its devices, in the order of the queue, itself among them."""
    devices = set(occupied(place(store, record)))
    return [other for other in store.queue()
            if other.host in ("", record.host) and not devices.isdisjoint(occupied(place(store, other)))]


def told(fault: Fault) -> str:
    """For the log."""
    where = f"on {fault['went_on']}" + (f", because {fault['refused']}" if fault["refused"] else ", once more")
    return f"training on {fault['device']} failed ({fault['reason']}): it goes on in a new process {where}"


def noted(faults: Sequence[Fault], executor: str, anew: bool) -> dict[str, Any]:
    """What a result depends on because of them, for its environment; executor: of this process, which may begin anew."""
    if not faults:
        return {}
    before = [fault["executor"] for fault in moved(faults) if fault["executor"] and not anew]
    return {"faults": [dict(fault) for fault in faults], "executor": ", then ".join(dict.fromkeys([*before, executor]))}
