"""A stack of models is its models: same losses, same steps, same data, whatever stands beside them."""

import math

import pytest
import torch

from sqrtscale.arms import offered
from sqrtscale.plan import make_plan
from sqrtscale.rules import TrainingConfig, scale
from sqrtscale.tasks import SMALLEST, TASKS, Batch, task
from sqrtscale.training import executors
from sqrtscale.training.measuring import measure
from sqrtscale.training.population import Population
from sqrtscale.training.streams import Stream

CPU = torch.device("cpu")


def pile(*batches):
    """Batches of single models -> the batch of a stack."""
    return Batch(torch.stack([b.inputs for b in batches]), torch.stack([b.targets for b in batches]))


@pytest.fixture(scope="module", params=sorted(TASKS))
def about(request):
    return task(request.param)


@pytest.fixture(scope="module")
def data(about):
    return about.data(CPU)


TORCH = {
    "adam": lambda p, c: torch.optim.Adam(p, c["lr"], (c["beta1"], c["beta2"]), c["eps"], c["weight_decay"]),
    "adamw": lambda p, c: torch.optim.AdamW(p, c["lr"], (c["beta1"], c["beta2"]), c["eps"], c["weight_decay"]),
    "rmsprop": lambda p, c: torch.optim.RMSprop(p, c["lr"], c["alpha"], c["eps"], c["weight_decay"], c["momentum"]),
}


@pytest.mark.parametrize("executor", [executors.Compiled, executors.Eager, executors.Looped])
@pytest.mark.parametrize("family", sorted(TORCH))
def test_a_stack_trains_each_arm_as_a_plain_torch_loop_trains_it_alone(about, data, family, executor, monkeypatch):
    """Every kind of arm at the target batch, with weight decay, clipping and warm-up."""
    monkeypatch.setattr(executor, "suits", lambda *of: True)
    monkeypatch.setattr(executors, "TABLE", (executor,))
    decays = {"alpha": 0.9, "momentum": 0.5} if family == "rmsprop" else {"beta1": 0.9, "beta2": 0.95}
    base = TrainingConfig(family, 2, {"lr": 1e-3, "weight_decay": 0.1, "eps": 1e-4, **decays}, warmup_steps=8, total_steps=100,
                          run={"clip_norm": 0.5})
    kinds = [kind.name for kind in offered(scale(base, 4)) if kind.group != "svag"]
    configs = [arm.config for arm in make_plan(about.name, base, 4, arms=kinds).arms if arm.config.batch_size == 4]
    seeds = range(len(configs))
    streams, stack = [Stream(data, seed, "x") for seed in seeds], Population(about, configs, seeds, CPU)
    alone = [Population(about, [config], [seed], CPU) for config, seed in zip(configs, seeds, strict=True)]
    plain = [TORCH[family](list(one.views.values()), config) for one, config in zip(alone, configs, strict=True)]
    schedules = [torch.optim.lr_scheduler.LambdaLR(optimizer, lambda k, n=config.warmup_steps: min(1, (k + 1) / n))
                 for optimizer, config in zip(plain, configs, strict=True)]
    for _ in range(6):
        batches = [stream.take(4) for stream in streams]
        losses = stack.step(pile(*batches))
        for i, (one, optimizer, schedule) in enumerate(zip(alone, plain, schedules, strict=True)):
            loss = one.losses(pile(batches[i])).sum()
            assert losses[i].item() == pytest.approx(loss.item(), rel=1e-4)
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(list(one.views.values()), configs[i].run.get("clip_norm", math.inf))
            optimizer.step()
            schedule.step()
    assert stack.share_clipped().max() > 0
    for i, one in enumerate(alone):
        for name, view in one.views.items():
            torch.testing.assert_close(stack.views[name][i], view[0], rtol=2e-3, atol=2e-5, msg=name)


def test_same_seed_same_weights_other_seed_other_weights(about):
    config = TrainingConfig("adam", 4)
    first, again = (Population(about, [config] * 2, [0, 1], CPU) for _ in range(2))
    assert torch.equal(first.flat, again.flat)
    assert not torch.equal(first.flat[0], first.flat[1])


