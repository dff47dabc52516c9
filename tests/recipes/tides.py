"""Regression: the height of the tide at four harbours, from the hour and the harbour."""

from __future__ import annotations

from collections.abc import Mapping

from ..rules import TrainingConfig
from ._batch import Batch
from ._task import SMALLEST, Data, Defaults, Metric, Task

HARBOURS, WAVES, NOISE = 4, 6, 0.3
WIDTHS = {"tiny": 8, "wide": 32}


class Tides(Task):
    name = "tides"
    title = "Regression: tides"
    description = "A small network with batch norm and dropout on the heights of four harbours, with noise in every reading."
    version = 1
    sample = "reading"
    train_size = 100_000
    micro = 4  # batch norm takes its statistics over so many
    hopeless = 1e3
    metrics: Mapping[str, Metric] = {
        "val_error": Metric("Validation error", "m²", "validation", "loss", margin=0.02),
        "val_close": Metric("Within half a metre", "share", "validation", "close", margin=0.01, higher_is_better=True),
        "train_error": Metric("Train error", "m²", "train", "loss"),
    }
    sizes: Mapping[str, int] = {"tiny": 4 * 8 + 8 * 8 + 2 * 8 + 9, "wide": 4 * 32 + 8 * 32 + 2 * 32 + 33}
    defaults = Defaults(
        base=TrainingConfig("adam", 8, {"lr": 3e-3}), target_batch=32, samples=6_400, warm_samples=3_200, seeds=3)

    def network(self, size=SMALLEST):
        import torch
        from torch import nn

        from .module import ModuleNetwork

        class Model(nn.Module):
            def __init__(self):
                super().__init__()
                self.waves = nn.Linear(1, 8)
                self.waves.requires_grad_(False)  # fixed random frequencies
                self.harbour = nn.Embedding(HARBOURS, WIDTHS[size])
                self.hour = nn.Linear(8, WIDTHS[size], bias=False)
                self.norm = nn.BatchNorm1d(WIDTHS[size])
                self.dropout = nn.Dropout(0.1)
                self.last = nn.Linear(WIDTHS[size], 1)

            def forward(self, hour, harbour):
                x = self.hour(torch.sin(self.waves(hour.unsqueeze(1)))) + self.harbour(harbour)
                return self.last(self.dropout(torch.relu(self.norm(x)))).squeeze(1)

        return ModuleNetwork(Model, losses=lambda predicted, true: (predicted - true) ** 2,
                             measures={"close": lambda predicted, true: (predicted - true).abs() < 0.5}, width=WIDTHS[size])

    def data(self, device):
        return _Readings(device)


class _Readings(Data):
    """Readings at random hours; the heights are sums of waves, another phase in every harbour."""

    def __init__(self, device):
        import torch

        self.device = device
        fixed = torch.Generator().manual_seed(1)
        self.validation, self.train_sample = self.draw(200, fixed), self.draw(200, fixed)

    def draw(self, count, generator):
        import torch

        hour = 6 * torch.rand(count, generator=generator) - 3
        harbour = torch.randint(HARBOURS, (count,), generator=generator)
        wave = torch.arange(1, WAVES + 1)
        height = (torch.sin(wave * hour.unsqueeze(1) + harbour.unsqueeze(1)) / wave).sum(1)
        height = height + NOISE * torch.randn(count, generator=generator)
        return Batch({"hour": self.placed(hour), "harbour": self.placed(harbour)}, self.placed(height))


TASK = Tides()
