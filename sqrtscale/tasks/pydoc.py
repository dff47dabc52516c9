"""Language: a byte-level causal transformer on the English text of Python's own language reference."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from ..rules import TrainingConfig
from ._batch import Batch
from ._task import SMALLEST, Data, Defaults, Metric, NoiseScale, Task

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from .transformer import Transformer

LENGTH = 32  # bytes of context
MEASURED = 256  # windows in each of the two fixed sets
SHAPES = {"tiny": (48, 2, 2), "small": (128, 4, 4), "medium": (256, 6, 4), "large": (512, 9, 8)}  # width, layers, heads
CHARACTERS = 128  # the text is ASCII but for a few signs, which become "?"
VALIDATION_EVERY = 10  # every tenth topic is held out


class Pydoc(Task):
    name = "pydoc"
    title = "Language: Python's reference"
    description = (
        "A byte-level causal transformer (32 bytes of context) on the English text of "
        "Python's language reference that every Python carries (pydoc_data.topics, about 466 kB)."
    )
    version = 1
    sample = "window of 32 bytes"
    train_size = 13_000
    tf32 = True
    hopeless = 10 * math.log(CHARACTERS)  # ten times the loss of guessing
    metrics: Mapping[str, Metric] = {
        "val_loss": Metric("Validation loss", "nats per byte", "validation", "loss", margin=0.01),  # 1 % in probability
        "train_loss": Metric("Train loss", "nats per byte", "train", "loss", margin=0.01),
    }
    sizes: Mapping[str, int] = {"tiny": 70_592, "small": 830_336, "medium": 4_812_928, "large": 28_520_064}
    defaults = Defaults(
        base=TrainingConfig("adam", 8, {"lr": 5e-4, "beta1": 0.95, "beta2": 0.99}),
        target_batch=64, samples=24_000, warm_samples=72_000, seeds=5,
    )
    noise_scale = NoiseScale(180, 160, 210, "measured in this task's default calibration of the tiny model, on 3 seeds")

    def network(self, size: str = SMALLEST) -> Transformer:
        from .transformer import Transformer

        return Transformer(*SHAPES[size], length=LENGTH, classes=CHARACTERS, tokens=CHARACTERS, causal=True)

    def data(self, device: torch.device) -> Data:
        return _Pydoc(device)


class _Pydoc(Data):
    """Windows of 32 bytes at random places of the training topics; every tenth topic validates."""

    draws_alone = True

    def __init__(self, device: torch.device):
        import pydoc_data.topics

        topics = [text for _, text in sorted(pydoc_data.topics.topics.items())]
        held_out = "\n".join(topics[::VALIDATION_EVERY])
        rest = "\n".join(text for i, text in enumerate(topics) if i % VALIDATION_EVERY)
        self.device = device
        self.text = self._bytes(rest)
        self.validation = self._spread(self._bytes(held_out))
        self.train_sample = self._spread(self.text)

    @staticmethod
    def _bytes(text: str) -> Tensor:
        import torch

        return torch.frombuffer(bytearray(text.encode("ascii", "replace")), dtype=torch.uint8).long()

    def draw(self, count: int, generator: torch.Generator) -> Batch:
        import torch

        return self._windows(self.text, torch.randint(len(self.text) - LENGTH, (count,), generator=generator))

    def _spread(self, text: Tensor) -> Batch:
        """Windows spread evenly over a text."""
        import torch

        return self._windows(text, torch.linspace(0, len(text) - LENGTH - 1, MEASURED).long())

    def _windows(self, text: Tensor, starts: Tensor) -> Batch:
        import torch

        windows = self.placed(text[starts.view(-1, 1) + torch.arange(LENGTH + 1)])
        return Batch(windows[:, :-1], windows[:, 1:])


TASK = Pydoc()
