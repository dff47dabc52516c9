"""Populations that do not fit: predicted, split, and the same numbers come out."""

import json
import subprocess
import sys

import pytest
import torch

from sqrtscale.plan import make_plan
from sqrtscale.rules import TrainingConfig
from sqrtscale.tasks import Batch, task
from sqrtscale.training import Measured, calibrate, executors, memory
from sqrtscale.training.population import Population
from sqrtscale.training.streams import Stream

CPU = torch.device("cpu")
BASE = TrainingConfig("adam", 8, {"lr": 1e-3})

# A process of its own, because a limit of memory and a peak of memory belong to a whole process.
PROGRAM = """
import json, resource, sys, torch
from sqrtscale.rules import TrainingConfig
from sqrtscale.tasks import task
from sqrtscale.training.memory import state_bytes
from sqrtscale.training import executors
from sqrtscale.training.population import Population
from sqrtscale.training.streams import Stream

executors.TABLE = (executors.Eager,)
name, limit = sys.argv[1], int(sys.argv[2])
about, models, samples = task(name), 5, 512
data = about.data(torch.device("cpu"))
taken = Stream(data, 0, "x").take(samples)
batch = taken.map(lambda x: x.expand(models, *x.shape))
warm = Population(about, [TrainingConfig("adam", 8)], [0], torch.device("cpu"), size="small")
warm.step(batch.map(lambda x: x[:1, :8]))  # threads and libraries are there
# Not ru_maxrss, which begins with the peak of the process that started this one.
peak = lambda: next(1024 * int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
before = peak()
if limit:
    pages = int(open("/proc/self/statm").read().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (4096 * pages + limit,) * 2)
trained = Population(about, [TrainingConfig("adam", samples)] * models, range(models), torch.device("cpu"), size="small")
losses = [trained.step(batch).tolist() for _ in range(2)]
predicted = models * state_bytes(trained.flat.shape[1]) + trained.executor.peak_bytes(trained)
at_once = trained.executor.passes.at_once[samples]
print(json.dumps({"losses": losses, "at_once": at_once, "predicted": predicted, "took": peak() - before}))
"""


def trained(name, limit=0):
    done = subprocess.run([sys.executable, "-c", PROGRAM, name, str(limit)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_memory_is_predicted_and_what_cannot_be_had_is_done_in_parts():
    free = trained("digits")
    assert free["at_once"] >= 5 and free["took"] <= 1.1 * free["predicted"] <= 2.5 * free["took"]
    tight = trained("digits", limit=int(0.6 * free["took"]))
    assert 1 <= tight["at_once"] < 5
    for a, b in zip(tight["losses"], free["losses"], strict=True):
        assert a == pytest.approx(b, rel=1e-4)


@pytest.fixture
def autograd(monkeypatch):
    """Populations whose gradients are autograd's: only they hold the activations of many models at once."""
    monkeypatch.setattr(executors, "TABLE", (executors.Eager,))


def test_models_in_parts_have_the_gradients_of_all_at_once(autograd):
    data = task("digits").data(CPU)
    batch = Stream(data, 0, "x").take(10).map(lambda x: x.expand(5, *x.shape))
    whole, parts = (Population(task("digits"), [BASE] * 5, range(5), CPU, size="small") for _ in range(2))
    parts.executor.passes.at_once = {10: 2}
    for a, b in zip(whole.gradients(batch, (0.7, 0.3)), parts.gradients(batch, (0.7, 0.3)), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-7)


def test_other_errors_are_not_taken_for_a_lack_of_memory(autograd):
    one = Population(task("digits"), [BASE], [0], CPU, size="small")
    with pytest.raises(RuntimeError, match="size"):
        one.gradients(Batch(torch.zeros(1, 3, 4, 5), torch.zeros(1, 3, dtype=torch.long)))


def test_where_one_seed_fits_the_seeds_train_one_after_another(monkeypatch):
    plan = make_plan("digits", BASE, 16, seeds=2, samples=64, warm_samples=64, arms=["base", "scaled"], device="cpu")
    orders, curves = [], []
    for free in (memory.free_bytes(CPU), 1):
        monkeypatch.setattr(memory, "free_bytes", lambda device, free=free: free)
        events = [event for event in calibrate(plan) if isinstance(event, Measured)]
        orders.append([event.seed for event in events if event.arm == "base"])
        curves.append({(event.arm, event.seed, event.samples): event.values["val_loss"] for event in events})
    assert orders[1] == sorted(orders[1]) and orders[0] != orders[1]
    assert curves[1] == pytest.approx(curves[0], rel=1e-4)
