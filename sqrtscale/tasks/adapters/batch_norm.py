"""The paper's networks for CIFAR-10. Their batch norm takes its statistics over the micro-batch that the task names."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

MEAN, SPREAD = (125.3, 123.0, 113.9), (63.0, 62.1, 66.7)  # of the training pictures' bytes, by colour
VGG16 = (64, 64, 0, 128, 128, 0, 256, 256, 256, 0, 512, 512, 512, 0, 512, 512, 512, 0)  # widths; 0 halves the side
EDGE = 4  # pixels that a crop may move


class ResNet(nn.Module):
    """A residual network of depth 6 blocks + 2 for pictures [B, 3, 32, 32]: He et al. 2016, section 4.2, with projections."""

    def __init__(self, blocks: int = 9, width: int = 16, classes: int = 10):
        super().__init__()
        self.entry = _convolution(3, width, 3)
        widths = [width] * blocks + [2 * width] * blocks + [4 * width] * blocks
        self.blocks = nn.Sequential(*(_Block(before, after) for before, after in zip([width, *widths], widths, strict=False)))
        self.head = nn.Linear(4 * width, classes)

    def forward(self, pictures: Tensor) -> Tensor:
        x = self.blocks(F.relu(self.entry(standardised(pictures))))
        logits: Tensor = self.head(x.mean((2, 3)))
        return logits


class VGG(nn.Module):
    """VGG16 with batch norm for pictures [B, 3, 32, 32] and one linear layer at its end; narrower: every width divided by it."""

    def __init__(self, narrower: int = 1, classes: int = 10):
        super().__init__()
        layers: list[nn.Module] = []
        before = 3
        for width in VGG16:
            layers += [_convolution(before, width // narrower, 3), nn.ReLU()] if width else [nn.MaxPool2d(2)]
            before = width // narrower or before
        self.layers, self.head = nn.Sequential(*layers), nn.Linear(before, classes)

    def forward(self, pictures: Tensor) -> Tensor:
        logits: Tensor = self.head(self.layers(standardised(pictures)).flatten(1))
        return logits


class _Block(nn.Module):
    def __init__(self, before: int, after: int):
        super().__init__()
        stride = 1 if before == after else 2
        self.first, self.second = _convolution(before, after, 3, stride), _convolution(after, after, 3)
        self.skip = nn.Identity() if before == after else _convolution(before, after, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.skip(x) + self.second(F.relu(self.first(x))))


def _convolution(before: int, after: int, size: int, stride: int = 1) -> nn.Sequential:
    convolution = nn.Conv2d(before, after, size, stride, padding=size // 2, bias=False)
    nn.init.kaiming_normal_(convolution.weight, mode="fan_out", nonlinearity="relu")
    return nn.Sequential(convolution, nn.BatchNorm2d(after))


def standardised(pictures: Tensor) -> Tensor:
    """Bytes as numbers of mean 0 and standard deviation 1, by colour."""
    mean, spread = (torch.tensor(values, device=pictures.device).view(3, 1, 1) for values in (MEAN, SPREAD))
    return (pictures - mean) / spread


def moved(pictures: Tensor) -> Tensor:
    """Each picture [3, S, S] cropped at a random place of itself with an edge of zeros, and mirrored at random."""
    count, _, side, _ = pictures.shape
    padded = F.pad(pictures, (EDGE,) * 4)
    down, right = torch.randint(2 * EDGE + 1, (2, count, 1), device=pictures.device) + torch.arange(side, device=pictures.device)
    right = torch.where(torch.rand(count, 1, device=pictures.device) < 0.5, right, right.flip(1))
    picture = torch.arange(count, device=pictures.device).view(-1, 1, 1)
    return padded[picture, :, down.unsqueeze(2), right.unsqueeze(1)].permute(0, 3, 1, 2)
