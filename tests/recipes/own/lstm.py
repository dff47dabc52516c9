"""An LSTM on sums of digits: sequences of any length, put side by side by collate, with dropout."""

import torch
from torch import nn
from torch.nn.utils.rnn import pad_sequence

SAMPLE = "sequence"


class Reader(nn.Module):
    def __init__(self):
        super().__init__()
        self.entry, self.dropout = nn.Embedding(11, 6, padding_idx=10), nn.Dropout(0.2)
        self.lstm, self.head = nn.LSTM(6, 8, batch_first=True), nn.Linear(8, 1)

    def forward(self, digits, lengths):
        states, _ = self.lstm(self.dropout(self.entry(digits)))
        return self.head(states[torch.arange(len(digits)), lengths - 1]).squeeze(1)


def model():
    return Reader()


class Sequences:
    def __init__(self, first, count):
        self.first, self.count = first, count

    def __len__(self):
        return self.count

    def __getitem__(self, place):
        generator = torch.Generator().manual_seed(self.first + place)
        digits = torch.randint(10, (int(torch.randint(2, 7, (), generator=generator)),), generator=generator)
        return digits, float(digits.sum()) / 10 + 0.1 * torch.randn(()).item()  # this noise is of the sample's own seed


def data(split):
    return Sequences(0, 300) if split == "train" else Sequences(1000, 64)


def collate(samples):
    digits, sums = zip(*samples, strict=True)
    return {"digits": pad_sequence(digits, batch_first=True, padding_value=10), "lengths": torch.tensor([len(d) for d in digits]),
            "sums": torch.tensor(sums)}


def loss(model, batch):
    return nn.functional.mse_loss(model(batch["digits"], batch["lengths"]), batch["sums"])
