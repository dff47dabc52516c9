"""Vision: a small vision transformer on scikit-learn's handwritten digits."""

from __future__ import annotations

import math
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from ..rules import TrainingConfig
from ._batch import Batch
from ._task import SMALLEST, Data, Defaults, Metric, NoiseScale, Task

if TYPE_CHECKING:
    import numpy as np
    import torch
    from torch import Tensor

    from .transformer import Transformer

SIDE, PATCH = 8, 4
SHAPES = {"tiny": (32, 2, 2), "small": (128, 4, 4), "medium": (256, 6, 4), "large": (512, 9, 8)}  # width, layers, heads
NOISE = 0.5  # of the images' standard deviation; with the shifts it keeps gradient noise alive after the fit


class Digits(Task):
    name = "digits"
    title = "Vision: handwritten digits"
    description = (
        "A vision transformer on 1,797 real handwritten digits of 8 x 8 pixels "
        "(scikit-learn), each sample shifted by up to one pixel and covered with noise."
    )
    version = 1
    sample = "image"
    train_size = 1437
    tf32 = True
    hopeless = 10 * math.log(10)  # ten times the loss of guessing
    metrics: Mapping[str, Metric] = {
        "val_loss": Metric("Validation loss", "nats per image", "validation", "loss", margin=0.01),  # 1 % in probability
        "train_loss": Metric("Train loss", "nats per image", "train", "loss", margin=0.01),
        "val_accuracy": Metric("Validation accuracy", "share right", "validation", "accuracy", 0.01, higher_is_better=True),
    }
    sizes: Mapping[str, int] = {"tiny": 26_442, "small": 797_194, "medium": 4_746_762, "large": 28_387_850}
    defaults = Defaults(
        base=TrainingConfig("adam", 8, {"lr": 2e-3}),
        target_batch=64, samples=48_000, warm_samples=96_000, seeds=8, evaluations=200,
    )
    noise_scale = NoiseScale(600, 530, 690, "measured in this task's default calibration of the tiny model, on 8 seeds")

    def network(self, size: str = SMALLEST) -> Transformer:
        from .transformer import Transformer

        return Transformer(*SHAPES[size], length=(SIDE // PATCH) ** 2, classes=10, patch=PATCH * PATCH)

    def data(self, device: torch.device) -> Data:
        return _Digits(device)


class _Digits(Data):
    """1,437 training and 360 validation images; split by a fixed shuffle, validated as augmented as trained."""

    draws_alone = True

    def __init__(self, device: torch.device):
        import torch

        pixels, digits = _written()
        images = torch.tensor(pixels, dtype=torch.float32).view(-1, SIDE, SIDE)
        images = (images - images.mean()) / images.std()
        labels = torch.tensor(digits)
        order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
        train, rest = order[: Digits.train_size], order[Digits.train_size :]
        self.device = device
        self.images, self.labels = images[train], labels[train]
        fixed = torch.Generator().manual_seed(1)
        # Augmented once with a fixed seed: the loss that is measured is the loss that is trained.
        self.validation = self._augmented(images[rest], labels[rest], fixed)
        self.train_sample = self._augmented(self.images[: len(rest)], self.labels[: len(rest)], fixed)

    def draw(self, count: int, generator: torch.Generator) -> Batch:
        import torch

        chosen = torch.randint(len(self.images), (count,), generator=generator)
        return self._augmented(self.images[chosen], self.labels[chosen], generator)

    def _augmented(self, images: Tensor, labels: Tensor, generator: torch.Generator) -> Batch:
        """Each image [8, 8] shifted by -1, 0 or 1 in both directions, plus noise; as patches [4, 16]."""
        import torch
        import torch.nn.functional as F

        count = len(images)
        down, right = torch.randint(3, (2, count, 1, 1), generator=generator)
        padded = F.pad(images, (1, 1, 1, 1), value=float(images.min()))
        rows = down + torch.arange(SIDE).view(1, -1, 1)
        columns = right + torch.arange(SIDE).view(1, 1, -1)
        shifted = padded[torch.arange(count).view(-1, 1, 1), rows, columns]
        noisy = shifted + NOISE * torch.randn(shifted.shape, generator=generator)
        patches = noisy.unfold(1, PATCH, PATCH).unfold(2, PATCH, PATCH).reshape(count, -1, PATCH * PATCH)
        return Batch(self.placed(patches), self.placed(labels))


def _written() -> tuple[np.ndarray, np.ndarray]:
    """Pixels [1797, 64] and labels [1797] of scikit-learn, read from its file: importing it takes as long as importing torch."""
    import numpy as np

    package = find_spec("sklearn")
    file = Path(package.origin).parent / "datasets/data/digits.csv.gz" if package and package.origin else Path()
    if not file.is_file():
        from sklearn.datasets import load_digits

        pixels, digits = load_digits(return_X_y=True)
        return pixels, digits
    table = np.loadtxt(file, delimiter=",")
    return table[:, :-1], table[:, -1].astype(np.int64)


TASK = Digits()
