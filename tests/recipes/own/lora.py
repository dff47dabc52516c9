"""Low-rank changes of frozen weights, with tied tables and a checkpointed part."""

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

SAMPLE = "window"
PRECISION = "bf16"


class LowRank(nn.Module):
    def __init__(self, frozen, rank=2):
        super().__init__()
        self.frozen = frozen.requires_grad_(False)
        self.down = nn.Parameter(torch.randn(rank, frozen.in_features) / 4)
        self.up = nn.Parameter(torch.zeros(frozen.out_features, rank))

    def forward(self, x):
        return self.frozen(x) + x @ self.down.T @ self.up.T


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(7)  # the frozen part is the same from every seed
            self.entry, self.head = nn.Embedding(12, 8), nn.Linear(8, 12, bias=False)
            self.middle = nn.Linear(8, 8)
        self.middle = LowRank(self.middle)
        self.head.weight = self.entry.weight
        self.scale = nn.Parameter(torch.ones(8))

    def forward(self, x):
        x = self.entry(x).mean(1) * self.scale
        return self.head(x + checkpoint(self.middle, x, use_reentrant=False))


def model():
    made = Tied()
    made.entry.weight.requires_grad_(False)
    return made


def data(split):
    generator = torch.Generator().manual_seed(int(split == "train"))
    windows = torch.randint(12, (300 if split == "train" else 64, 5), generator=generator)
    return windows[:, :4], windows[:, :4].max(1).values


def loss(model, batch):
    windows, largest = batch
    return nn.functional.cross_entropy(model(windows), largest)
