"""How much memory training takes, said before it is taken, and how much there is."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor

from ..plan import CalibrationPlan
from ..rules import ParameterGroup
from ..tasks import task

# Copies of a model's parameters: themselves, two moments, their gradient, and what one optimizer step needs beside them.
STATE_COPIES = 8
GROUPED, GROUP_OF = 4 + 8, 8  # bytes for a parameter: a hyperparameter in float32 and float64, the number of its group
BACKWARD = 2  # a backward pass holds about as much again as what the forward pass keeps for it
SHARE = 0.8  # of the free memory that may be planned for


def state_bytes(parameters: int, groups: Sequence[ParameterGroup] = ()) -> int:
    """Bytes of one model with ``parameters`` float32 parameters and its optimizer, at the peak of a step without activations.

    groups: of its configuration; what they set is then held for every parameter, and so is the group of each.
    """
    own = {name for group in groups for name in group.values}
    return (4 * STATE_COPIES + GROUPED * len(own) + GROUP_OF * bool(own)) * parameters


def pass_bytes(forward: Callable[[], Tensor], parameters: Tensor) -> int:
    """Bytes that a forward and backward pass of ``forward`` take for activations; runs it once.

    Counted from what autograd saves, each storage once, without that of ``parameters``.
    """
    kept: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        result = forward()  # kept until the count is done: a freed storage's address may come again
    del result
    kept.pop(parameters.untyped_storage().data_ptr(), None)
    return BACKWARD * sum(kept.values())


def free_bytes(device: torch.device) -> int:
    """Memory that can be had on the device now; on a CPU what the system calls available."""
    if device.type == "cuda":
        # Of what torch keeps for later, nobody can say how much is a CUDA graph's own: it is given back, where that can be done.
        kept = 0 if give_back(device) else torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + kept
    try:
        with open("/proc/meminfo") as file:
            sizes = {line.partition(":")[0]: line.split()[1] for line in file}
        return int(sizes["MemAvailable"]) * 1024
    except (OSError, KeyError):  # not Linux: half of all there is
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2


def give_back(device: torch.device) -> bool:
    """Return to the device what torch keeps of it for later; False where torch refuses.

    It does so for ever after a capture that failed, in versions that think it still underway [pytorch/pytorch pull request
    180395].
    """
    if device.type == "cuda":
        try:
            torch.cuda.empty_cache()
        except RuntimeError:
            return False
    return True


class Passes:
    """How many models go through one forward and backward pass on a device, from the memory that one takes.

    bytes: of one model's pass; at_once: how many models go through one; both by the samples of a batch.
    """

    def __init__(self, device: torch.device):
        self.device = device
        self.bytes: dict[int, int] = {}
        self.at_once: dict[int, int] = {}

    def plan(self, samples: int, forward: Callable[[], Tensor], parameters: Tensor) -> None:
        """Count the memory of ``forward``, one model's pass on so many samples, unless that was done before."""
        if samples not in self.at_once:
            self.bytes[samples] = pass_bytes(forward, parameters)
            self.at_once[samples] = how_many_fit(self.bytes[samples], self.device)

    def halve(self, samples: int, models: int) -> None:
        """Send half as many of the models through one pass from now on."""
        self.at_once[samples] = -(-min(self.at_once[samples], models) // 2)

    def peak_bytes(self, models: int) -> int:
        """Memory of the passes of so many models, at the largest batch."""
        return max((min(self.at_once[samples], models) * each for samples, each in self.bytes.items()), default=0)


def how_many_fit(each: int, device: torch.device) -> int:
    """How many things of so many bytes fit into the free memory; at least 1, because one must be tried."""
    return max(1, int(SHARE * free_bytes(device) / max(each, 1)))


def seed_parts(plan: CalibrationPlan, devices: Sequence[torch.device]) -> list[tuple[int, int]]:
    """(first, end) of the seeds that train at the same time: up to each look, or fewer where memory has no room for more."""
    network = task(plan.task).network(plan.size)
    parameters = sum(math.prod(parameter.shape) for parameter in network.parameters().values())
    held = sum(x.nbytes for x in network.buffers(0).values())
    if plan.start == "scratch":  # after a warm start all models share what is frozen
        held += sum(x.nbytes for x in network.frozen(0).values())
    seed = len(plan.arms) * (state_bytes(parameters, plan.base.groups) + held)
    fit = len(devices) * min(how_many_fit(seed, device) for device in devices)
    return [(first, min(first + fit, look)) for start, look in pairwise((0, *plan.looks)) for first in range(start, look, fit)]
