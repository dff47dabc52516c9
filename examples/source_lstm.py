"""An LSTM with dropout on Python's own source, byte by byte.

Windows of 48 bytes of the modules of the standard library that lie in its topmost folder, of the Python that trains; every tenth
module validates. `python source_lstm.py` trains it by a plain loop and writes source_lstm.pt, which english_lora.py begins with,
and source_lstm_last.pt with the optimizer's state, from which a calibration can branch.
"""

import sysconfig
from pathlib import Path

import torch
from torch import nn

SAMPLE = "window"

LENGTH, CODES = 48, 128  # what is no ASCII is written as a question mark
WEIGHTS = Path(__file__).with_name("source_lstm.pt")


class Reader(nn.Module):
    def __init__(self, width=64):
        super().__init__()
        self.entry, self.dropout = nn.Embedding(CODES, 32), nn.Dropout(0.1)
        self.lstm, self.head = nn.LSTM(32, width, batch_first=True), nn.Linear(width, CODES)

    def forward(self, codes):
        return self.head(self.dropout(self.lstm(self.dropout(self.entry(codes)))[0]))


def model():
    return Reader()


def windows(text):
    """Inputs and the bytes that follow them, window after window of a text."""
    codes = torch.frombuffer(bytearray(text.encode("ascii", "replace")), dtype=torch.uint8).long()
    cut = codes.unfold(0, LENGTH + 1, LENGTH)
    return cut[:, :-1].clone(), cut[:, 1:].clone()


def data(split):
    files = sorted(Path(sysconfig.get_path("stdlib")).glob("*.py"))
    return windows("".join(file.read_text("utf-8", "replace") for i, file in enumerate(files)
                           if (i % 10 == 0) == (split == "validation")))


def loss(model, batch):
    codes, following = batch
    return nn.functional.cross_entropy(model(codes).flatten(0, 1), following.flatten())


if __name__ == "__main__":
    torch.manual_seed(0)
    trained, (codes, following) = model(), data("train")
    optimizer = torch.optim.Adam(trained.parameters(), 3e-3)
    for step in range(2000):
        chosen = torch.randint(len(codes), (32,))
        optimizer.zero_grad()
        now = loss(trained, (codes[chosen], following[chosen]))
        now.backward()
        optimizer.step()
        if step % 500 == 0:
            print(step, now.item())
    torch.save(trained.state_dict(), WEIGHTS)
    torch.save({"model": trained.state_dict(), "optimizer": optimizer.state_dict()}, WEIGHTS.with_name("source_lstm_last.pt"))
