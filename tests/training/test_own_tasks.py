"""Calibrations of tasks that are no classification by a stack of transformers: dropout, batch norm, frozen parts, any inputs."""

import math
from typing import ClassVar

import pytest
import torch
from own_tasks import EVERY, OWN
from plain import stacked
from torch import nn

from sqrtscale.plan import make_plan
from sqrtscale.rules import FieldError, TrainingConfig
from sqrtscale.tasks import TASKS, Batch
from sqrtscale.tasks.module import ModuleNetwork
from sqrtscale.training import Measured, RunEnded, calibrate
from sqrtscale.training.chance import Chance, drawing
from sqrtscale.training.population import Population
from sqrtscale.training.streams import Stream

CPU = torch.device("cpu")
CONFIG = TrainingConfig("adam", 8, {"lr": 1e-3})


@pytest.fixture(params=sorted(OWN))
def about(request, monkeypatch):
    monkeypatch.setitem(TASKS, request.param, EVERY[request.param])
    return EVERY[request.param]


def curves(plan):
    events = list(calibrate(plan))
    ended = {(e.arm, e.seed) for e in events if isinstance(e, RunEnded) and e.state == "DONE"}
    return ended, {(e.arm, e.seed, e.samples): e.values for e in events if isinstance(e, Measured)}


def test_a_whole_calibration_learns_and_repeats_itself(about):
    base, samples = about.defaults.base, 32 * about.defaults.base.batch_size
    plan = make_plan(about.name, base, 4 * base.batch_size, seeds=2, samples=samples, warm_samples=20 * samples,
                     arms=["base", "unscaled"], device="cpu")
    ended, found = curves(plan)
    assert ended == set(plan.runs)
    before, after = (found["warm start", 0, at][about.judged] for at in (0, plan.warm_samples))
    assert after < 0.9 * before
    assert all(math.isfinite(values[name]) for values in found.values() for name in about.metrics)
    torch.manual_seed(1)  # what the process drew before is nothing to it
    assert curves(plan) == (ended, found)
    alone = curves(make_plan(about.name, base, 4 * base.batch_size, seeds=1, samples=samples, warm_samples=20 * samples,
                             arms=["base"], device="cpu"))[1]
    for point, values in alone.items():
        assert values == pytest.approx(found[point], rel=1e-4, abs=1e-6)


def holding(kind):
    """The tasks whose modules hold that kind of layer."""
    modules = {name: about.network().module for name, about in OWN.items() if not about.network().stacked}
    return [OWN[name] for name, module in modules.items() if any(isinstance(part, kind) for part in module.modules())]


