"""A step that is recorded once and replayed. Where there is no GPU, what records is the step itself, called again."""

import gc
import weakref
from dataclasses import replace
from functools import partial
from typing import ClassVar

import pytest
import torch
from own_tasks import EVERY
from plain import stacked
from torch.nn.attention.flex_attention import flex_attention
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from sqrtscale.plan import make_plan
from sqrtscale.rules import TrainingConfig
from sqrtscale.tasks import TASKS, task
from sqrtscale.training import Measured, calibrate, executors, regime
from sqrtscale.training.executors import Captured, captured
from sqrtscale.training.executors.recording import Operations, capture, cuda_graph
from sqrtscale.training.measuring import measure
from sqrtscale.training.optimizers import TRAINED
from sqrtscale.training.population import Population
from sqrtscale.training.streams import Stream

CPU = torch.device("cpu")
BASE = TrainingConfig("adam", 4, {"lr": 1e-3}, warmup_steps=8, total_steps=100, run={"clip_norm": 0.5})
DEVICES = {"again": CPU, "graph": torch.device("cuda", 0), "graph on a second": torch.device("cuda", 1)}
NEEDS_GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU: CUDA graphs run nowhere else")
NEEDS_TWO = pytest.mark.skipif(torch.cuda.device_count() < 2, reason="no second GPU")


def again(work):
    """Replays by doing the work once more, into the same tensor."""
    result = work()
    return result, lambda: result.copy_(work())


RECORDERS = {"again": again, "graph": cuda_graph, "graph on a second": cuda_graph}
WAYS = pytest.mark.parametrize("way", ["again", pytest.param("graph", marks=NEEDS_GPU),
                                       pytest.param("graph on a second", marks=NEEDS_TWO)])


class Anywhere(Captured):
    """Also where there is no GPU; what records is then a test's."""

    @classmethod
    def suits(cls, network, optimizer, device):
        return True


@pytest.fixture(autouse=True)
def captures(monkeypatch):
    monkeypatch.setattr(executors, "TABLE", (Anywhere,))


def made(name="digits", device=CPU, models=3, batch=4):
    return Population(task(name), [replace(BASE, batch_size=batch)] * models, range(models), device)


def batches(one, count, name="digits"):
    streams = [Stream(task(name).data(one.device), seed, "x") for seed in range(len(one))]
    for _ in range(count):
        yield stacked(*(stream.take(one.drawn) for stream in streams))


def step(one):
    return lambda batch: one.executor.step(one, batch, one.chance(0))


def always(executor):
    executor.recording, executor.may_capture = None, True


def state(one):
    return [one.flat, *one.optimizer.state.values(), one.optimizer.steps, one.clipped, *one.buffers.values()]


@WAYS
@pytest.mark.parametrize("name", sorted(TASKS))
def test_a_recorded_step_trains_as_the_step_does(way, name):
    plain, fast = (made(name, DEVICES[way]) for _ in range(2))
    before = [x.clone() for x in state(fast)]
    recorded = None
    for batch in batches(plain, 5, name):
        if recorded is None:
            recorded = capture(step(fast), state(fast), batch, RECORDERS[way])
            assert recorded is not None
            assert all(torch.equal(a, b) for a, b in zip(state(fast), before, strict=True))  # making it trained nothing
        torch.testing.assert_close(recorded(batch), step(plain)(batch), rtol=1e-5, atol=1e-6)
    for a, b in zip(state(fast), state(plain), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)
    assert plain.clipped.sum() > 0 and plain.optimizer.steps.tolist() == [[5]] * 3


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


def forgets_a_moment(one):
    def record(work):
        result, moment = work(), one.optimizer.state["exp_avg_sq"]

        def replay():
            start = moment.clone()
            result.copy_(work())
            moment.copy_(start)
        return result, replay
    return record


def spoils_one_number(one):
    def record(work):
        result = work()

        def replay():
            result.copy_(work())
            with torch.no_grad():
                one.flat[0, 0] = torch.nan
        return result, replay
    return record


@pytest.mark.parametrize("wrong", [does_nothing, cannot, goes_half_the_way, forgets_a_moment, spoils_one_number])
def test_a_recording_that_is_not_the_step_is_not_taken(wrong, caplog):
    one = made()
    (batch,) = batches(one, 1)
    before = [x.clone() for x in state(one)]
    assert capture(step(one), state(one), batch, wrong(one)) is None
    assert "step" in caplog.text
    assert all(torch.equal(a, b) for a, b in zip(state(one), before, strict=True))


def test_counting_operations_lets_a_network_compile_as_it_does_without():
    """FlexAttention compiles itself, which torch refuses beside what looks at its operations."""
    x = torch.randn(1, 2, 16, 16)
    with Operations() as counted:
        found = flex_attention(x, x, x)
    assert counted.count > 5
    torch.testing.assert_close(found, torch.nn.functional.scaled_dot_product_attention(x, x, x))


