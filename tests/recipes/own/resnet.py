"""A small residual network on drawn bars.

Bars across or down a square of 8 x 8 pixels, in noise; batch norm takes its statistics over micro-batches of 8."""

import torch
from torch import nn

SAMPLE = "image"
MICRO = 8
HIGHER_IS_BETTER = ["accuracy"]


class Residual(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.path = nn.Sequential(nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU(),
                                  nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width))

    def forward(self, x):
        return torch.relu(x + self.path(x))


def model():
    return nn.Sequential(nn.Conv2d(1, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4), nn.ReLU(), Residual(4),
                         nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(64, 2))


def data(split):
    generator = torch.Generator().manual_seed(int(split == "train"))
    count = 400 if split == "train" else 96
    kind, place = torch.randint(2, (count,), generator=generator), torch.randint(8, (count,), generator=generator)
    images = torch.randn(count, 1, 8, 8, generator=generator)
    for image, down, at in zip(images[:, 0], kind.tolist(), place.tolist(), strict=True):
        (image.T if down else image)[at] += 1
    return images, kind


def loss(model, batch):
    images, kinds = batch
    return nn.functional.cross_entropy(model(images), kinds)


def metrics(model, batch):
    images, kinds = batch
    return {"accuracy": (model(images).argmax(1) == kinds).float().mean()}
