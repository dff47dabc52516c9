"""Language: a byte-level causal transformer on the English text of Python's own language reference."""

from __future__ import annotations

from typing import ClassVar

from ..rules import TrainingConfig
from ._task import SMALLEST, Batch, Data, Defaults, Size, Task

LENGTH = 32  # bytes of context
MEASURED = 256  # windows in each of the two fixed sets
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
    classes = CHARACTERS
    tf32 = True
    metrics: ClassVar = {"val_loss": "nats per byte", "train_loss": "nats per byte"}
    sizes: ClassVar = {
        "tiny": Size(48, 2, 2, 70_592), "small": Size(128, 4, 4, 830_336), "medium": Size(256, 6, 4, 4_812_928),
        "large": Size(512, 9, 8, 28_520_064),
    }
    defaults = Defaults(
        base=TrainingConfig("adam", 8, {"lr": 5e-4, "beta1": 0.95, "beta2": 0.99}),
        target_batch=64, samples=24_000, warm_samples=72_000, seeds=5,
    )

    def network(self, size=SMALLEST):
        from .transformer import Transformer

        one = self.sizes[size]
        return Transformer(one.width, one.layers, one.heads, length=LENGTH, classes=CHARACTERS, tokens=CHARACTERS, causal=True)

    def data(self, device):
        return _Pydoc(device)


class _Pydoc(Data):
    """Windows of 32 bytes at random places of the training topics; every tenth topic validates."""

    def __init__(self, device):
        import pydoc_data.topics

        topics = [text for _, text in sorted(pydoc_data.topics.topics.items())]
        held_out = "\n".join(topics[::VALIDATION_EVERY])
        rest = "\n".join(text for i, text in enumerate(topics) if i % VALIDATION_EVERY)
        self.device = device
        self.text = self._bytes(rest)
        self.validation = self._spread(self._bytes(held_out))
        self.train_sample = self._spread(self.text)

    @staticmethod
    def _bytes(text):
        import torch

        return torch.frombuffer(bytearray(text.encode("ascii", "replace")), dtype=torch.uint8).long()

    def draw(self, count, generator):
        import torch

        return self._windows(self.text, torch.randint(len(self.text) - LENGTH, (count,), generator=generator))

    def _spread(self, text) -> Batch:
        """Windows spread evenly over a text."""
        import torch

        return self._windows(text, torch.linspace(0, len(text) - LENGTH - 1, MEASURED).long())

    def _windows(self, text, starts) -> Batch:
        import torch

        windows = self.placed(text[starts.view(-1, 1) + torch.arange(LENGTH + 1)])
        return Batch(windows[:, :-1], windows[:, 1:])


TASK = Pydoc()
