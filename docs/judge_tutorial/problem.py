"""What both trainings of the tutorial learn: twenty numbers to one of five classes that is drawn by chance, from a warm start."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

SAMPLES, VALIDATION, WARM_STEPS, WARM_BATCH = 6400, 4096, 40, 64


class Samples(Dataset[dict[str, Tensor]]):
    """Inputs and classes. Every class has its probability at every input, so that no model's loss comes near 0."""

    def __init__(self, count: int, seed: int):
        generator = torch.Generator().manual_seed(0)  # of what gives the probabilities, the same for all samples
        first, second = torch.randn(20, 64, generator=generator), torch.randn(64, 5, generator=generator)
        generator.manual_seed(seed)
        self.x = torch.randn(count, 20, generator=generator)
        scores = 4 * (2 * self.x @ first / 20**0.5).tanh() @ second / 8
        self.labels = torch.multinomial(scores.softmax(1), 1, generator=generator).squeeze(1)

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, i: int) -> dict[str, Tensor]:
        return {"x": self.x[i], "labels": self.labels[i]}


class Net(nn.Module):
    """A small classifier that gives its loss, as the models of transformers do."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(20, 64), nn.Tanh(), nn.Linear(64, 5))

    def forward(self, x: Tensor, labels: Tensor) -> dict[str, Tensor]:
        return {"loss": nn.functional.cross_entropy(self.layers(x), labels)}


def warm_start() -> Net:
    """The model where every run begins: trained until noise dominates its gradient, as a checkpoint of yours would be."""
    torch.manual_seed(0)
    net, samples = Net(), Samples(WARM_STEPS * WARM_BATCH, seed=1)
    optimizer = torch.optim.AdamW(net.parameters(), lr=4e-3, weight_decay=0.0)
    for x, labels in zip(samples.x.split(WARM_BATCH), samples.labels.split(WARM_BATCH), strict=True):
        optimizer.zero_grad()
        net(x, labels)["loss"].backward()
        optimizer.step()
    return net


def training_and_validation() -> tuple[Samples, Samples]:
    return Samples(SAMPLES, seed=2), Samples(VALIDATION, seed=3)
