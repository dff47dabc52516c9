"""What waiting for samples takes of a step of a user's task, and what loading a batch ahead saves of it.

    python benchmarks/loading.py [--steps N]

A network of four layers of 512 on batches of 8 samples, on the CPU. A batch costs about as much as the step that trains on it,
in one of three ways: the sample is waited for (a network drive), read from a file whose pages the system has to fetch anew, or
made by the processor. Each by the training process itself, by a worker that is asked when a step needs its batch, and by one
that is told which batch comes next. The same samples in all three. Medians over the
steps. Prints Markdown.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import torch

from sqrtscale.rules import TrainingConfig
from sqrtscale.tasks import OwnFile, OwnTask
from sqrtscale.tasks.own import Facts
from sqrtscale.training.population import Population
from sqrtscale.training.streams import Stream

CPU, BATCH, ROW = torch.device("cpu"), 8, 2**21  # samples; bytes that one sample reads
TEXT = '''"""Rows that cost something."""
import os
import time

import numpy as np
import torch
from torch import nn

WORKERS = {workers}
WAIT, PRODUCTS = {wait}, {products}  # seconds; products of matrices
FILE, ROW, ROWS = {file!r}, {row}, {rows}


class Rows:
    def __len__(self):
        return 4096

    def __getitem__(self, place):
        row = torch.full((512,), place / 4096.0)
        if WAIT:
            time.sleep(WAIT)
        if FILE:
            begin = place % ROWS * ROW
            with open(FILE, "rb") as file:
                file.seek(begin)
                row[0] = file.read(ROW)[place]
                os.posix_fadvise(file.fileno(), begin, ROW, os.POSIX_FADV_DONTNEED)
        matrix = np.eye(96, dtype=np.float32) * place
        for _ in range(PRODUCTS):
            matrix = np.tanh(matrix @ matrix)
        row[1] = float(matrix[0, 0])
        return row, place % 10


def model():
    return nn.Sequential(*(layer for _ in range(4) for layer in (nn.Linear(512, 512), nn.ReLU())), nn.Linear(512, 10))


def data(split):
    return Rows()


def loss(model, batch):
    return nn.functional.cross_entropy(model(batch[0]), batch[1])
'''


def steps(count: int, ahead: bool, **cost: object) -> tuple[list[float], list[float], torch.Tensor]:
    """Seconds of each step, those that it waited for samples, and the weights at the end."""
    choices = {"workers": 0, "wait": 0.0, "products": 0, "file": "", "row": ROW, "rows": 1}
    about = OwnTask(OwnFile("rows", "/nowhere/rows.py", TEXT.format(**choices | cost), Facts(1, 4096, 4096)))
    population = Population(about, [TrainingConfig("adam", BATCH, {"lr": 1e-4})], [0], CPU)
    samples = Stream(about.data(CPU), 0, "branch").take((count + 2) * BATCH).map(lambda x: x[None])
    waited, seconds, source = [0.0], [], population.network._ahead
    source.read = _timed(source.read, waited)
    if ahead:
        population.expect(samples, torch.zeros(1, dtype=torch.long))
    waits = []
    for step in range(count + 2):
        waited[0], began = 0.0, time.perf_counter()
        population.step(samples.cut(slice(None), slice(step * BATCH, (step + 1) * BATCH)))
        seconds.append(time.perf_counter() - began)
        waits.append(waited[0])
    return seconds[2:], waits[2:], population.flat  # the first ones start the workers


def _timed(read: Callable[..., object], waited: list[float]) -> Callable[..., object]:
    def timed(*given: object) -> object:
        began = time.perf_counter()
        try:
            return read(*given)
        finally:
            waited[0] += time.perf_counter() - began
    return timed


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--steps", type=int, default=60)
    count = parser.parse_args().steps
    alone = median(seconds - waits for seconds, waits in zip(*steps(count, False)[:2], strict=True))
    print(f"A step without its samples takes {1000 * alone:.1f} ms; load {os.getloadavg()[0]:.0f} on {os.cpu_count()} cores.\n\n"
          "| samples are | loaded by | ms a step | ms of it waiting for samples |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "rows"
        rows = 128
        with file.open("wb") as out:
            for _ in range(rows):
                out.write(os.urandom(ROW))
            os.fsync(out.fileno())
        one = median(steps(10, False, products=20)[1]) / 20
        for name, cost in {"waited for": {"wait": alone / BATCH}, "read from the disk": {"file": str(file), "rows": rows},
                           "made by the processor": {"products": max(1, round(alone / one))}}.items():
            ends = []
            for how, workers, ahead in (("the training process", 0, False), ("a worker, when they are needed", 1, False),
                                        ("a worker, a batch ahead", 1, True)):
                seconds, waits, weights = steps(count, ahead, workers=workers, **cost)
                ends.append(weights)
                print(f"| {name} | {how} | {1000 * median(seconds):.1f} | {1000 * median(waits):.1f} |", flush=True)
            assert all(torch.equal(weights, ends[0]) for weights in ends), "the same samples give the same weights"


if __name__ == "__main__":
    main()