def test_a_recording_is_made_with_another_batch_than_it_is_tried_with():
    """So that one which has kept the numbers, not the address, is found out."""
    one, seen = made(), []
    (batch,) = batches(one, 1)

    def record(work):
        kept = work().clone()
        seen.append(kept)
        return kept.clone(), lambda: None

    assert capture(step(one), state(one), batch, record) is None
    assert not torch.allclose(seen[0], step(made())(batch))


def test_a_lack_of_memory_while_a_graph_is_recorded_is_not_met_by_smaller_passes(monkeypatch):
    one = made()
    (batch,) = batches(one, 1)
    one.gradients(batch)
    at_once = dict(one.executor.passes.at_once)

    def lacks(*of):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(one.executor, "_gradients", lacks)
    monkeypatch.setattr(one.executor, "device", DEVICES["graph"])
    monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: True)
    with pytest.raises(torch.OutOfMemoryError):
        one.gradients(batch)
    assert one.executor.passes.at_once == at_once and max(at_once.values()) > 1


def test_a_whole_calibration_by_recordings_is_the_same_and_keeps_none_that_is_done_with(monkeypatch):
    def curves():
        for event in calibrate(plan):
            if isinstance(event, Measured):
                if (event.arm, event.samples) == ("base", 0):
                    gc.collect()  # these recordings, other than a graph, know their population
                    alive.append([one() for one in recorded])
                yield event.values["val_loss"]

    def spied(*given):
        found = capture(*given, record=again)
        recorded.append(weakref.ref(found))
        return found

    plan = make_plan("digits", TrainingConfig("adam", 8, {"lr": 1e-3}), 16, seeds=1, samples=640, warm_samples=640,
                     arms=["base", "scaled"], device="cpu", evaluations=24)
    recorded, alive = [], []
    plain = list(curves())
    monkeypatch.setattr(captured, "capture", spied)
    monkeypatch.setattr(Captured, "forget", always)
    assert list(curves()) == pytest.approx(plain, rel=1e-4)
    assert len(recorded) == 3 and alive == [[], [None]]  # the warm start's, when the arms begin


def test_a_model_that_has_diverged_does_not_speak_against_the_recording():
    one = made()
    with torch.no_grad():
        one.flat[1] = torch.nan
    (batch,) = batches(one, 1)
    recorded = capture(step(one), state(one), batch, again)
    assert recorded(batch).isnan().tolist() == [False, True, False]


def test_a_step_is_captured_where_that_saves_time_and_there_is_memory(monkeypatch):
    one = made()
    (batch,) = batches(one, 1)
    monkeypatch.setattr(captured, "capture", partial(capture, record=again))
    assert one.executor.recording is None and not one.executor.may_capture  # on a CPU
    for name, value in {"LAUNCH_BOUND": one.executor.work(one, 3) - 1,
                        "free_bytes": lambda device: 3 * one.executor.graph_bytes(one)}.items():
        with monkeypatch.context() as changed:
            changed.setattr(captured, name, value)
            assert one.executor.capture(one, batch, one.chance(0)) is None
    assert one.executor.capture(one, batch, one.chance(0))


@pytest.mark.parametrize("name", sorted(name for name, about in EVERY.items() if not about.network().stacked))
def test_a_module_that_draws_random_numbers_is_not_captured(name, monkeypatch):
    """A graph would draw those of its capture in every step."""
    monkeypatch.setattr(executors, "TABLE", (executors.Looped,))
    monkeypatch.setattr(captured, "capture", partial(capture, record=again))
    about = EVERY[name]
    one = Population(about, [replace(BASE, batch_size=8)] * 2, range(2), CPU)
    batch = stacked(*(Stream(about.data(CPU), seed, "x").take(8) for seed in range(2)))
    drops = any(isinstance(part, torch.nn.Dropout) for part in one.network.module.modules())
    assert (one.executor.capture(one, batch, one.chance(0)) is None) is drops is one.executor.seeded


@pytest.mark.parametrize("way", [pytest.param("graph", marks=NEEDS_GPU)])
@pytest.mark.parametrize("name", sorted(name for name, about in EVERY.items() if not about.network().stacked))
def test_modules_train_on_a_gpu_as_on_the_processor(name, way, monkeypatch):
    """By a graph, where they draw no random numbers; dropout is another on another device."""
    monkeypatch.setattr(executors, "TABLE", (executors.Looped,))
    about, device = EVERY[name], DEVICES[way]
    here, there = (Population(about, [replace(BASE, batch_size=8)] * 2, range(2), where) for where in (CPU, device))
    streams = [Stream(about.data(CPU), seed, "x") for seed in range(2)]
    for _ in range(3):
        batch = stacked(*(stream.take(8) for stream in streams))
        a, b = here.step(batch), there.step(batch.map(lambda x: x.to(device)))
        if not there.executor.seeded:
            torch.testing.assert_close(b.cpu(), a, rtol=1e-2, atol=1e-3)
    assert bool(there.executor.recording) is not there.executor.seeded


