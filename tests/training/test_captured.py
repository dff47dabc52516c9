"""A step that is recorded once and replayed. Where there is no GPU, what records is the step itself, called again."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from sqrtscale.rules import TrainingConfig
from sqrtscale.tasks import TASKS, Batch, task
from sqrtscale.training import population, regime
from sqrtscale.training.captured import capture, cuda_graph
from sqrtscale.training.population import Population, Stream

CPU = torch.device("cpu")
BASE = TrainingConfig("adam", 4, {"lr": 1e-3}, warmup_steps=8, total_steps=100, run={"clip_norm": 0.5})
DEVICES = {"again": CPU, "graph": torch.device("cuda", 0)}
NEEDS_GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU: CUDA graphs run nowhere else")


def again(work):
    """Replays by doing the work once more, into the same tensor."""
    result = work()
    return result, lambda: result.copy_(work())


RECORDERS = {"again": again, "graph": cuda_graph}


@pytest.fixture(autouse=True)
def autograd(monkeypatch):
    monkeypatch.setattr(population, "suits", lambda *of: False)


def made(name="digits", device=CPU, models=3):
    return Population(task(name), [BASE] * models, range(models), device)


def batches(one, count, name="digits"):
    streams = [Stream(task(name).data(one.device), seed, "x") for seed in range(len(one))]
    for _ in range(count):
        taken = [stream.take(one.drawn) for stream in streams]
        yield Batch(torch.stack([x.inputs for x in taken]), torch.stack([x.targets for x in taken]))


def state(one):
    return [one.flat, *one.optimizer.state.values(), one.optimizer.steps, one.taken, one.clipped]


@pytest.mark.parametrize("way", ["again", pytest.param("graph", marks=NEEDS_GPU)])
@pytest.mark.parametrize("name", sorted(TASKS))
def test_a_recorded_step_trains_as_the_step_does(way, name):
    plain, fast = (made(name, DEVICES[way]) for _ in range(2))
    before = [x.clone() for x in state(fast)]
    recorded = None
    for batch in batches(plain, 5, name):
        if recorded is None:
            recorded = capture(fast._step, state(fast), batch, RECORDERS[way])
            assert recorded is not None
            assert all(torch.equal(a, b) for a, b in zip(state(fast), before, strict=True))  # making it trained nothing
        torch.testing.assert_close(recorded(batch), plain._step(batch), rtol=1e-5, atol=1e-6)
    for a, b in zip(state(fast), state(plain), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)
    assert plain.clipped.sum() > 0 and plain.taken == 5


def does_nothing(one):
    def record(work):
        return work(), lambda: None
    return record


def cannot(one):
    def record(work):
        raise RuntimeError("operation not permitted when stream is capturing")
    return record


def goes_half_the_way(one):
    def record(work):
        result = work()

        def replay():
            start = one.flat.clone()
            result.copy_(work())
            one.flat.lerp_(start, 0.5)
        return result, replay
    return record


@pytest.mark.parametrize("wrong", [does_nothing, cannot, goes_half_the_way])
def test_a_recording_that_is_not_the_step_is_not_taken(wrong, caplog):
    one = made()
    (batch,) = batches(one, 1)
    before = [x.clone() for x in state(one)]
    assert capture(one._step, state(one), batch, wrong(one)) is None
    assert "step" in caplog.text
    assert all(torch.equal(a, b) for a, b in zip(state(one), before, strict=True))


class AllOnOneDevice(TorchDispatchMode):
    """Fails on an operation that reads, makes or copies a tensor of another device, which a graph cannot hold."""

    def __init__(self, kind):
        super().__init__()
        self.kind, self.count = kind, 0

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        result = operation(*args, **(kwargs or {}))
        found = {x.device.type for x in tree_leaves((args, kwargs, result)) if isinstance(x, torch.Tensor)}
        assert found <= {self.kind}, f"{operation} on {found}"
        self.count += 1
        return result


@pytest.mark.parametrize("family", ["adam", "adamw", "rmsprop"])
@pytest.mark.parametrize("name", sorted(TASKS))
def test_a_step_stays_on_its_device_and_waits_for_no_number(name, family):
    """On the device that holds no numbers every read of one is an error, as it is while a graph is recorded."""
    config = TrainingConfig(family, 4, {"lr": 1e-3}, warmup_steps=8, total_steps=100, run={"clip_norm": 0.5})
    one = Population(task(name), [config] * 2, range(2), torch.device("meta"), svag=2)
    (taken,) = batches(made(name, models=1), 1, name)
    batch = Batch(*(x[:, :1].expand(2, one.drawn, *x.shape[2:]).to("meta") for x in (taken.inputs, taken.targets)))
    one.gradients(batch, one.weights)  # a first pass counts its memory
    with AllOnOneDevice("meta") as watched:
        one._step(batch)
    assert watched.count > 100


@NEEDS_GPU
def test_a_population_on_a_gpu_takes_the_recording_and_trains_as_on_the_cpu():
    there, here = made(device=DEVICES["graph"]), made()
    reads = torch.arange(3)
    for batch in batches(here, 4):
        a = there.advance(Batch(batch.inputs.cuda(), batch.targets.cuda()), reads.cuda(), 1)
        torch.testing.assert_close(a.cpu(), here.advance(batch, reads, 1), rtol=1e-2, atol=1e-3)
    assert type(there.fast_step).__name__ == "Captured"
    there.keep([0, 2])
    assert there.fast_step is None


def test_what_a_step_changes_stays_where_it_lies():
    """A recording writes to addresses: nothing between two steps may put another tensor in place of one of them."""
    one = made()
    places = [x.data_ptr() for x in state(one)]
    data, reads = task("digits").data(CPU), torch.arange(3)
    for batch in batches(one, 2):
        one.advance(batch, reads, 1, watch=True)
        one.measure(data)
        regime.measure(one, regime.Probe.batches([Stream(data, 0, "x")], torch.zeros(3, dtype=torch.long), 2))
        assert [x.data_ptr() for x in state(one)] == places
