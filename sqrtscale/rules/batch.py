"""The batch as people have it: per device, accumulated, over data-parallel devices. kappa comes from global batches only."""

from __future__ import annotations

from dataclasses import dataclass

from .config import LARGEST_BATCH
from .errors import whole

MOST_DEVICES = 1_000_000


@dataclass(frozen=True)
class Batch:
    """global batch = per_device x accumulation x devices, in samples or tokens.

    per_device: batch of one device in one forward pass; accumulation: passes before a step; devices:
    data-parallel replicas (a model spread over several devices is one). Raises FieldError.
    """

    per_device: int
    accumulation: int = 1
    devices: int = 1

    def __post_init__(self) -> None:
        for name, example, most in (("per_device", 32, 10**12), ("accumulation", 4, 10**6), ("devices", 8, MOST_DEVICES)):
            object.__setattr__(self, name, whole(name, getattr(self, name), 1, example, most))

    @property
    def size(self) -> int:
        """The global batch size."""
        return self.per_device * self.accumulation * self.devices

    def __str__(self) -> str:
        return f"{self.per_device} × {self.accumulation} × {self.devices}"


def ways_to(target: int, per_device: int, devices: int) -> tuple[Batch, ...]:
    """The ways to reach exactly ``target`` with 1, 2, 4 ... up to ``devices`` devices and any accumulation.

    per_device: the largest batch that one device holds. For each number of devices the largest per-device
    batch that fits stands, so the fewest passes. Empty where the target is no multiple of any of them.
    """
    target = whole("target_batch", target, 1, 1024, LARGEST_BATCH)
    largest = Batch(per_device, 1, devices)  # checks both numbers
    ways = []
    counts = sorted({2**i for i in range(largest.devices.bit_length())} | {largest.devices})
    for count in counts:
        if target % count:
            continue
        share = target // count
        passes = next((n for n in range(-(-share // largest.per_device), min(share, 100_000) + 1) if share % n == 0), None)
        if passes is not None:
            ways.append(Batch(share // passes, passes, count))
    return tuple(ways)


def nearest(target: int, per_device: int, devices: int) -> Batch:
    """The batch of these devices and this per-device size that comes nearest to ``target`` by accumulation."""
    target = whole("target_batch", target, 1, 1024, LARGEST_BATCH)
    return Batch(per_device, max(1, round(target / Batch(per_device, 1, devices).size)), devices)
