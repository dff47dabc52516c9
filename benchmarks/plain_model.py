"""The calibrated task as a user of PyTorch would write it alone: model, data set, blocks of data, optimizer, evaluation.

The same architecture, augmentation, text and evaluation sets as in ``sqrtscale.tasks``, with ``torch.nn`` modules and for one
model. The sizes are read from the task, so a larger one needs nothing here.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import Dataset

from sqrtscale.rules import TrainingConfig
from sqrtscale.tasks import Data, Task
from sqrtscale.tasks.digits import NOISE


class Block(nn.Module):
    """Pre-norm attention and perceptron of [B, T, width]."""

    def __init__(self, width: int, heads: int, causal: bool):
        super().__init__()
        self.heads, self.causal = heads, causal
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        batch, length, width = x.shape
        qkv = self.qkv(self.norm1(x)).view(batch, length, 3, self.heads, width // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=self.causal)
        x = x + self.out(mixed.transpose(1, 2).reshape(batch, length, width))
        return x + self.down(F.gelu(self.up(self.norm2(x)), approximate="tanh"))


class Net(nn.Module):
    """Logits [B, classes] of patches [B, T, patch], or [B, T, classes] of byte inputs [B, T] where the task is causal."""

    def __init__(self, task: Task):
        super().__init__()
        sizes = task.network()
        self.causal = sizes.causal
        self.entry = nn.Embedding(sizes.tokens, sizes.width) if sizes.tokens else nn.Linear(sizes.patch, sizes.width, bias=False)
        self.position = nn.Parameter(torch.zeros(sizes.length, sizes.width))
        self.blocks = nn.ModuleList(Block(sizes.width, sizes.heads, sizes.causal) for _ in range(sizes.layers))
        self.norm = nn.LayerNorm(sizes.width)
        self.head = nn.Linear(sizes.width, sizes.classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.entry(x) + self.position
        for block in self.blocks:
            x = block(x)
        x = self.norm(x)
        return self.head(x if self.causal else x.mean(1))

    def loss(self, x: Tensor, y: Tensor) -> Tensor:
        """Mean cross-entropy of x [B, ...] with classes y [B] or [B, T]."""
        return F.cross_entropy(self(x).flatten(0, -2), y.flatten())

    def adopt(self, views: Mapping[str, Tensor], row: int = 0) -> None:
        """Take the weights of one model of a population, ``views`` [M, ...]: its matrices are [in, out], torch's [out, in]."""
        with torch.no_grad():
            for name, own in self.named_parameters():
                key = name.removeprefix("blocks.")
                # "entry.weight" here is "entry" there; an embedding is a table in both.
                theirs = views[key if key in views else key.removesuffix(".weight")][row]
                table = own.dim() == 1 or key == "position" or (key == "entry.weight" and isinstance(self.entry, nn.Embedding))
                own.copy_(theirs if table else theirs.T)


class Images(Dataset):
    """One image at a time, shifted by up to a pixel in both directions and covered with noise, as patches."""

    def __init__(self, data: Data, patch: int, generator: torch.Generator):
        images = data.images.cpu()
        self.padded = F.pad(images, (1, 1, 1, 1), value=float(images.min()))
        self.labels, self.side, self.patch, self.generator = data.labels.cpu(), images.shape[1], patch, generator

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, i: int) -> tuple[Tensor, Tensor]:
        down, right = torch.randint(3, (2,), generator=self.generator).tolist()
        image = self.padded[i, down : down + self.side, right : right + self.side]
        image = image + NOISE * torch.randn(image.shape, generator=self.generator)
        n = self.side // self.patch
        return image.view(n, self.patch, n, self.patch).transpose(1, 2).reshape(n * n, -1), self.labels[i]


class Windows(Dataset):
    """Windows of a text, and the same windows one byte further."""

    def __init__(self, data: Data, length: int):
        self.text, self.length = data.text.cpu(), length

    def __len__(self) -> int:
        return len(self.text) - self.length

    def __getitem__(self, i: int) -> tuple[Tensor, Tensor]:
        return self.text[i : i + self.length], self.text[i + 1 : i + self.length + 1]


