"""Low-rank changes of a frozen LSTM: from Python's source to English.

The LSTM of source_lstm.py, which has learnt Python's source (run that file first: it writes the weights that this one reads),
learns the English of Python's language reference. Its weights are frozen; changes of rank 4 of the recurrent matrices and of the
head are trained.
"""

import pydoc_data.topics

import torch
from source_lstm import WEIGHTS, Reader, windows
from torch import nn
from torch.nn.utils import parametrize

SAMPLE = "window"

RANK, ADAPTED = 4, (("lstm", "weight_ih_l0"), ("lstm", "weight_hh_l0"), ("head", "weight"))


class LowRank(nn.Module):
    def __init__(self, rows, columns):
        super().__init__()
        self.down, self.up = nn.Parameter(torch.randn(RANK, columns) / columns**0.5), nn.Parameter(torch.zeros(rows, RANK))

    def forward(self, frozen):
        return frozen + self.up @ self.down


def model():
    reader = Reader()
    reader.load_state_dict(torch.load(WEIGHTS, weights_only=True))
    reader.requires_grad_(False)
    for part, name in ADAPTED:
        module = reader.get_submodule(part)
        parametrize.register_parametrization(module, name, LowRank(*module.get_parameter(name).shape))
    return reader


def data(split):
    topics = [text for _, text in sorted(pydoc_data.topics.topics.items())]
    return windows("\n".join(text for i, text in enumerate(topics) if (i % 10 == 0) == (split == "validation")))


def loss(model, batch):
    codes, following = batch
    return nn.functional.cross_entropy(model(codes).flatten(0, 1), following.flatten())
