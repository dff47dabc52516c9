"""What a captured step costs a GPU, counted: operations, and bytes that the optimizer moves. None can grow unseen.

A launch costs a few microseconds whatever it does, and an optimizer's operation as long as its bytes take: the two numbers that
say how long a small and a large step take on a device that is not at hand.
"""

from __future__ import annotations

import pytest
import torch
from pretended_gpu import Gpu, pretended

from sqrtscale.rules import TrainingConfig
from sqrtscale.tasks import TASKS, task
from sqrtscale.training import executors
from sqrtscale.training.curvature import Meter
from sqrtscale.training.executors import Captured, Eager, recording
from sqrtscale.training.optimizers import TRAINED
from sqrtscale.training.population import Population
from sqrtscale.training.regime import Probe
from sqrtscale.training.streams import Stream

MODELS, BATCH = 3, 4
FLOAT = 4  # bytes
# The most that one update may take: operations, and numbers that they read and write for each weight. Counted on 2026-11-28;
# seven numbers would be the least for Adam (three read and written, the gradient read).
BOUNDS = {"adam": (22, 24), "adamw": (25, 23), "amsgrad": (23, 27), "nadam": (42, 27), "radam": (46, 26), "rmsprop": (12, 24),
          "rmsprop_centered": (14, 30), "sgd": (6, 9)}
STEP = {"digits": 146, "pydoc": 147}  # operations of a whole step of the smallest model with Adam


@pytest.fixture(autouse=True)
def only_eager_and_captured(monkeypatch):
    monkeypatch.setattr(executors, "TABLE", (Captured, Eager))
    monkeypatch.setattr(recording, "_failures", [])


def population(family: str, name: str = "digits") -> Population:
    return Population(task(name), [TrainingConfig(family, BATCH, {"lr": 1e-3})] * MODELS, range(MODELS), torch.device("cuda:0"))


def update(gpu: Gpu, family: str) -> tuple[int, float]:
    """Operations of one update, and numbers moved for each weight."""
    one = population(family)
    gradients = torch.ones_like(one.flat)
    gpu.watching, gpu.launches = True, []
    one.optimizer.step(one.flat, gradients, one.lr_factor)
    gpu.watching = False
    return len(gpu.launches), sum(launch.read + launch.written for launch in gpu.launches) / one.flat.nbytes


@pytest.mark.parametrize("family", TRAINED)
def test_an_update_takes_no_more_than_it_did(family):
    with pretended() as gpu:
        operations, moved = update(gpu, family)
    most, most_moved = BOUNDS[family]
    assert 5 < operations <= most and 5 < moved <= most_moved + 0.1  # operations on one number a model are next to nothing


@pytest.mark.parametrize("name", STEP)
def test_a_step_takes_no_more_operations_than_it_did(name):
    assert set(STEP) <= set(TASKS)
    with pretended() as gpu:
        one = population("adam", name)
        data = task(name).data(one.device)
        batch = Stream(data, 0, "x").take(MODELS * BATCH).map(lambda x: x.unflatten(0, (MODELS, BATCH)))
        one.step(batch)
        (graph,) = gpu.graphs
        assert one.executor.recording
    assert 100 < len(graph) <= STEP[name]
    assert one.executor.carried_out() == f"as a CUDA graph of {len(graph)} operations"


def test_measuring_the_noise_launches_one_pass_for_all_micro_batches():
    """16 micro-batches: one pass as for one of them, and what makes copies of the models."""
    with pretended() as gpu:
        one = population("adam")
        probe = Probe(task("digits").data(one.device), range(MODELS), [0, 32], first=0)
        counted = []
        for count in (1, 2, 16):
            gpu.watching, gpu.launches = True, []
            list(probe.gradients(one, probe.streams, torch.arange(MODELS, device=one.device), count))
            gpu.watching = False
            counted.append(len(gpu.launches))
    alone, two, sixteen = counted
    assert 100 < alone <= 173 and two == sixteen <= 160, counted


def test_curvature_is_measured_for_all_models_at_once_and_is_that_of_each_alone():
    runs, samples = [("base", 0), ("scaled", 0), ("scaled", 1)], 2**15
    measured, counted = [], []
    with pretended() as gpu:
        for device, group in (("cpu", runs), ("cuda:0", runs), ("cuda:0", runs[:1])):
            one = Population(task("digits"), [TrainingConfig("adam", BATCH, {"lr": 1e-3 * (i + 1)}) for i in range(len(group))],
                             range(len(group)), torch.device(device))
            data = task("digits").data(one.device)
            for _ in range(3):
                batch = Stream(data, 0, "x").take(BATCH).map(lambda x, one=one: x.expand(len(one), *x.shape))
                one.step(batch)
            meter = Meter(data, [samples], first=0, micro=None)
            gpu.watching, gpu.launches = True, []
            measured.append(meter.measure(one, group, samples))
            gpu.watching = False
            counted.append(len(gpu.launches))
    here, together, alone = measured
    assert together[0].keys() == {"sharpness", "sharpness_limit"} and not together[2]  # of the first seed
    found, expected, own = ([value["sharpness"] for value in values if value] for values in (together, here, alone))
    assert found == pytest.approx(expected, rel=1e-3) and found[:1] == pytest.approx(own, rel=1e-3)
    assert 0 == counted[0] < 1500 < counted[1] < 1.1 * counted[2], counted


def test_an_operation_more_and_a_copy_are_counted():
    """By hand: x += y reads both and writes one; a product of the same reads one and writes one."""
    with pretended() as gpu:
        x, y = (torch.ones(10, device="cuda:0") for _ in range(2))
        gpu.watching, gpu.launches = True, []
        x.add_(y)
        x * x
        gpu.watching = False
        assert [(launch.name, launch.read, launch.written) for launch in gpu.launches] == [
            ("add_", 2 * 10 * FLOAT, 10 * FLOAT), ("mul", 10 * FLOAT, 10 * FLOAT)]
