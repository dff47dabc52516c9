"""How many of torch's own threads a step takes on a CPU."""

from __future__ import annotations

import torch

ALL_THREADS = torch.get_num_threads()
# Below this many numbers in one layer's output a step is faster on one CPU thread than on two (measured with 2 cores).
# A rule of size, not a timing: the same plan must take the same path each time.
WORTH_THREADS = 2**17


def use_threads(device: torch.device, size: int) -> None:
    """Set torch's threads for work with so many numbers in one layer's output; a GPU needs none of them."""
    if device.type == "cpu":
        torch.set_num_threads(ALL_THREADS if size >= WORTH_THREADS else 1)
