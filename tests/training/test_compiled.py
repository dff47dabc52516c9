"""The compiled gradients, written out by hand, are those of autograd through the same model."""

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from plain import losses, stacked

from sqrtscale.rules import TrainingConfig
from sqrtscale.tasks import TASKS, Batch, task
from sqrtscale.tasks.transformer import Transformer
from sqrtscale.training.chance import Chance
from sqrtscale.training.executors import Compiled, Eager, choose, compiled, kernels
from sqrtscale.training.executors.kernels import cache
from sqrtscale.training.population import Population
from sqrtscale.training.streams import Stream

CPU = torch.device("cpu")


class Weights:
    """A population of which only the weights are there."""

    def __init__(self, flat):
        self.flat = flat

    def __len__(self):
        return len(self.flat)


def autograd(population, batch, weights):
    """Losses and gradients by the general way, which the tests of populations hold to plain torch loops."""
    parts = losses(population, batch, len(weights))
    pieces = torch.autograd.grad((parts * parts.new_tensor(weights)).sum(), list(population.views.values()))
    return parts.detach().mean(1), torch.cat([piece.flatten(1) for piece in pieces], 1)


@pytest.mark.parametrize("name", sorted(TASKS))
@pytest.mark.parametrize("weights", [(1.0,), (1.7, -0.7)])
@pytest.mark.parametrize("threads", [1, 2])
def test_both_tasks_after_some_steps(name, weights, threads, monkeypatch):
    monkeypatch.setattr(compiled, "ROWS", 16 if name == "digits" else 128)  # blocks of 4 samples, and one of 2
    monkeypatch.setattr(compiled, "ALL_THREADS", threads)
    about = task(name)
    data = about.data(CPU)
    population = Population(about, [TrainingConfig("adam", 6, {"lr": 1e-2})] * 5, range(5), CPU)
    for step in range(4):
        batch = stacked(*(Stream(data, 10 * step + seed, "x").take(6) for seed in range(5)))
        expected = autograd(population, batch, weights)
        found = population.gradients(batch, weights)
        torch.testing.assert_close(found[0], expected[0], rtol=1e-5, atol=1e-6)
        scale = expected[1].abs().max().item()
        torch.testing.assert_close(found[1], expected[1], rtol=1e-4, atol=2e-6 * scale)
        population.step(batch)


@settings(max_examples=40, deadline=None)
@given(heads=st.integers(1, 3), each=st.integers(1, 9), layers=st.integers(1, 3), length=st.integers(1, 6),
       models=st.integers(1, 3), samples=st.integers(1, 4), bytes_=st.booleans(), causal=st.booleans(),
       size=st.sampled_from([0.1, 1.0, 5.0]), seed=st.integers(0, 99))
def test_any_shape_in_double_precision(heads, each, layers, length, models, samples, bytes_, causal, size, seed):
    """Against autograd in float64; large weights drive attention, GELU and the loss into their corners."""
    network = Transformer(heads * each, layers, heads, length, classes=5, tokens=7 if bytes_ else None,
                          patch=0 if bytes_ else 3, causal=causal)
    generator = torch.Generator().manual_seed(seed)
    shapes = {name: p.shape for name, p in network.parameters().items()}
    pieces = {name: size * torch.randn(models, *shape, generator=generator) for name, shape in shapes.items()}
    flat = torch.cat([piece.flatten(1) for piece in pieces.values()], 1)
    inputs = (torch.randint(7, (models, samples, length), generator=generator) if bytes_
              else torch.randn(models, samples, length, 3, generator=generator))
    targets = torch.randint(5, (models, samples, length) if causal else (models, samples), generator=generator)
    exact = {name: piece.double().requires_grad_() for name, piece in pieces.items()}
    logits = network(exact, inputs if bytes_ else inputs.double())
    each = torch.nn.functional.cross_entropy(logits.flatten(0, -2), targets.flatten(), reduction="none")
    means = each.view(models, -1).mean(1)
    expected = torch.cat([g.flatten(1) for g in torch.autograd.grad(means.sum(), list(exact.values()))], 1)
    found = Compiled(network, CPU).gradients(Weights(flat), Batch(inputs, targets), (1.0,), Chance("x", [0] * models, 0), {})
    torch.testing.assert_close(found[0].double(), means.detach(), rtol=1e-3, atol=1e-4)
    error, scale = (found[1] - expected).norm(dim=1), expected.norm(dim=1)
    assert torch.isfinite(found[1]).all() and (error <= 1e-2 * scale + 1e-5).all()


def test_gradients_given_out_are_not_overwritten():
    data = task("digits").data(CPU)
    population = Population(task("digits"), [TrainingConfig("adam", 4)], [0], CPU)
    one, other = (Stream(data, seed, "x").take(4) for seed in (0, 1))
    first = population.gradients(Batch(one.inputs[None], one.targets[None]))[1]
    kept = first.clone()
    population.gradients(Batch(other.inputs[None], other.targets[None]))
    assert torch.equal(first, kept)


