"""A captured step that torch has compiled. Where there is no GPU, what records is the step itself, called again."""

from __future__ import annotations

import gc
import weakref
from functools import partial

import pytest
import torch
from test_captured import CPU, DEVICES, NEEDS_GPU, again, batches, state

from sqrtscale.rules import TrainingConfig
from sqrtscale.tasks import TASKS, task
from sqrtscale.training import executors
from sqrtscale.training.executors import Captured, Compiled, Eager, Fused, fused, recording
from sqrtscale.training.optimizers import TRAINED
from sqrtscale.training.population import Population

GPU = torch.device("cuda", 0)


@pytest.fixture(autouse=True)
def afresh(monkeypatch):
    torch.compiler.reset()  # what another test has compiled counts as well
    monkeypatch.setattr(fused, "capture", partial(fused.capture, record=again))


def made(family: str = "adam", name: str = "digits") -> Population:
    """A fused population on the CPU that records its next step."""
    config = TrainingConfig(family, 4, {"lr": 1e-3}, warmup_steps=8, total_steps=100, run={"clip_norm": 0.5})
    one = Population(task(name), [config] * 3, range(3), CPU)
    one.executor = Fused(one.network, CPU)
    one.executor.may_capture = True
    return one


class Backend:
    """Compiles as torch's own do up to its last stage, and counts what it has compiled."""

    def __init__(self, change=lambda graph: graph):
        self.count, self.change = 0, change

    def __call__(self, graph, inputs):
        self.count += 1
        return torch._dynamo.lookup_backend("aot_eager")(self.change(graph), inputs)


@pytest.mark.parametrize("family, name", [*((family, "digits") for family in TRAINED), ("adamw", "pydoc")])
def test_a_fused_step_trains_as_the_step_does(family, name, monkeypatch):
    monkeypatch.setattr(Fused, "backend", backend := Backend())
    one, plain = made(family, name), made(family, name)
    plain.executor = Eager(plain.network, CPU)
    before = [x.clone() for x in state(one)]
    for batch in batches(one, 3, name):
        torch.testing.assert_close(one.step(batch), plain.step(batch), rtol=1e-5, atol=1e-6)
    said = one.executor.carried_out()
    assert said.startswith("as a CUDA graph of ") and said.endswith(", fused by torch.compile")
    assert backend.count == 2  # the passes and the update, each as a whole and once
    for value, expected, old in zip(state(one), state(plain), before, strict=True):
        assert (value - expected).norm() <= 1e-4 * (expected - old).norm()


def fails(graph):
    raise RuntimeError("cannot find a working triton installation")


def another_activation(graph):
    for node in graph.graph.nodes:
        if node.target is torch.nn.functional.gelu:
            node.target, node.kwargs = torch.nn.functional.relu, {}
    graph.recompile()
    return graph


@pytest.mark.parametrize("wrong", [fails, another_activation])
def test_what_cannot_be_compiled_or_computes_something_else_is_captured_as_it_is(wrong, monkeypatch):
    monkeypatch.setattr(Fused, "backend", Backend(wrong))
    monkeypatch.setattr(executors.captured, "capture", partial(executors.captured.capture, record=again))
    one, plain = made(), made()
    plain.executor = Eager(plain.network, CPU)
    for batch in batches(one, 3):
        assert torch.equal(one.step(batch), plain.step(batch))
    assert one.executor.recording and "fused" not in one.executor.carried_out()
    assert all(torch.equal(a, b) for a, b in zip(state(one), state(plain), strict=True))


def test_it_is_asked_for(monkeypatch):
    networks = {name: about.network(next(iter(about.sizes))) for name, about in TASKS.items()}
    for asked, found in ((None, Captured), ("on", Fused), ("off", Captured)):
        monkeypatch.delenv("SQRTSCALE_FUSE", raising=False)
        if asked:
            monkeypatch.setenv("SQRTSCALE_FUSE", asked)
        assert {executors.choose(network, "adam", GPU) for network in networks.values()} == {found}
        assert {executors.choose(network, "adam", CPU) for network in networks.values()} == {Compiled}


def test_what_is_compiled_holds_no_population_and_its_memory():
    one = made()
    compiled = fused._Compiled(one.network, Backend())
    with compiled.in_place_of(one.executor, one.optimizer):
        one.executor.step(one, next(batches(one, 1)), one.chance(0))
    gone = weakref.ref(one.optimizer)
    gc.collect()
    gc.disable()
    try:
        del one
        assert gone() is None and compiled.losses
    finally:
        gc.enable()


@pytest.mark.parametrize("way", [pytest.param("graph", marks=NEEDS_GPU)])
@pytest.mark.parametrize("name", sorted(TASKS))
def test_on_a_gpu(name, way, monkeypatch):
    """Compiled in earnest and replayed as a graph."""
    monkeypatch.setattr(fused, "capture", recording.capture)
    here = made(name=name)
    here.executor = Eager(here.network, CPU)
    there = Population(here.task, here.configs, here.seeds, DEVICES[way])
    there.executor = Fused(there.network, DEVICES[way])
    for batch in batches(here, 3, name):
        losses = there.step(batch.map(lambda x: x.to(there.device)))
        torch.testing.assert_close(losses.cpu(), here.step(batch), rtol=1e-2, atol=1e-3)
    assert there.executor.carried_out().endswith(", fused by torch.compile")