@pytest.mark.parametrize("about", holding(nn.Dropout), ids=lambda about: about.name)
def test_dropout_is_drawn_from_the_seed_and_the_samples_seen_alone(about):
    stream = Stream(about.data(CPU), 0, "x")
    batch, again = stacked(stream.take(8)), stacked(stream.take(8))
    state = torch.get_rng_state()
    first, other = (Population(about, [CONFIG], [seed], CPU) for seed in (3, 4))
    other.flat.data.copy_(first.flat)
    for name, held in other.held.items():
        held.copy_(first.held[name])
    seen = [one.gradients(batch)[1] for one in (first, first, other)]
    assert torch.equal(seen[0], seen[1]) and not torch.equal(seen[0], seen[2])
    assert not torch.equal(first.gradients(batch, place=1)[1], seen[0])
    assert torch.equal(torch.get_rng_state(), state)  # whoever draws beside it draws as before
    twin = Population(about, [CONFIG] * 2, [9, 3], CPU)
    twin.keep([1])
    for one in (first, twin):
        one.step(batch)
        one.step(again)
    torch.testing.assert_close(twin.flat, first.flat, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("about", holding(nn.BatchNorm1d), ids=lambda about: about.name)
def test_running_averages_move_once_for_each_micro_batch_whatever_the_batch(about):
    """Two arms on the same samples, one of four micro-batches a step, at a learning rate that moves nothing."""
    small, large = (Population(about, [TrainingConfig("adam", parts * about.micro, {"lr": 1e-30})], [0], CPU) for parts in (1, 4))
    samples = Stream(about.data(CPU), 0, "x").take(8 * about.micro).map(lambda x: x[None])
    reads = torch.zeros(1, dtype=torch.long)
    small.advance(samples, reads, 8)
    large.advance(samples, reads, 2)
    start = Population(about, [CONFIG], [0], CPU).buffers
    moved = [name for name in start if not torch.equal(start[name], small.buffers[name])]
    assert moved and any(name.endswith("num_batches_tracked") for name in moved)
    for name, held in small.buffers.items():
        torch.testing.assert_close(large.buffers[name], held, rtol=1e-6, atol=1e-7, msg=name)


@pytest.mark.parametrize("about", holding(nn.BatchNorm1d), ids=lambda about: about.name)
def test_the_noise_of_micro_batches_falls_with_their_number(about):
    """The unit of sampling is a micro-batch: four of them have a quarter of the variance of one, whatever goes on within."""
    population = Population(about, [CONFIG], [0], CPU)
    stream = Stream(about.data(CPU), 0, "x")

    def variance(parts, count=300):
        rows = [population.gradients(stacked(stream.take(parts * about.micro)), place=i)[1][0] for i in range(count)]
        return torch.stack(rows).double().var(0).sum().item()

    assert variance(1) / variance(4) == pytest.approx(4, rel=0.25)


def test_chance_goes_by_stream_seed_and_samples():
    chance = Chance("branch", (5, 6), 32)
    assert chance.seed(0) == Chance("branch", (5,), 0).later(32).seed(0) != chance.seed(1)
    others = [Chance("warm start", (5,), 32), Chance("branch", (5,), 33), Chance("branch", (15,), 32)]
    assert chance.seed(0) not in [other.seed(0) for other in others]
    state = torch.get_rng_state()
    with drawing(CPU):
        torch.manual_seed(chance.seed(0))  # a seed that torch takes
        torch.rand(3)
    assert torch.equal(torch.get_rng_state(), state)


class Counting(nn.Module):
    """Puts a new tensor in the place of its buffer, as some layers do."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, first, second):
        if self.training:
            self.calls = self.calls + 1
        return first * self.weight + second


def test_a_module_gets_its_inputs_by_place_or_name_and_its_buffers_are_kept():
    network = ModuleNetwork(Counting, lambda predicted, true: (predicted - true).abs())
    parameters, buffers = {"weight": torch.full((1,), 2.0)}, {"calls": torch.zeros(())}
    x, y = torch.tensor([1.0, 2.0]), torch.tensor([10.0, 20.0])
    for inputs in ((x, y), {"second": y, "first": x}):
        assert network(parameters, inputs, buffers, True).tolist() == [12.0, 24.0]
    assert buffers["calls"] == 2
    network(parameters, (x, y), buffers, False)
    assert buffers["calls"] == 2
    assert network.measures(torch.tensor([3.0]), torch.tensor([1.0])) == {"loss": torch.tensor([2.0])}


def test_a_recurrent_module_is_trained_by_the_weights_that_it_is_given():
    """It reads a list of its weights, which stays what it was where they are put in another way."""
    network = ModuleNetwork(lambda: nn.LSTM(2, 3), lambda states, targets: states[0].square().mean((1, 2)))
    twin, x = nn.LSTM(2, 3), torch.randn(4, 5, 2)
    weights = dict(twin.named_parameters())
    torch.testing.assert_close(network(weights, x, {}, True)[0], twin(x)[0])
    assert all(gradient.abs().sum() > 0 for gradient in torch.autograd.grad(
        network.losses(network(weights, x, {}, True), None).sum(), list(weights.values())))


class Branched(nn.Module):
    """Dropout in a branch that starts at zero, a head that nothing uses, a mask of truth values, a frozen layer."""

    def __init__(self):
        super().__init__()
        self.frozen, self.last, self.branch, self.unused = (nn.Linear(1, 1) for _ in range(4))
        self.frozen.requires_grad_(False)
        nn.init.zeros_(self.branch.weight)
        nn.init.zeros_(self.branch.bias)
        self.register_buffer("mask", torch.ones(1, dtype=torch.bool))

    def forward(self, x):
        x = self.frozen(x.unsqueeze(1)) * self.mask
        return (self.last(x) + self.branch(nn.functional.dropout(x, 0.5, self.training))).squeeze(1)


class Odd(type(OWN["plane"])):
    """Lines through noise."""

    name, micro = "odd", None
    sizes: ClassVar = {"tiny": sum(p.numel() for p in Branched().parameters() if p.requires_grad)}

    def network(self, size="tiny"):
        return ModuleNetwork(Branched, lambda predicted, true: (predicted - true) ** 2)

    def data(self, device):
        points = super().data(device)
        drawn = points.draw
        points.draw = lambda *of: Batch((batch := drawn(*of)).inputs[0], batch.targets)
        points.validation, points.train_sample = (Batch(split.inputs[0], split.targets)
                                                  for split in (points.validation, points.train_sample))
        return points


def test_a_module_with_parts_that_a_pass_leaves_out_trains_and_is_known_to_draw():
    about = Odd()
    population = Population(about, [CONFIG] * 2, [0, 1], CPU)
    stream = Stream(about.data(CPU), 0, "x")
    batch = stacked(*(stream.take(8) for _ in range(2)))
    assert population.executor.draws(population, batch)
    before = {name: view.clone() for name, view in population.views.items()}
    for _ in range(3):
        population.step(stacked(*(stream.take(8) for _ in range(2))))
    assert torch.equal(population.views["unused.weight"], before["unused.weight"])
    assert not torch.equal(population.views["last.weight"], before["last.weight"])
    assert set(population.frozen) == {"frozen.weight", "frozen.bias"} and set(population.buffers) == {"mask"}


def test_a_split_that_holds_no_whole_micro_batch_is_refused_by_name(monkeypatch):
    about = next(about for about in OWN.values() if about.micro)
    monkeypatch.setitem(TASKS, about.name, about)
    monkeypatch.setattr(type(about), "micro", 512)
    plan = make_plan(about.name, TrainingConfig("adam", 512), 1024, seeds=1, samples=1024, start="scratch", device="cpu")
    with pytest.raises(FieldError, match=r"micro = 512 is more than the \d+ samples of validation of task .*: give"):
        next(calibrate(plan))
