"""Network, optimizer and device alone choose an executor, and a run has the same numbers beside any others."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from own_tasks import EVERY
from plain import losses
from torch import nn
from torch_optim import torch_optimizer

from sqrtscale.plan import make_plan
from sqrtscale.rules import FAMILIES, TrainingConfig
from sqrtscale.tasks import TASKS, task
from sqrtscale.tasks.module import ModuleNetwork
from sqrtscale.training import environment
from sqrtscale.training.executors import TABLE, choose, compiled
from sqrtscale.training.optimizers import TRAINED, optimizer_class
from sqrtscale.training.population import Population
from sqrtscale.training.streams import Stream

CPU, GPU = torch.device("cpu"), torch.device("cuda")
MODULE = ModuleNetwork(lambda: nn.Linear(2, 2), nn.functional.mse_loss)
PLANE = EVERY["plane"].network()  # a stacked network that is no transformer
DOCS = (Path(__file__).resolve().parents[2] / "docs" / "executors.md").read_text()


@pytest.mark.parametrize("network, optimizer, device, name", [
    *[(about.network(size), optimizer, CPU, "compiled") for about in TASKS.values() for size in about.sizes
      for optimizer in ("adam", "adamw", "rmsprop")],
    (task("digits").network(), "nadam", CPU, "eager"),
    (task("digits").network("large"), "adam", GPU, "captured"),
    (task("digits").network(), "nadam", GPU, "captured"),
    (MODULE, "adam", CPU, "looped"), (MODULE, "nadam", GPU, "looped"),
    (PLANE, "adam", CPU, "eager"), (PLANE, "adam", GPU, "captured"),
])
def test_network_optimizer_and_device_choose(network, optimizer, device, name):
    assert choose(network, optimizer, device).name == name


def test_without_a_compiler_the_built_in_network_trains_eagerly(monkeypatch):
    monkeypatch.setattr(compiled, "available", lambda: False)
    assert choose(task("digits").network(), "adam", CPU).name == "eager"
    assert Population(task("digits"), [TrainingConfig("adam", 8)], [0], CPU).executor.name == "eager"


@pytest.mark.parametrize("optimizer", [name for name in TRAINED if optimizer_class(name).kernel is None])
@pytest.mark.parametrize("name", sorted(TASKS))
def test_an_optimizer_without_a_kernel_trains_eagerly_as_torch_does(name, optimizer):
    about = task(name)
    config = TrainingConfig(optimizer, 4, {"lr": 1e-3, **({"eps": 1e-4} if "eps" in FAMILIES[optimizer].fields else {})})
    stack, alone = (Population(about, [config] * 2, [0, 1], CPU) for _ in range(2))
    assert stack.executor.name == "eager"
    reference = torch_optimizer(config, list(alone.views.values()))
    stream = Stream(about.data(CPU), 0, "x")
    for _ in range(3):
        batch = stream.take(4).map(lambda x: x.expand(2, *x.shape))
        stack.step(batch)
        reference.zero_grad()
        losses(alone, batch).sum().backward()
        reference.step()
    torch.testing.assert_close(stack.flat, alone.flat, rtol=2e-4, atol=2e-6)


def test_the_page_has_the_table_of_the_program():
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \| (.*) \|$", DOCS, re.MULTILINE)
    assert rows == [(executor.name, executor.when, executor.how) for executor in TABLE]
    assert len({executor.name for executor in TABLE}) == len(TABLE)


def test_the_environment_of_a_plan_names_the_executor_that_its_runs_get():
    assert "executor" not in environment("cpu")
    for name in TASKS:
        plan = make_plan(name, TrainingConfig("adamw", 8), 64, size="medium")
        (config,) = {arm.config for arm in plan.arms if arm.name == "base"}
        used = Population(task(name), [config], [0], CPU, size="medium").executor.name
        assert environment("cpu", plan)["executor"] == used == "compiled"


PROGRAM = """
import json, sys, torch

torch.set_num_threads(int(sys.argv[2]))  # as on a machine with so many cores

from sqrtscale.plan import make_plan
from sqrtscale.rules import FAMILIES, TrainingConfig
from sqrtscale.training import Measured, calibrate, environment

found = []
for size, start, samples, seeds in json.loads(sys.argv[1]):
    plan = make_plan("digits", TrainingConfig("adam", 8, {"lr": 1e-3}, run={"clip_norm": 1.0}), 32, seeds=seeds, samples=samples,
                     start=start, warm_samples=samples if start == "warm" else None, arms=["base", "scaled", "unscaled"],
                     device="cpu", size=size)
    how = environment("cpu", plan)
    curves = [(event.arm, event.samples, {name: value.hex() for name, value in event.values.items()})
              for event in calibrate(plan) if isinstance(event, Measured) and event.seed == 0]
    found.append([how["executor"], how["threads"], curves])
print(json.dumps(found))
"""


def test_a_run_is_the_same_to_the_last_bit_alone_and_beside_others_on_any_number_of_threads():
    """Every number that is stored of it. A wide model alone on many threads once went another way than beside others."""
    sizes = [("tiny", "warm", 320), ("small", "scratch", 32)]
    cases = [(*size, seeds) for size, most in zip(sizes, (6, 2), strict=True) for seeds in (1, most)]

    def curves(threads):
        done = subprocess.run([sys.executable, "-c", PROGRAM, json.dumps(cases), str(threads)], text=True, capture_output=True)
        assert done.returncode == 0, done.stderr
        of_cases = json.loads(done.stdout)
        assert [(executor, used) for executor, used, _ in of_cases] == [("compiled", threads)] * len(cases)
        return [curves for *_, curves in of_cases]

    one = curves(1)
    for first, other in ((0, 1), (2, 3)):
        assert len(one[first]) > 5 and {arm for arm, *_ in one[first]} >= {"base", "scaled", "unscaled"}
        assert one[first] == one[other], f"{cases[first]} beside others"
    assert curves(16) == one