def test_memory_that_lacks_for_a_recording_alone_does_not_split_the_steps(monkeypatch):
    def record(work):
        one.executor.passes.at_once[4] = 1  # what a pass does that lacks memory
        raise torch.OutOfMemoryError("CUDA out of memory")

    one = made()
    (batch,) = batches(one, 1)
    monkeypatch.setattr(captured, "capture", partial(capture, record=record))
    assert one.executor.capture(one, batch, one.chance(0)) is None and one.executor.passes.at_once[4] > 1


def test_the_memory_of_a_population_is_free_as_soon_as_nobody_needs_it():
    one = made()
    one.step(next(batches(one, 1)))
    gone = weakref.ref(one)
    gc.disable()
    try:
        del one
        assert gone() is None
    finally:
        gc.enable()


class NoNumberOfPythons(TorchFunctionMode):
    """Fails on what makes a tensor of a Python number: that is a copy from the host, which a graph would repeat or refuse."""

    made_of_numbers = (torch.tensor, torch.as_tensor, torch.asarray, torch.from_numpy, torch.Tensor.new_tensor)

    def __torch_function__(self, function, types, args=(), kwargs=None):
        assert function not in self.made_of_numbers, function
        return function(*args, **(kwargs or {}))


class AllOnOneDevice(TorchDispatchMode):
    """Fails on an operation that reads, makes or copies a tensor of another device, or waits for the device on the way.

    Neither can be in a graph.
    """

    waits: ClassVar = {"embedding_dense_backward", "index_put", "index_put_", "_index_put_impl_", "nonzero", "masked_select",
                       "_unique2", "_local_scalar_dense", "item"}

    def __init__(self, kind):
        super().__init__()
        self.kind, self.count = kind, 0

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        assert operation.overloadpacket.__name__ not in self.waits, operation
        result = operation(*args, **(kwargs or {}))
        found = {x.device.type for x in tree_leaves((args, kwargs, result)) if isinstance(x, torch.Tensor)}
        assert found <= {self.kind}, f"{operation} on {found}"
        self.count += 1
        return result


@pytest.mark.parametrize("family", TRAINED)
@pytest.mark.parametrize("name", sorted(TASKS))
def test_a_step_stays_on_its_device_and_waits_for_no_number(name, family):
    """On the device that holds no numbers every read of one is an error, as it is while a graph is recorded; so is a number of
    Python's that becomes a tensor, which is an error here."""
    config = TrainingConfig(family, 4, {"lr": 1e-3}, warmup_steps=8, total_steps=100, run={"clip_norm": 0.5})
    one = Population(task(name), [config] * 2, range(2), torch.device("meta"), svag=2)
    (taken,) = batches(made(name, models=1), 1, name)
    batch = taken.map(lambda x: x[:, :1].expand(2, one.drawn, *x.shape[2:]).to("meta"))
    one.gradients(batch, one.weights)  # a first pass counts its memory
    with AllOnOneDevice("meta") as watched, NoNumberOfPythons():
        step(one)(batch)
        with pytest.raises(AssertionError):
            one.flat.new_tensor([1.0])
    assert watched.count > 100


@WAYS
@pytest.mark.parametrize("size", [4, 64])
@pytest.mark.parametrize("name", sorted(TASKS))
def test_a_population_takes_the_recording_and_trains_as_without(way, name, size, monkeypatch):
    """Also after a model has gone, and while another population's recording comes and goes."""
    device = DEVICES[way]
    here = made(name, batch=size)
    if way == "again":
        monkeypatch.setattr(captured, "capture", partial(capture, record=again))
        monkeypatch.setattr(Captured, "forget", always)
    there, other = (made(name, device, batch=size) for _ in range(2))
    for models in (3, 2):
        reads = torch.arange(models)
        for batch in batches(here, 3, name):
            placed = batch.map(lambda x: x.to(device))
            if other is not None:
                other.advance(placed, reads.to(device), 1)
            a = there.advance(placed, reads.to(device), 1)
            torch.testing.assert_close(a.cpu(), here.advance(batch, reads, 1), rtol=1e-2, atol=1e-3)
        assert there.executor.recording
        other = None
        there.keep(range(models - 1))
        here.keep(range(models - 1))
        here.executor.may_capture = False
        assert there.executor.recording is None and there.executor.may_capture


def test_what_a_step_changes_stays_where_it_lies():
    """A recording writes to addresses: nothing between two steps may put another tensor in place of one of them."""
    one = made()
    places = [x.data_ptr() for x in state(one)]
    data, reads = task("digits").data(CPU), torch.arange(3)
    for batch in batches(one, 2):
        one.advance(batch, reads, 1, watch=True)
        measure(one, data)
        probe = regime.Probe(data, [0], [0, 8], 0)
        regime.measure(one, probe.gradients(one, probe.streams, torch.zeros(3, dtype=torch.long), 2), probe.micro)
        assert [x.data_ptr() for x in state(one)] == places
