"""Small models for adapted data. A sample's output depends on no other sample of the batch: group norm, never batch norm."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .._network import Network, Parameter
from ..transformer import linear, lookup

GROUPS = 8  # channels of a group norm's groups


class Residual(nn.Module):
    """A residual network for pictures [B, 3, H, W] of bytes: three stages, each of half the side and twice the width."""

    def __init__(self, classes: int, width: int = 16, blocks: int = 1):
        super().__init__()
        widths = [width, 2 * width, 4 * width]
        self.entry = nn.Conv2d(3, width, 3, padding=1, bias=False)
        stages: list[nn.Module] = []
        for before, after in zip([width, *widths], widths, strict=False):
            stages += [_Block(before if block == 0 else after, after, 1 if block or after == width else 2)
                       for block in range(blocks)]
        self.stages = nn.Sequential(*stages)
        self.norm, self.head = _norm(widths[-1]), nn.Linear(widths[-1], classes)

    def forward(self, pictures: Tensor) -> Tensor:
        x = self.stages(self.entry(_numbers(pictures)))
        logits: Tensor = self.head(F.relu(self.norm(x)).mean((2, 3)))
        return logits


class _Block(nn.Module):
    def __init__(self, before: int, after: int, stride: int):
        super().__init__()
        self.first, self.second = _norm(before), _norm(after)
        self.down = nn.Conv2d(before, after, 3, stride, padding=1, bias=False)
        self.same = nn.Conv2d(after, after, 3, padding=1, bias=False)
        self.skip = nn.Identity() if (before, stride) == (after, 1) else nn.Conv2d(before, after, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        normed = F.relu(self.first(x))
        kept = x if isinstance(self.skip, nn.Identity) else self.skip(normed)
        out: Tensor = kept + self.same(F.relu(self.second(self.down(normed))))
        return out


def _norm(channels: int) -> nn.GroupNorm:
    return nn.GroupNorm(max(1, channels // GROUPS), channels)


def in_patches(pictures: Tensor, patch: int) -> Tensor:
    """Pictures [n, 3, side, side] of bytes as squares of ``patch`` x ``patch`` pixels, [n, squares, 3 * patch * patch]."""
    squares = _numbers(pictures).unfold(2, patch, patch).unfold(3, patch, patch)  # [n, 3, rows, columns, patch, patch]
    return squares.permute(0, 2, 3, 1, 4, 5).flatten(3).flatten(1, 2)


def _numbers(pictures: Tensor) -> Tensor:
    """Bytes as numbers around 0."""
    return (pictures.float() - 127.5) / 64


@dataclass(frozen=True)
class Perceptron(Network):
    """A perceptron for rows of a table: numbers [M, B, n] and codes of categories [M, B, c], each column with an embedding.

    categories: how many codes each column has; outputs: one for a regression, else one for each class; unit: what an error of 1
    of a regression is worth in the unit that it is measured in.
    """

    numbers: int
    categories: tuple[int, ...]
    outputs: int
    width: int = 64
    unit: float = 1.0
    length = 1

    def parameters(self) -> dict[str, Parameter]:
        sizes = [min(16, (count + 3) // 2) for count in self.categories]
        entry, d = self.numbers + sum(sizes), self.width
        embeddings = {f"embedding{i}": Parameter((count, size), 1.0)
                      for i, (count, size) in enumerate(zip(self.categories, sizes, strict=True))}
        layers = (("first", entry, d), ("second", d, d), ("head", d, self.outputs))
        return embeddings | {f"{name}.{part}": parameter for name, before, after in layers for part, parameter in (
            ("weight", Parameter((before, after), 1 / math.sqrt(before))), ("bias", Parameter((after,))))}

    def __call__(self, p: Mapping[str, Tensor], inputs: tuple[Tensor, Tensor], buffers: Mapping[str, Tensor], training: bool
                 ) -> Tensor:
        """Predictions [M, B, outputs]."""
        numbers, codes = inputs
        embedded = [lookup(p[f"embedding{i}"], codes[:, :, i]) for i in range(len(self.categories))]
        x = torch.cat([numbers, *embedded], 2)
        for layer in ("first", "second"):
            x = F.gelu(linear(p, layer, x))
        return linear(p, "head", x)

    def losses(self, predictions: Tensor, targets: Tensor) -> Tensor:
        """Squared error of a regression, else cross-entropy, [M, B]."""
        if self.outputs == 1:
            return (predictions.squeeze(2) - targets).square()
        return F.cross_entropy(predictions.flatten(0, 1), targets.flatten(), reduction="none").view(targets.shape)

    def measures(self, predictions: Tensor, targets: Tensor) -> dict[str, Tensor]:
        loss = {"loss": self.losses(predictions, targets)}
        if self.outputs == 1:
            return loss | {"absolute_error": self.unit * (predictions.squeeze(2) - targets).abs()}
        return loss | {"accuracy": predictions.argmax(2) == targets}
