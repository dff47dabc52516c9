"""Tasks that exist only in the tests: each can something that no built-in task can."""

import importlib.util
import sys
from pathlib import Path
from typing import ClassVar

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from sqrtscale.rules import TrainingConfig
from sqrtscale.tasks import TASKS, Batch, Data, Defaults, Metric, Network, Parameter, Task
from sqrtscale.tasks.digits import Digits
from sqrtscale.tasks.module import ModuleNetwork
from sqrtscale.training import executors

RECIPES = Path(__file__).parent / "recipes"


def recipe(name):
    """A task's file as CONTRIBUTING has it, as if it lay in ``sqrtscale/tasks``."""
    full = f"sqrtscale.tasks.{name}"
    spec = importlib.util.spec_from_file_location(full, RECIPES / f"{name}.py")
    module = sys.modules[full] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.TASK


class Convolutions(nn.Module):
    """On the digits' four patches [B, 4, 16], put together again; torch's convolution has no form for a stack of kernels."""

    def __init__(self):
        super().__init__()
        self.first, self.norm = nn.Conv2d(1, 6, 3, padding=1), nn.GroupNorm(2, 6)
        self.last = nn.Linear(6 * 16, 10)

    def forward(self, x):
        x = x.view(-1, 2, 2, 4, 4).transpose(2, 3).reshape(-1, 1, 8, 8)
        return self.last(F.max_pool2d(F.gelu(self.norm(self.first(x))), 2).flatten(1))


class Convolved(Digits):
    """A module without a form for a stack."""

    name, title = "convolved", "Digits by convolutions"
    metrics: ClassVar = {"val_loss": Metric("Validation loss", "nats per image", "validation", "loss", 0.01)}
    sizes: ClassVar = {"tiny": sum(p.numel() for p in Convolutions().parameters())}

    def network(self, size="tiny"):
        return ModuleNetwork(Convolutions, lambda logits, targets: F.cross_entropy(logits, targets, reduction="none"),
                             length=64, width=6)


class _Plane(Network):
    """z = w . x + b: a stack of planes over pairs (x, y) of inputs; it counts the samples that it was trained on."""

    length = width = 2

    def parameters(self):
        return {"w": Parameter((2,)), "b": Parameter((1,))}

    def initial(self, seed):
        return torch.randn(3, generator=torch.Generator().manual_seed(seed))

    def buffers(self, seed):
        return {"seen": torch.zeros((), dtype=torch.long)}

    def __call__(self, parameters, inputs, buffers, training):
        if training:
            buffers["seen"] += inputs[0].shape[1]
        return (torch.stack(inputs, -1) * parameters["w"].unsqueeze(1)).sum(-1) + parameters["b"]

    def losses(self, predictions, targets):
        return (predictions - targets) ** 2


class Plane(Task):
    """A stacked network with two inputs, a buffer and micro-batches of 2."""

    name = "plane"
    title, description, version, sample, train_size, micro = "Plane", "A plane through noise.", 1, "point", 10_000, 2
    metrics: ClassVar = {"val_loss": Metric("Validation loss", "squares", "validation", "loss", 0.01)}
    sizes: ClassVar = {"tiny": 3}
    defaults = Defaults(TrainingConfig("adam", 4, {"lr": 1e-2}), target_batch=16, samples=1600, warm_samples=160, seeds=3)

    def network(self, size="tiny"):
        return _Plane()

    def data(self, device):
        return _Points(device)


class _Points(Data):
    def __init__(self, device):
        self.device = device
        self.validation, self.train_sample = (self.draw(64, torch.Generator().manual_seed(seed)) for seed in (1, 2))

    def draw(self, count, generator):
        x, y, noise = torch.randn(3, count, generator=generator)
        return Batch((self.placed(x), self.placed(y)), self.placed(x - 2 * y + 0.5 + noise))


OWN = {about.name: about for about in (recipe("tides"), Convolved(), Plane())}
EVERY = {**OWN, **TASKS}  # a recipe that was followed in this checkout is tested as it stands there


def ways(family="adam"):
    """(name of a task, executor) for every executor that can train it on a CPU, by what it says it can."""
    cpu = torch.device("cpu")
    return [pytest.param(name, executor, id=f"{name}-{executor.name}") for name, about in EVERY.items()
            for executor in executors.TABLE if executor.suits(about.network(), family, cpu)]
