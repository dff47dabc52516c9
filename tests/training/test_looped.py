"""Models that cannot be stacked train one after another: the numbers of a plain loop, and calibrations like any other."""

import math
from typing import ClassVar

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from sqrtscale.plan import make_plan
from sqrtscale.rules import TrainingConfig
from sqrtscale.tasks import TASKS, Batch, Size
from sqrtscale.tasks.digits import Digits
from sqrtscale.tasks.looped import Looped
from sqrtscale.training import Measured, RunEnded, calibrate
from sqrtscale.training.population import Population
from sqrtscale.training.streams import Stream

CPU = torch.device("cpu")


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
    name, title = "convolved", "Digits by convolutions"
    sizes: ClassVar = {"tiny": Size(6, 1, 1, sum(p.numel() for p in Convolutions().parameters()))}

    def network(self, size="tiny"):
        return Looped(Convolutions, length=64, width=6)


@pytest.mark.parametrize("family, optimizer", [
    ("adam", lambda p, c: torch.optim.Adam(p, c["lr"], (c["beta1"], c["beta2"]), c["eps"], c["weight_decay"])),
    ("adamw", lambda p, c: torch.optim.AdamW(p, c["lr"], (c["beta1"], c["beta2"]), c["eps"], c["weight_decay"])),
    ("rmsprop", lambda p, c: torch.optim.RMSprop(p, c["lr"], c["alpha"], c["eps"], c["weight_decay"], c["momentum"]))])
def test_each_model_trains_as_a_plain_loop_trains_its_module(family, optimizer):
    configs = [TrainingConfig(family, 4, {"lr": lr, "weight_decay": 0.1}, run={"clip_norm": 1.0}) for lr in (1e-3, 3e-3, 1e-2)]
    population, modules = Population(Convolved(), configs, range(3), CPU), []
    for seed in range(3):
        torch.manual_seed(seed)
        modules.append(Convolutions())
    optimizers = [optimizer(module.parameters(), config) for module, config in zip(modules, configs, strict=True)]
    streams = [Stream(Convolved().data(CPU), seed, "x") for seed in range(3)]
    for _ in range(5):
        taken = [stream.take(4) for stream in streams]
        losses = population.step(Batch(torch.stack([x.inputs for x in taken]), torch.stack([x.targets for x in taken])))
        for i, (module, step) in enumerate(zip(modules, optimizers, strict=True)):
            loss = F.cross_entropy(module(taken[i].inputs), taken[i].targets)
            assert losses[i].item() == pytest.approx(loss.item(), rel=1e-4)
            step.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(module.parameters(), 1.0)
            step.step()
    for i, module in enumerate(modules):
        flat = nn.utils.parameters_to_vector(module.parameters())
        torch.testing.assert_close(population.flat[i], flat, rtol=1e-3, atol=2e-5)


def test_a_whole_calibration(monkeypatch):
    monkeypatch.setitem(TASKS, "convolved", Convolved())
    plan = make_plan("convolved", TrainingConfig("adam", 8, {"lr": 3e-3}), 32, seeds=1, samples=320, warm_samples=3200,
                     arms=["base", "unscaled"], device="cpu")
    events = list(calibrate(plan))
    assert {(e.arm, e.seed) for e in events if isinstance(e, RunEnded) and e.state == "DONE"} == set(plan.runs)
    ends = [e for e in events if isinstance(e, Measured) and e.arm == "warm start"]
    assert ends[0].values["val_loss"] == pytest.approx(math.log(10), rel=0.1)
    assert ends[-1].values["val_loss"] < 0.8 * ends[0].values["val_loss"]


def frozen():
    found = nn.Linear(2, 2)
    found.bias.requires_grad_(False)
    return found


@pytest.mark.parametrize("make, said", [
    (lambda: nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)), r"buffers \(1.running_mean, .*GroupNorm"),
    (lambda: nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.1)), r"chance of its own \(1\) .*set dropout to 0"),
    (lambda: nn.MultiheadAttention(4, 2, dropout=0.1), r"chance of its own \(MultiheadAttention\)"),
    (lambda: nn.Sequential(nn.LSTM(2, 2, 2, dropout=0.1)), r"chance of its own \(0\)"),
    (lambda: nn.TransformerEncoderLayer(4, 2), r"chance of its own \(self_attn, dropout, dropout1, dropout2\)"),
    (lambda: nn.RReLU(), r"chance of its own \(RReLU\)"),
    (frozen, r"frozen parameters \(bias\)")])
def test_a_module_whose_runs_would_not_be_those_of_a_plain_loop_is_refused_by_name(make, said):
    with pytest.raises(ValueError, match=said):
        Looped(make, 1, 2).parameters()


def test_dropout_that_is_off_is_none():
    assert set(Looped(lambda: nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.0)), 1, 2).parameters()) == {"0.weight", "0.bias"}
