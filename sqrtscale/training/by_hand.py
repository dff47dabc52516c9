"""Gradients of small models on a CPU: chunks of the population through ``tasks.transformer_cpu``, on as many cores as pay."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import numpy as np
import torch
from torch import Tensor

from ..tasks import Batch
from ..tasks.transformer import Transformer
from ..tasks.transformer_cpu import Gradients, Workspace

WIDEST = 64  # of a model; above, arithmetic sets the pace, and autograd with all threads is as fast
WORTH_A_THREAD = 20_000  # tokens x width of all models: with less for each, two threads were slower than one (2 cores)
ALL_THREADS = torch.get_num_threads()
ROWS = 4096  # tokens of all models of one chunk: its activations stay near the cache, and memory does not grow with the models


@cache
def _workers(count: int) -> ThreadPoolExecutor:
    # Denormal numbers are a setting of each thread; NumPy lets other threads run while it computes.
    return ThreadPoolExecutor(count, initializer=torch.set_flush_denormal, initargs=(True,))


def suits(network: object, device: torch.device) -> bool:
    """Whether these gradients are had this way."""
    return device.type == "cpu" and isinstance(network, Transformer) and network.width <= WIDEST


class ByHand:
    """The gradients of a population with parameters ``flat`` [M, P] (float32, on the CPU), which it reads in place."""

    def __init__(self, network: Transformer, flat: Tensor):
        self.network = network
        self.flat = flat.detach()
        self.gradients = torch.empty_like(self.flat)
        self.spaces: dict[tuple[int, int, int], Workspace] = {}  # (worker, models, samples)
        self.chunks: dict[tuple[int, int], list[list[tuple[slice, Gradients]]]] = {}  # (samples, threads) -> of each worker

    def threads(self, samples: int) -> int:
        """On how many threads the models train, each with this many samples: from their size, never from a timing."""
        work = len(self.flat) * samples * self.network.length * self.network.width
        return max(1, min(ALL_THREADS, work // WORTH_A_THREAD))

    def __call__(self, batch: Batch, weights: Sequence[float], threads: int) -> tuple[Tensor, Tensor]:
        """Losses [M] and gradients [M, P] on batch [M, B, ...]; the gradients are overwritten by the next call."""
        samples = batch.targets.shape[1]
        chunks = self.chunks.get((samples, threads)) or self._cut(samples, threads)
        inputs, targets = batch.inputs.numpy(), batch.targets.numpy()
        # Of a mean over each part, as a factor of the mean over all samples.
        each = np.repeat(np.asarray(weights) * len(weights), samples // len(weights))
        losses = np.empty(len(self.flat), np.float32)

        def work(mine: list[tuple[slice, Gradients]]) -> None:
            for rows, gradients in mine:
                losses[rows] = gradients(inputs[rows], targets[rows], each)

        if len(chunks) == 1:
            work(chunks[0])
        else:
            list(_workers(threads).map(work, chunks))
        return torch.from_numpy(losses), self.gradients

    def nbytes(self) -> int:
        """Memory of the activations."""
        return sum(space.nbytes() for space in self.spaces.values())

    def _cut(self, samples: int, threads: int) -> list[list[tuple[slice, Gradients]]]:
        models = len(self.flat)
        at_once = max(1, min(-(-models // threads), ROWS // (samples * self.network.length)))
        found: list[list[tuple[slice, Gradients]]] = [[] for _ in range(min(threads, -(-models // at_once)))]
        for i, first in enumerate(range(0, models, at_once)):
            rows = slice(first, min(first + at_once, models))
            worker, count = i % len(found), rows.stop - rows.start
            key = worker, count, samples
            if key not in self.spaces:
                self.spaces[key] = Workspace(self.network, count, samples)
            found[worker].append((rows, Gradients(self.spaces[key], self.flat[rows].numpy(), self.gradients[rows].numpy())))
        self.chunks[samples, threads] = found
        return found
