"""A stack of models is its models: same losses, same steps, same data, whatever stands beside them."""

import pytest
import torch
from own_tasks import EVERY, ways
from plain import PlainLoop, stacked

from sqrtscale.arms import offered
from sqrtscale.plan import make_plan
from sqrtscale.rules import FAMILIES, TrainingConfig, scale
from sqrtscale.tasks import TASKS
from sqrtscale.training import executors
from sqrtscale.training.optimizers import TRAINED
from sqrtscale.training.population import Population
from sqrtscale.training.streams import Stream

CPU = torch.device("cpu")


@pytest.fixture(params=sorted(EVERY))
def about(request, monkeypatch):
    monkeypatch.setitem(TASKS, request.param, EVERY[request.param])
    return EVERY[request.param]


@pytest.fixture
def data(about):
    return about.data(CPU)


@pytest.mark.parametrize("family, name, executor", [
    pytest.param(family, *way.values, id=f"{family}-{way.id}") for family in TRAINED for way in ways(family)])
def test_a_stack_trains_each_arm_as_a_plain_torch_loop_trains_it_alone(family, name, executor, monkeypatch):
    """Every kind of arm at the target batch, with weight decay, clipping and warm-up."""
    about = EVERY[name]
    monkeypatch.setitem(TASKS, name, about)
    monkeypatch.setattr(executors, "TABLE", (executor,))
    values = {"weight_decay": 0.1, "eps": 1e-4, "alpha": 0.9, "momentum": 0.5, "beta1": 0.9, "beta2": 0.95}
    batch = 2 * (about.micro or 1)
    own = {name: value for name, value in values.items() if name in FAMILIES[family].fields}
    base = TrainingConfig(family, batch, {"lr": 1e-3} | own,
                          warmup_steps=8, total_steps=100, run={"clip_norm": 0.5})
    kinds = [kind.name for kind in offered(scale(base, 2 * batch)) if kind.group != "svag"]
    configs = [arm.config for arm in make_plan(name, base, 2 * batch, arms=kinds).arms if arm.config.batch_size == 2 * batch]
    data, seeds = about.data(CPU), range(len(configs))
    streams, stack = [Stream(data, seed, "x") for seed in seeds], Population(about, configs, seeds, CPU)
    alone = [PlainLoop(about, config, seed) for config, seed in zip(configs, seeds, strict=True)]
    for _ in range(6):
        batches = [stream.take(2 * batch) for stream in streams]
        found = stack.step(stacked(*batches)).tolist()
        assert found == pytest.approx([loop.step(own) for loop, own in zip(alone, batches, strict=True)], rel=1e-4)
    assert stack.share_clipped().max() > 0
    for i, loop in enumerate(alone):
        for name, value in loop.parameters.items():
            torch.testing.assert_close(stack.views[name][i], value, rtol=2e-3, atol=2e-5, msg=name)
        for name, value in loop.buffers.items():
            torch.testing.assert_close(stack.held[name][i], value, rtol=1e-4, atol=1e-6, msg=name)


def test_same_seed_same_weights_other_seed_other_weights(about):
    first, again = (Population(about, [TrainingConfig("adam", 4)] * 2, [0, 1], CPU) for _ in range(2))
    assert torch.equal(first.flat, again.flat)
    assert not torch.equal(first.flat[0], first.flat[1])
    assert first.held.keys() == again.held.keys()
    assert all(torch.equal(held, again.held[name]) for name, held in first.held.items())


def test_warm_up_starts_slowly_and_arms_agree_in_samples(about, data):
    config = TrainingConfig("adam", 4, {"lr": 1e-3}, warmup_steps=10)
    population = Population(about, [config, TrainingConfig("adam", 4, {"lr": 1e-3})], [0, 0], CPU)
    start = population.flat.clone()
    batch = Stream(data, 0, "x").take(4)
    population.step(stacked(batch, batch))
    moved = (population.flat - start).abs().sum(1)
    assert (moved[0] / moved[1]).item() == pytest.approx(0.1, rel=1e-3)


def test_branch_copies_weights_and_moves_the_state(about, data):
    config = TrainingConfig("adam", 4)
    parent = Population(about, [config], [0], CPU)
    stream = Stream(data, 0, "warm start")
    for _ in range(4):
        parent.step(stacked(stream.take(4)))
    arms = [arm.config for arm in make_plan(about.name, config, 16).arms if arm.config.batch_size == 16]
    child = Population(about, arms, [1] * len(arms), CPU)
    child.branch_from(parent, 4.0)
    for i in range(len(arms)):
        assert torch.equal(child.flat[i], parent.flat[0])
        assert all(torch.equal(child.held[name][i], held[0]) for name, held in parent.held.items())
        assert torch.equal(child.optimizer.state["exp_avg_sq"][i], parent.optimizer.state["exp_avg_sq"][0] / 4)
        assert torch.equal(child.optimizer.state["exp_avg"][i], parent.optimizer.state["exp_avg"][0])
    # Also bias corrected: arms with another beta2 count other steps.
    hats = child.optimizer.second_moment_hat() * 4
    torch.testing.assert_close(hats, parent.optimizer.second_moment_hat().expand(len(arms), -1), rtol=1e-5, atol=0)


def test_models_that_are_kept_go_on_as_if_the_others_had_never_been(about, data):
    config, streams = TrainingConfig("adam", 4, {"lr": 1e-2}, warmup_steps=9), [Stream(data, seed, "x") for seed in (5, 6)]
    both, alone = Population(about, [config] * 2, [5, 6], CPU), Population(about, [config], [6], CPU)
    for step in range(4):
        batches = [stream.take(4) for stream in streams]
        if step == 2:
            both.keep([1])
        a, b = both.step(stacked(*batches[-len(both):])), alone.step(stacked(batches[1]))
        assert a[-1].item() == pytest.approx(b.item(), rel=1e-5)
    torch.testing.assert_close(both.flat, alone.flat, rtol=1e-4, atol=1e-6)
    for name, held in both.buffers.items():
        torch.testing.assert_close(held, alone.buffers[name], rtol=1e-5, atol=1e-6)


def test_measuring_gradients_leaves_no_trace(about, data):
    one, other = (Population(about, [TrainingConfig("adam", 4)], [0], CPU) for _ in range(2))
    stream = Stream(data, 0, "x")
    for _ in range(2):
        batch = stacked(stream.take(4))
        one.gradients(batch)
        one.executor.evaluate(one, data.validation)
        one.step(batch)
        other.step(batch)
        assert all(torch.equal(a, b) for a, b in zip(one.state, other.state, strict=True))
