"""The meter as a callback of Lightning's Trainer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lightning.pytorch import Callback

from ._meter import NoiseMeter


class NoiseMeterCallback(Callback):
    """``Trainer(..., callbacks=[NoiseMeterCallback("noise.jsonl")])``; ``meter`` has the result.

    Needs accumulate_grad_batches of at least 2, or several processes. path, every: as for ``NoiseMeter``; micro_batch: samples of
    one batch of the loader, read from it where it says so. Raises ValueError where it does not.
    """

    def __init__(self, path: str | Path | None = None, every: int = 10, micro_batch: int | None = None):
        self.path, self.every, self.micro_batch = path, every, micro_batch
        self.meter: NoiseMeter | None = None

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        size = self.micro_batch or getattr(trainer.train_dataloader, "batch_size", None)
        if not size:
            raise ValueError("the loader does not say its batch size: give micro_batch, the samples of one of its batches")
        self.meter = NoiseMeter(size, every=self.every, clip_norm=trainer.gradient_clip_val or None, path=self.path)
        self.meter.attach(trainer.strategy.model, trainer.optimizers[0])

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        if self.meter is not None:
            self.meter.detach()
