"""How long a step of a user's task takes, how much of it is loading samples, and what helps where that is most of it."""

from __future__ import annotations

import math
import os
import time

import torch

from ..tasks import OwnTask
from .population import Population
from .streams import Stream

TIMED = 3  # steps
WORTH_WORKERS = 0.01  # seconds of loading a batch: below, handing samples from process to process costs about as much


def step_time(about: OwnTask, population: Population) -> tuple[float, float]:
    """Seconds of a step without loading, and of loading its samples, 0 where data are tensors.

    A stack loads some thousand samples at once, before a step: its part of that is meant.
    """
    batch, device, running = population.batch_size, population.device, about.running
    stream, seconds = Stream(about.data(device), batch, "check"), []  # samples of its own: those of another batch are kept
    samples, loading = running.loaded_samples, running.loading_seconds
    for _ in range(TIMED):
        drawn = stream.take(batch).map(lambda x: x[None])
        loaded, began = running.loading_seconds, time.perf_counter()
        population.step(drawn)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        seconds.append(time.perf_counter() - began - (running.loading_seconds - loaded))
    samples, loading = running.loaded_samples - samples, running.loading_seconds - loading
    return min(seconds), batch * loading / samples if samples else 0.0


def slow_loading(workers: int, times: float) -> str:
    """A sentence for loading that takes so many times as long as the rest of a step."""
    cores = os.cpu_count() or 1
    if not workers:
        some = min(cores, math.ceil(times))
        remedy = f"set WORKERS = {some} in the file, for processes that load the next batch while one is trained"
    elif workers < cores:
        remedy = f"set WORKERS = {cores}, the cores of this machine"
    else:
        remedy = f"its {workers} workers have all cores of this machine"
    return (f"loading the samples of a step takes {rounded(times)} times as long as the step itself: {remedy}. It also helps to "
            "do less in __getitem__, for example to keep decoded samples in a file")


def rounded(value: float) -> str:
    """Two digits of a number, without a power of ten."""
    return f"{float(f'{value:.2g}'):,.10g}"
