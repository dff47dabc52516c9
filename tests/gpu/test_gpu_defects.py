"""What must not be in a captured step, planted into it one by one: no such graph is ever replayed in a training."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from plain import stacked
from pretended_gpu import OnGpu, pretended

from sqrtscale.rules import TrainingConfig
from sqrtscale.tasks import task
from sqrtscale.training import executors
from sqrtscale.training.executors import Captured, Eager, recording
from sqrtscale.training.optimizers.adam import Adam
from sqrtscale.training.population import Population
from sqrtscale.training.streams import Stream

BASE = TrainingConfig("adam", 4, {"lr": 1e-3})
usual_step = Adam.step


@pytest.fixture(autouse=True)
def only_eager_and_captured(monkeypatch):
    monkeypatch.setattr(executors, "TABLE", (Captured, Eager))
    monkeypatch.setattr(recording, "_failures", [])


def waits_for_a_number(optimizer, parameters, gradients, lr_factor):
    if gradients.abs().max().item() < 1e9:
        usual_step(optimizer, parameters, gradients, lr_factor)


def branches_on_a_tensor(optimizer, parameters, gradients, lr_factor):
    if (gradients < 1e9).all():
        usual_step(optimizer, parameters, gradients, lr_factor)


def replaces_the_counter(optimizer, parameters, gradients, lr_factor):
    optimizer.steps = optimizer.steps.clone()
    usual_step(optimizer, parameters, gradients, lr_factor)


def replaces_a_moment(optimizer, parameters, gradients, lr_factor):
    usual_step(optimizer, parameters, gradients, lr_factor)
    optimizer.state["exp_avg"] = optimizer.state["exp_avg"] * 1.0


def counts_in_python(optimizer, parameters, gradients, lr_factor):
    optimizer.count = getattr(optimizer, "count", 0) + 1
    usual_step(optimizer, parameters, gradients / optimizer.count, lr_factor)


def counts_in_a_tensor_of_the_host(optimizer, parameters, gradients, lr_factor):
    """Without dimensions, so that its value goes to the kernel as a Python number does."""
    optimizer.count = getattr(optimizer, "count", torch.zeros(())) + 1
    usual_step(optimizer, parameters, gradients / optimizer.count, lr_factor)


def copies_from_the_host(optimizer, parameters, gradients, lr_factor):
    usual_step(optimizer, parameters, gradients, lr_factor * torch.tensor([[1.0]], device=gradients.device))


def copies_pinned_memory(optimizer, parameters, gradients, lr_factor):
    ones = torch.ones(1, 1).pin_memory().to(gradients.device, non_blocking=True)
    usual_step(optimizer, parameters, gradients, lr_factor * ones)


def draws_random_numbers(optimizer, parameters, gradients, lr_factor):
    usual_step(optimizer, parameters, gradients * torch.rand_like(gradients).round(), lr_factor)


def has_a_shape_that_hangs_on_numbers(optimizer, parameters, gradients, lr_factor):
    scale = gradients[gradients > 0].mean()
    usual_step(optimizer, parameters, gradients * (scale / scale), lr_factor)


def chooses_rows_by_a_list_of_the_host(optimizer, parameters, gradients, lr_factor):
    usual_step(optimizer, parameters, gradients[torch.arange(len(gradients))], lr_factor)


REFUSED = [waits_for_a_number, branches_on_a_tensor, replaces_the_counter, replaces_a_moment, counts_in_python,
           counts_in_a_tensor_of_the_host, copies_from_the_host, copies_pinned_memory, draws_random_numbers,
           has_a_shape_that_hangs_on_numbers, chooses_rows_by_a_list_of_the_host]
# Steps that also keep something which the trial moves and nobody can restore; numbers that differ by chance; what a CPU cannot.
NOT_AS_ON_A_CPU = [replaces_the_counter, replaces_a_moment, counts_in_python, counts_in_a_tensor_of_the_host,
                   draws_random_numbers, copies_pinned_memory]


def population(where: str, models: int = 2) -> Population:
    return Population(task("digits"), [replace(BASE, hyperparameters={**BASE.hyperparameters, "lr": lr})
                                       for lr in (1e-3, 2e-3)[:models]], range(models), torch.device(where))


def batches(one: Population, count: int):
    streams = [Stream(task("digits").data(one.device), seed, "x") for seed in range(len(one))]
    for _ in range(count):
        yield stacked(*(stream.take(one.drawn) for stream in streams))


def trained(where: str, steps: int = 4) -> tuple[torch.Tensor, Population]:
    one = population(where)
    for batch in batches(one, steps):
        one.step(batch)
    return one.flat.cpu(), one


def test_a_step_without_a_defect_is_captured():
    """Or every other test here would pass without a reason."""
    with pretended() as gpu:
        there, one = trained("cuda:0")
    assert one.executor.recording and gpu.replays == 1 + 4
    assert torch.equal(there, trained("cpu")[0])


@pytest.mark.parametrize("defect", REFUSED, ids=lambda defect: defect.__name__)
def test_a_step_with_a_defect_is_not_captured_and_trains_on(defect, monkeypatch, caplog):
    monkeypatch.setattr(Adam, "step", defect)
    with pretended() as gpu:
        there, one = trained("cuda:0")
    assert one.executor.recording is None and gpu.replays <= 1  # the trial's
    assert ("could not be captured" if not gpu.graphs else "differs from the ordinary one") in caplog.text
    assert there.isfinite().all() and (defect in NOT_AS_ON_A_CPU or torch.equal(there, trained("cpu")[0]))


def test_a_tensor_of_the_cpu_is_an_error(monkeypatch):
    def adds_what_lies_on_the_cpu(optimizer, parameters, gradients, lr_factor):
        usual_step(optimizer, parameters, gradients + torch.zeros(gradients.shape), lr_factor)

    monkeypatch.setattr(Adam, "step", adds_what_lies_on_the_cpu)
    with pretended(), pytest.raises(RuntimeError, match=r"on the same device, but found cpu, cuda:0"):
        trained("cuda:0")


def test_a_tensor_of_another_device_is_an_error(monkeypatch):
    def adds_what_lies_on_another(optimizer, parameters, gradients, lr_factor):
        usual_step(optimizer, parameters, gradients + torch.zeros(gradients.shape, device="cuda:0"), lr_factor)

    monkeypatch.setattr(Adam, "step", adds_what_lies_on_another)
    with pretended(2), pytest.raises(RuntimeError, match=r"on the same device, but found cuda:0, cuda:1"):
        trained("cuda:1")


def test_after_a_capture_that_failed_no_other_is_tried(monkeypatch, caplog):
    monkeypatch.setattr(Adam, "step", waits_for_a_number)
    with pretended():
        trained("cuda:0")
        monkeypatch.setattr(Adam, "step", usual_step)
        _, second = trained("cuda:0")
    assert second.executor.recording is None and "an earlier capture failed" in caplog.text


def test_a_capture_computes_nothing_and_a_replay_everything():
    """The pretended device itself, against what the CUDA programming guide says of graphs."""
    with pretended() as gpu:
        x, graph = torch.ones(3, device="cuda:0"), torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            y = x.add_(1) * 2
        assert isinstance(y, OnGpu) and y.isnan().all() and x.tolist() == [1, 1, 1]
        for value in (2, 3):
            graph.replay()
            assert x.tolist() == [value] * 3 and y.tolist() == [2 * value] * 3
    assert [launch.name for launch in gpu.graphs[0]] == ["add_", "mul"] and gpu.waits["copy to the host"] == 5