def dataset(task: Task, data: Data, generator: torch.Generator) -> Dataset:
    """The training samples of a task, one by one."""
    sizes = task.network()
    if sizes.tokens:
        return Windows(data, sizes.length)
    return Images(data, math.isqrt(sizes.patch), generator)


class Drawn:
    """Training samples on the device, drawn there by the block, as who tunes a loop by hand would write it."""

    def __init__(self, task: Task, data: Data, device: torch.device):
        sizes, self.device = task.network(), device
        self.length, self.patch = sizes.length, math.isqrt(sizes.patch)
        self.text = data.text.to(device) if sizes.tokens else None
        if self.text is None:
            self.side = data.images.shape[1]
            self.padded = F.pad(data.images, (1, 1, 1, 1), value=float(data.images.min())).to(device)
            self.labels = data.labels.to(device)

    def block(self, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """``count`` samples with replacement, inputs and targets; ``generator`` lives on the device."""
        if self.text is not None:
            starts = torch.randint(len(self.text) - self.length, (count, 1), device=self.device, generator=generator)
            windows = self.text[starts + torch.arange(self.length + 1, device=self.device)]
            return windows[:, :-1].contiguous(), windows[:, 1:].contiguous()
        chosen = torch.randint(len(self.labels), (count,), device=self.device, generator=generator)
        down, right = torch.randint(3, (2, count, 1, 1), device=self.device, generator=generator)
        along = torch.arange(self.side, device=self.device)
        images = self.padded[chosen.view(-1, 1, 1), down + along.view(1, -1, 1), right + along.view(1, 1, -1)]
        images = images + NOISE * torch.randn(images.shape, device=self.device, generator=generator)
        n = self.side // self.patch
        patches = images.view(count, n, self.patch, n, self.patch).transpose(2, 3).reshape(count, n * n, -1)
        return patches, self.labels[chosen]


def make_optimizer(config: TrainingConfig, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
    """torch.optim's own, fused where it has that."""
    values = config.hyperparameters
    if config.optimizer == "rmsprop":
        return torch.optim.RMSprop(parameters, **values)
    kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[config.optimizer]
    return kind(parameters, lr=values["lr"], betas=(values["beta1"], values["beta2"]), eps=values["eps"],
                weight_decay=values["weight_decay"], fused=True)


def hand_over(source: torch.optim.Optimizer, optimizer: torch.optim.Optimizer, kappa: float) -> None:
    """Give ``optimizer`` the state of ``source`` for a ``kappa`` times larger batch, as a calibration branches.

    v' = v / kappa, and beta2'^k' = beta2^k, so that v keeps its bias correction; RMSprop's buffer follows sqrt(v) and 1 - mu.
    """
    state, old, new = source.state_dict()["state"], source.param_groups[0], optimizer.param_groups[0]
    moved = {key: {name: value.clone() for name, value in entry.items()} for key, entry in state.items()}
    for entry in moved.values():
        if "exp_avg_sq" in entry:
            entry["exp_avg_sq"] /= kappa
            entry["step"] *= math.log(old["betas"][1]) / math.log(new["betas"][1])
        else:
            entry["square_avg"] /= kappa
            if "momentum_buffer" in entry:
                entry["momentum_buffer"] *= math.sqrt(kappa) * (1 - old["momentum"]) / (1 - new["momentum"])
    optimizer.load_state_dict({"state": moved, "param_groups": optimizer.state_dict()["param_groups"]})


@torch.no_grad()
def evaluate(net: Net, data: Data) -> dict[str, float]:
    """Loss and share of right predictions on both fixed sets."""
    net.eval()
    found = {}
    for name, split in (("val", data.validation), ("train", data.train_sample)):
        logits = net(split.inputs)
        found[f"{name}_loss"] = F.cross_entropy(logits.flatten(0, -2), split.targets.flatten()).item()
        found[f"{name}_accuracy"] = (logits.argmax(-1) == split.targets).float().mean().item()
    net.train()
    return found
