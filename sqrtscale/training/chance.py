"""Random numbers of a training pass, as dropout draws them: the same for the same seed and samples seen."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch
from torch import Tensor


@dataclass(frozen=True)
class Chance:
    """Where the random numbers of a pass come from: nothing but the stream's name, a run's seed and the samples it has seen.

    So a run repeats itself, can go on from where it stood, and draws the same beside any others; arms at other batch sizes
    draw the same wherever they begin a pass at the same sample. seeds: of every model; copies: of each model, one behind the
    other, the next one ``apart`` samples later.
    """

    stream: str
    seeds: Sequence[int]
    samples: int
    copies: int = 1
    apart: int = 0

    def later(self, samples: int) -> Chance:
        """Of a pass that begins so many samples later."""
        return replace(self, samples=self.samples + samples)

    def seed(self, model: int) -> int:
        """What torch's generators are seeded with for that model's pass."""
        model, copy = divmod(model, self.copies)
        text = f"{self.stream}, seed {self.seeds[model]}, {self.samples + copy * self.apart} samples"
        return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little") >> 1


@contextmanager
def drawing(device: torch.device) -> Iterator[None]:
    """Inside, torch's generators of processor and device may be seeded and drawn from; they are given back as they were."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        yield


def seed_generators(device: torch.device, seed: int) -> None:
    """Seed the processor's generator and the device's own; ``torch.manual_seed`` would seed those of all other devices, too."""
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        with torch.cuda.device(device):
            torch.cuda.manual_seed(seed)


def generator_states(device: torch.device) -> list[Tensor]:
    """Where the generators stand that a pass on the device draws from."""
    return [torch.get_rng_state()] + ([torch.cuda.get_rng_state(device)] if device.type == "cuda" else [])