@pytest.mark.parametrize("name", sorted(TASKS))
def test_losses_and_accuracies_are_those_of_torch(name):
    about = task(name)
    data = about.data(CPU)
    population = Population(about, [TrainingConfig("adam", 4)] * 2, [0, 1], CPU)
    split = data.validation.map(lambda x: x[:133])  # a last block of another size
    ways = population.executor, Eager(population.network, CPU)
    found, expected = (executor.evaluate(population, split) for executor in ways)
    assert found.keys() == expected.keys() == {"loss", "accuracy"}
    for measure, values in found.items():
        torch.testing.assert_close(values, expected[measure], rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("family", ["adam", "adamw", "rmsprop"])
@pytest.mark.parametrize("svag", [0, 2])
def test_many_steps_in_one_call_are_the_steps_one_by_one_on_any_number_of_threads(family, svag, monkeypatch):
    """Bit by bit: what a calibration says may depend neither on the machine's cores nor on how often progress is told."""
    config = TrainingConfig(family, 4, {"lr": 1e-2, "weight_decay": 0.1}, warmup_steps=3, total_steps=9, run={"clip_norm": 0.5})
    about = task("digits")
    data, reads = about.data(CPU), torch.tensor([1, 0, 1])
    one, other = (Population(about, [config] * 3, [0, 1, 2], CPU, svag) for _ in range(2))
    samples = stacked(*(Stream(data, seed, "x").take(7 * one.drawn) for seed in (0, 1)))
    monkeypatch.setattr(compiled, "ALL_THREADS", 3)
    worst = one.advance(samples, reads, 7, watch=True)
    monkeypatch.setattr(compiled, "ALL_THREADS", 1)
    pieces = [slice(i * one.drawn, (i + 1) * one.drawn) for i in range(7)]
    each = [other.step(samples.map(lambda x, piece=piece: x[reads, piece]), watch=True) for piece in pieces]
    assert torch.equal(worst, torch.stack(each).amax(0)) and torch.equal(one.flat, other.flat)
    assert torch.equal(one.update_rms, other.update_rms) and torch.equal(one.share_clipped(), other.share_clipped())


def test_the_exponential_function():
    for x in [*np.linspace(-87, 88, 1001), 0, -1e3, -np.inf]:
        assert kernels.exp.py_func(np.float32(x)) == pytest.approx(float(np.exp(np.float64(max(np.float32(x), -87)))), rel=2e-7)
    assert np.isnan(kernels.exp(np.float32(np.nan))) and np.isfinite(kernels.exp(np.float32(np.inf)))


def test_a_diverged_model_leaves_the_others_alone():
    data = task("digits").data(CPU)
    population = Population(task("digits"), [TrainingConfig("adam", 4)] * 2, [0, 1], CPU)
    taken = Stream(data, 0, "x").take(4)
    batch = Batch(taken.inputs.expand(2, -1, -1, -1), taken.targets.expand(2, -1))
    kept = population.gradients(batch)[1][1]
    with torch.no_grad():
        population.flat[0] = torch.nan
    losses, gradients = population.gradients(batch)
    assert losses[0].isnan() and torch.equal(gradients[1], kept)


def test_what_was_compiled_from_other_sources_is_not_taken(tmp_path):
    """Of any file of the kernels: numba alone looks at the one whose function is called."""
    assert cache.digest() in kernels.train.stats.cache_path and cache.digest() in kernels.evaluate.stats.cache_path
    for path in cache.FOLDER.glob("*.py"):
        copied = tmp_path / path.stem
        shutil.copytree(cache.FOLDER, copied, ignore=shutil.ignore_patterns("__pycache__"))
        assert cache.digest(copied) == cache.digest()
        (copied / path.name).write_text(path.read_text() + "\n")
        assert cache.digest(copied) != cache.digest()


PROCESS = """
import json
import torch
from sqrtscale.plan import make_plan
from sqrtscale.rules import TrainingConfig
from sqrtscale.tasks import task
from sqrtscale.tasks.module import ModuleNetwork
from sqrtscale.training import Measured, Progress, calibrate
from sqrtscale.training.executors import choose

starts = lambda *of: choose(*of).starts_at_once()
base = TrainingConfig("adam", 8)
plan = make_plan("digits", base, 16, seeds=1, samples=64, start="scratch", arms=["base"], device="cpu")
events = calibrate(plan)
first = next(events)
others = [starts(task("digits").network(), "adam", torch.device("cuda")),  # asked before anything is compiled
          starts(ModuleNetwork(torch.nn.Identity, max), "adam", torch.device("cpu"))]
print(json.dumps({
    "first": first.phase if isinstance(first, Progress) else "", "starts": others,
    "curve": [[value.hex() for value in e.values.values()] for e in (first, *events) if isinstance(e, Measured)]}))
"""


def test_who_must_wait_for_the_compiler_is_told_and_has_the_numbers_of_who_finds_the_kernels_on_the_disk(tmp_path):
    """A process with an empty cache says so before it does anything else; one that has compiled fills the usual cache.

    The numbers bit by bit: functions that were not inlined once had a version for each kernel, and what a process linked was
    chance.
    """
    Population(task("digits"), [TrainingConfig("adam", 1)], [0], CPU).step(
        Batch(torch.zeros(1, 1, 4, 16), torch.zeros(1, 1, dtype=torch.long)))
    assert choose(task("digits").network(), "adam", CPU).starts_at_once()
    compiled_it, found_it = (json.loads(subprocess.run(
        [sys.executable, "-c", PROCESS], env={**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}, capture_output=True, text=True,
        check=True).stdout) for _ in range(2))
    assert compiled_it["first"] == "compiling the training step, once" != found_it["first"]
    assert compiled_it["starts"] == found_it["starts"] == [True, True]
    assert compiled_it["curve"] == found_it["curve"] and str(found_it["curve"]).count("0x1.") > 100
