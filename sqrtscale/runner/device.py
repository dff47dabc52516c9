"""Which devices a calibration will occupy, said without loading torch."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

from ..devices import Card, devices
from ..gpu import GRAPHS_OFF, detect, diagnose, remembered


@functools.cache
def gpus() -> tuple[Card, ...]:
    """The GPUs that training can use, the best one first; empty without any."""
    detection = detect()
    return tuple(card for index in detection.usable for card in detection.cards if card.index == index)


def occupied(name: str) -> tuple[str, ...]:
    """The devices that a plan's name stands for on this machine, all of which its calibration takes.

    auto and all pass over a GPU whose trial has failed.
    """
    indices = [card.index for card in gpus()]
    if name in ("auto", "all"):
        indices = [index for index in indices if (diagnosis := remembered(index)) is None or diagnosis.outcome != "cpu"]
    return devices(name, indices)


def refused(devices: Sequence[str], meanwhile: Callable[[], object], anew: bool = False) -> str:
    """Why no calibration can run on these devices, which are locked; empty where it can.

    The first time with this driver, torch and card each GPU is tried, which takes about a minute; meanwhile: called all along;
    anew: whatever is remembered of it, and also where torch cannot use it any more.
    """
    for index in _indices(devices):
        usable = [card.index for card in gpus()]
        if usable and index not in usable and not anew:
            continue  # the training process names those that are
        diagnosis = (None if anew else remembered(index)) or diagnose(quick=True, meanwhile=meanwhile, index=index)
        gpus.cache_clear()  # it was asked anew
        if diagnosis.outcome == "cpu":
            return diagnosis.advice
    return ""


def settings(devices: Sequence[str]) -> dict[str, str]:
    """What a process that trains on these devices must know of a trial, as environment variables."""
    diagnoses = [remembered(index) for index in _indices(devices)]
    return GRAPHS_OFF if any(diagnosis is not None and diagnosis.outcome == "eager" for diagnosis in diagnoses) else {}


def _indices(devices: Sequence[str]) -> list[int]:
    """Of the GPUs among them."""
    return [int(device.partition(":")[2]) for device in devices if device != "cpu"]
