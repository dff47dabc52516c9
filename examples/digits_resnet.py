"""A residual network with batch norm on handwritten digits.

scikit-learn's 1,797 digits of 8 x 8 pixels; of each twenty copies, shifted by up to a pixel and covered with noise. Batch norm
takes its statistics over micro-batches of 8, whatever the batch.
"""

import torch
from sklearn.datasets import load_digits
from torch import nn

SAMPLE = "image"
MICRO = 8
HIGHER_IS_BETTER = ["accuracy"]

WIDTH, COPIES, NOISE, TRAIN = 12, 20, 1.0, 1437  # the noise is one of the images' standard deviations


class Residual(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.path = nn.Sequential(nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU(),
                                  nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width))

    def forward(self, x):
        return torch.relu(x + self.path(x))


def model():
    return nn.Sequential(nn.Conv2d(1, WIDTH, 3, padding=1, bias=False), nn.BatchNorm2d(WIDTH), nn.ReLU(), nn.MaxPool2d(2),
                         Residual(WIDTH), Residual(WIDTH), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(4 * WIDTH, 10))


def data(split):
    images, digits = (torch.tensor(values, dtype=torch.float32) for values in load_digits(return_X_y=True))
    images, digits = ((images - images.mean()) / images.std()).view(-1, 1, 8, 8), digits.long()
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
    chosen = (order[:TRAIN] if split == "train" else order[TRAIN:]).repeat(COPIES if split == "train" else 2)
    generator = torch.Generator().manual_seed(1 if split == "train" else 2)
    across, down = torch.randint(-1, 2, (2, len(chosen)), generator=generator).tolist()
    shifted = torch.stack([image.roll(shift, (1, 2)) for image, *shift in zip(images[chosen], across, down, strict=True)])
    return shifted + NOISE * torch.randn(shifted.shape, generator=generator), digits[chosen]


def loss(model, batch):
    images, digits = batch
    return nn.functional.cross_entropy(model(images), digits)


def metrics(model, batch):
    images, digits = batch
    return {"accuracy": (model(images).argmax(1) == digits).float().mean()}
