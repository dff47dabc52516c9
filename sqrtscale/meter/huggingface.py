"""The meter as a callback of Hugging Face's Trainer (transformers)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from ._meter import NoiseMeter


class NoiseMeterCallback(TrainerCallback):
    """``Trainer(..., callbacks=[NoiseMeterCallback("noise.jsonl")])``; ``meter`` has the result.

    Needs gradient_accumulation_steps of at least 2, or several processes. path, every: as for ``NoiseMeter``.
    """

    def __init__(self, path: str | Path | None = None, every: int = 10):
        self.path, self.every = path, every
        self.meter: NoiseMeter | None = None

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **given: Any) -> None:
        self.meter = NoiseMeter(args.per_device_train_batch_size, every=self.every, clip_norm=args.max_grad_norm or None,
                                path=self.path).attach(given["model"], given["optimizer"])

    def on_train_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **given: Any) -> None:
        if self.meter is not None:
            self.meter.detach()
