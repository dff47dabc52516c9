"""float16 with scaled losses, held to torch.amp.GradScaler in a plain loop, and what becomes of steps that are left out."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
import torch
from plain_own import CPU, Plain, own

from sqrtscale.evidence import Comparison, judge, with_skipped
from sqrtscale.plan import make_plan
from sqrtscale.rules import TrainingConfig
from sqrtscale.tasks import remember
from sqrtscale.training import Measured, calibrate, loss_scale
from sqrtscale.training.chance import Chance
from sqrtscale.training.population import Population
from sqrtscale.training.streams import Stream

CONFIG = TrainingConfig("adam", 8, {"lr": 1e-2})
SEEDS, STEPS = (0, 3), 24
TEXT = '''"""A network in float16 whose loss is so large for some batches that gradients overflow."""
import torch
from torch import nn

PRECISION = "fp16"
MICRO = 4


def model():
    return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Linear(8, 1))


def data(split):
    x = torch.randn(64, 4)
    return x, x.sum(1)


def loss(model, batch):
    x, y = batch
    return ((model(x).squeeze(1) - y) ** 2).mean()
'''


@pytest.fixture
def about(tmp_path, monkeypatch):
    monkeypatch.setattr(loss_scale, "INTERVAL", 3)  # so that the scale grows into overflows again and again
    path = tmp_path / "half.py"
    path.write_text(TEXT)
    return own(path, parameters=65, train_size=64, validation_size=64)


class Scaled(Plain):
    """As torch's manual has it: scale the loss, step, update."""

    def __init__(self, about, seed, config):
        super().__init__(about, seed, config)
        self.scaler = torch.amp.GradScaler("cpu", init_scale=loss_scale.START, growth_interval=loss_scale.INTERVAL)
        self.skipped = 0

    def loss(self, samples):
        with torch.autocast("cpu", torch.float16):
            return self.names["loss"](self.model, samples).float()

    def step(self, batch, chance):
        self.model.train()
        self.optimizer.zero_grad()
        for first in range(0, batch.count(), self.about.micro):
            places = batch.inputs[0][first : first + self.about.micro]
            samples = [tensor[places] for tensor in self.data]
            self.scaler.scale(self.loss(samples) * self.about.micro / batch.count()).backward()
        before = self.scaler.get_scale()
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.skipped += self.scaler.get_scale() < before

    @property
    def data(self):
        torch.manual_seed(0)
        return self.names["data"]("train")


def test_steps_and_scales_are_those_of_torchs_scaler(about):
    population = Population(about, [CONFIG] * len(SEEDS), SEEDS, CPU)
    plain = [Scaled(about, seed, CONFIG) for seed in SEEDS]
    streams = [Stream(about.data(CPU), seed, "branch") for seed in SEEDS]
    for step in range(STEPS):
        batches = [stream.take(CONFIG.batch_size) for stream in streams]
        for one, batch in zip(plain, batches, strict=True):
            one.step(batch, Chance("branch", (0,), step * CONFIG.batch_size))
        population.step(batches[0].joined(batches, torch.stack))
    scale = population.loss_scale
    assert scale.scale.tolist() == [one.scaler.get_scale() for one in plain]
    assert scale.skipped.tolist() == [one.skipped for one in plain] and all(0 < one.skipped < STEPS / 2 for one in plain)
    assert population.optimizer.steps.flatten().tolist() == [STEPS - one.skipped for one in plain]
    for row, one in enumerate(plain):
        weights = torch.cat([p.detach().flatten() for p in one.model.parameters()])
        torch.testing.assert_close(population.flat[row], weights, rtol=2e-3, atol=2e-4)
        torch.testing.assert_close(population.buffers["1.running_mean"][row], one.model[1].running_mean, rtol=1e-3, atol=1e-4)


def test_measuring_leaves_the_scale_and_overflows_nowhere(about):
    population = Population(about, [CONFIG] * 2, SEEDS, CPU)
    population.loss_scale.scale.fill_(2.0**30)
    batch = Stream(about.data(CPU), 0, "branch").take(16).map(lambda x: x.view(2, 8))
    exact = Population(own_in_full(about), [CONFIG] * 2, SEEDS, CPU)
    gradients = population.gradients(batch)[1]
    torch.testing.assert_close(gradients, exact.gradients(batch)[1], rtol=3e-2, atol=3e-3)
    assert population.loss_scale.scale.tolist() == [2.0**30] * 2 and not population.loss_scale.skipped.any()


def own_in_full(about):
    path = Path(about.file.path).with_stem("full")
    path.write_text(TEXT.replace('"fp16"', '"fp32"'))
    return own(path, parameters=65, train_size=64, validation_size=64)


def curves(about, **more):
    remember(about.file)
    plan = make_plan(about.name, CONFIG, 16, seeds=2, samples=320, arms=["base"], device="cpu", evaluations=4, **more)
    rows = [(event.arm, event.seed, event.samples, name, value) for event in calibrate(plan) if isinstance(event, Measured)
            for name, value in event.values.items()]
    return pd.DataFrame(rows, columns=["arm", "seed", "samples", "metric", "value"])


def test_steps_left_out_are_counted_and_those_of_a_warm_start_are_its_own(about, monkeypatch):
    found = curves(about, start="scratch")
    skipped = found[found["metric"] == "skipped"].groupby("arm")["value"].sum()
    assert set(skipped.index) == {"base", "scaled"} and (skipped > 0).all()
    verdicts = with_skipped(judge(found, Comparison("val_loss")), found)
    assert verdicts["scaled"].outcome == "not a test" and verdicts["scaled"].reason == "skipped steps"
    assert f"{int(skipped['scaled'])} of scaled and {int(skipped['base'])} of base" in verdicts["scaled"].sentence
    monkeypatch.setattr(loss_scale, "INTERVAL", 2000)
    monkeypatch.setattr(loss_scale, "START", 2.0**26)
    warm = curves(about, start="warm", warm_samples=640)
    counts = warm[warm["metric"] == "skipped"].groupby("arm")["value"].sum()
    assert counts["warm start"] > 0 and counts["base"] == counts["scaled"] == 0
    arms = warm[warm["arm"] != "warm start"]
    judged = judge(arms, Comparison("val_loss"))
    assert with_skipped(judged, arms) == judged
