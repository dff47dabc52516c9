"""What the noise meter costs: steps of a small transformer with gradient accumulation, with and without it, in turns.

    python benchmarks/noise_meter.py [--rounds 9] [--steps 20]

Prints Markdown: medians of the processor time of a step over the rounds, and their ratio, at several intervals.
"""

from __future__ import annotations

import argparse
import time
from statistics import median

import torch
from torch import nn

from sqrtscale import NoiseMeter

MICRO_BATCHES, MICRO, LENGTH, WIDTH = 4, 8, 64, 256


def make() -> tuple[nn.Module, torch.optim.Optimizer]:
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(WIDTH, 4, 4 * WIDTH, batch_first=True)
    model = nn.Sequential(nn.Embedding(256, WIDTH), nn.TransformerEncoder(layer, 4, enable_nested_tensor=False),
                          nn.Linear(WIDTH, 256))
    return model, torch.optim.AdamW(model.parameters(), lr=1e-4)


def seconds(every: int, steps: int) -> float:
    """Processor time of one step; every: of the meter, 0 for none."""
    model, optimizer = make()
    meter = NoiseMeter(MICRO, every=every).attach(model, optimizer) if every else None
    text = torch.randint(256, (MICRO, LENGTH + 1))
    began = 0.0
    for step in range(steps + 2):  # two to warm up
        if step == 2:
            began = time.process_time()
        for _ in range(MICRO_BATCHES):
            scores = model(text[:, :-1])
            (nn.functional.cross_entropy(scores.flatten(0, 1), text[:, 1:].flatten()) / MICRO_BATCHES).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
    ended = time.process_time()
    if meter is not None:
        meter.detach()
    return (ended - began) / steps


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--steps", type=int, default=20)
    options = parser.parse_args()
    torch.set_num_threads(1)
    intervals = (0, 1, 10)
    times: dict[int, list[float]] = {every: [] for every in intervals}
    for _ in range(options.rounds):
        for every in intervals:
            times[every].append(seconds(every, options.steps))
    parameters = sum(p.numel() for p in make()[0].parameters())
    print(f"{parameters:,} parameters, {MICRO_BATCHES} micro-batches of {MICRO} x {LENGTH} tokens, one thread, "
          f"{options.rounds} rounds")
    print("\n| measured | processor time of a step, median | over none |\n|---|---|---|")
    for every in intervals:
        name = f"every {every}. step" if every else "never"
        ratio = median(with_meter / without for with_meter, without in zip(times[every], times[0], strict=True))
        print(f"| {name} | {median(times[every]) * 1000:.1f} ms | {ratio:.3f} |")


if __name__ == "__main__":
    main()