def test_a_stream_is_the_same_however_it_is_cut(data):
    whole = Stream(data, 3, "branch").take(2500)
    cut = Stream(data, 3, "branch")
    pieces = [cut.take(n) for n in (1, 1023, 7, 1469)]
    assert torch.equal(whole.inputs, torch.cat([p.inputs for p in pieces]))
    assert torch.equal(whole.targets, torch.cat([p.targets for p in pieces]))
    for other in (Stream(data, 4, "branch"), Stream(data, 3, "warm start")):
        assert not torch.equal(whole.targets, other.take(2500).targets)


def test_untrained_model_guesses(about, data):
    population = Population(about, [TrainingConfig("adam", 4)], [0], CPU)
    values = measure(population, data)
    assert list(values) == list(about.metrics)
    assert values["val_loss"].item() == pytest.approx(math.log(about.classes), rel=0.05)


def test_measuring_agrees_with_the_loss_that_is_trained(about, data):
    population = Population(about, [TrainingConfig("adam", 4)] * 2, [0, 1], CPU)
    whole = population.losses(pile(data.validation, data.validation))
    torch.testing.assert_close(measure(population, data)["val_loss"].float(), whole.detach(), rtol=1e-4, atol=1e-5)


def test_training_and_validation_data_are_apart(data):
    """No validation target sequence or image is drawn for training."""
    if hasattr(data, "text"):
        train = data.text.numpy().astype("uint8").tobytes()
        found = sum(bytes(window.tolist()) in train for window in data.validation.targets)
        assert found < 0.2 * len(data.validation.targets)  # topics share rules of asterisks and stock sentences
    else:
        from sklearn.datasets import load_digits

        assert len(data.images) + len(data.validation.targets) == len(load_digits().target) == 1797


def test_stated_sizes_are_the_real_ones(about, data):
    if hasattr(data, "images"):
        assert about.train_size == len(data.images)
    else:
        windows = len(data.text) // data.validation.inputs.shape[1]
        assert 0.8 * windows < about.train_size <= windows
    assert next(iter(about.sizes)) == SMALLEST
    for name, size in about.sizes.items():
        assert size.parameters == sum(math.prod(p.shape) for p in about.network(name).parameters().values())


def test_warm_up_starts_slowly_and_arms_agree_in_samples(about, data):
    config = TrainingConfig("adam", 4, {"lr": 1e-3}, warmup_steps=10)
    population = Population(about, [config, TrainingConfig("adam", 4, {"lr": 1e-3})], [0, 0], CPU)
    start = population.flat.clone()
    batch = Stream(data, 0, "x").take(4)
    population.step(pile(batch, batch))
    moved = (population.flat - start).abs().sum(1)
    assert (moved[0] / moved[1]).item() == pytest.approx(0.1, rel=1e-3)


def test_branch_copies_weights_and_moves_the_state(about, data):
    config = TrainingConfig("adam", 4)
    parent = Population(about, [config], [0], CPU)
    stream = Stream(data, 0, "warm start")
    for _ in range(4):
        parent.step(pile(stream.take(4)))
    plan = make_plan(about.name, config, 16)
    arms = [arm.config for arm in plan.arms if arm.config.batch_size == 16]
    child = Population(about, arms, [1] * len(arms), CPU)
    child.branch_from(parent, 4.0)
    for i in range(len(arms)):
        assert torch.equal(child.flat[i], parent.flat[0])
        assert torch.equal(child.optimizer.state["exp_avg_sq"][i], parent.optimizer.state["exp_avg_sq"][0] / 4)
        assert torch.equal(child.optimizer.state["exp_avg"][i], parent.optimizer.state["exp_avg"][0])
    # Also bias corrected: arms with another beta2 count other steps.
    hats = child.optimizer.second_moment_hat() * 4
    torch.testing.assert_close(hats, parent.optimizer.second_moment_hat().expand(len(arms), -1), rtol=1e-5, atol=0)
