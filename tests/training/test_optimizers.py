"""The stacked optimizers against torch.optim, step by step."""

import numpy as np
import pytest
import torch

from sqrtscale.rules import TrainingConfig
from sqrtscale.training.optimizers import make_optimizer

MODELS = [
    ("adam", {"lr": 1e-3, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "weight_decay": 0.0}),
    ("adam", {"lr": 3e-2, "beta1": 0.0, "beta2": 0.2, "eps": 0.5, "weight_decay": 0.3}),
    ("adam", {"lr": 1e-1, "beta1": 0.6, "beta2": 0.5, "eps": 1e-3, "weight_decay": 0.1}),
    ("adamw", {"lr": 1e-3, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "weight_decay": 0.01}),
    ("adamw", {"lr": 3e-2, "beta1": 0.2, "beta2": 0.95, "eps": 1e-2, "weight_decay": 0.7}),
    ("rmsprop", {"lr": 1e-3, "alpha": 0.99, "eps": 1e-8, "weight_decay": 0.0, "momentum": 0.0}),
    ("rmsprop", {"lr": 1e-2, "alpha": 0.5, "eps": 0.1, "weight_decay": 0.2, "momentum": 0.9}),
]


def torch_reference(config, start):
    """The same configuration in torch.optim."""
    weights = torch.nn.Parameter(start.clone())
    values = dict(config.hyperparameters)
    if "beta1" in values:
        values["betas"] = (values.pop("beta1"), values.pop("beta2"))
    optimizer = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW, "rmsprop": torch.optim.RMSprop}[config.optimizer]
    return weights, optimizer([weights], foreach=False, **values)


@pytest.mark.parametrize("family", ["adam", "adamw", "rmsprop"])
@pytest.mark.parametrize("dtype, tolerance", [(torch.float64, 1e-12), (torch.float32, 2e-5)])
def test_each_model_of_a_stack_follows_torch_optim(family, dtype, tolerance):
    configs = [TrainingConfig(name, 8, values) for name, values in MODELS if name == family]
    generator = torch.Generator().manual_seed(1)
    start = torch.randn(len(configs), 50, generator=generator, dtype=dtype)
    stack = start.clone()
    optimizer = make_optimizer(configs, stack)
    references = [torch_reference(config, start[i]) for i, config in enumerate(configs)]
    for step in range(60):
        gradients = torch.randn(len(configs), 50, generator=generator, dtype=dtype) * 10.0 ** (step % 3 - 1)
        optimizer.step(stack, gradients)
        for i, (weights, reference) in enumerate(references):
            weights.grad = gradients[i].clone()
            reference.step()
            np.testing.assert_allclose(stack[i], weights.detach(), rtol=tolerance, atol=tolerance,
                                       err_msg=f"{configs[i]} after {step + 1} steps")


def test_learning_rate_factor_is_a_learning_rate():
    config = TrainingConfig("adamw", 8, {"lr": 1e-2, "weight_decay": 0.5})
    half = TrainingConfig("adamw", 8, {"lr": 5e-3, "weight_decay": 0.5})
    stack = torch.ones(1, 5, dtype=torch.float64)
    weights, reference = torch_reference(half, stack[0])
    optimizer = make_optimizer([config], stack)
    gradients = torch.arange(5, dtype=torch.float64).view(1, 5)
    optimizer.step(stack, gradients, torch.tensor([[0.5]], dtype=torch.float64))
    weights.grad = gradients[0]
    reference.step()
    np.testing.assert_allclose(stack[0], weights.detach(), rtol=1e-14)


@pytest.mark.parametrize("family", ["adam", "rmsprop"])
def test_moved_second_moment_is_the_one_of_the_new_batch(family):
    """Gradients of pure noise: after the move, v has the mean that training at the new batch would give it."""
    kappa, size = 8, 20_000
    config = TrainingConfig(family, 8)
    stack = torch.zeros(1, size, dtype=torch.float64)
    generator = torch.Generator().manual_seed(2)
    optimizer = make_optimizer([config], stack)
    for _ in range(300):
        optimizer.step(stack, torch.randn(1, size, generator=generator, dtype=torch.float64))
    before = optimizer.state[optimizer.second_moment].mean()
    optimizer.move_to_batch(torch.tensor([[float(kappa)]], dtype=torch.float64))
    fresh = make_optimizer([config], torch.zeros(1, size, dtype=torch.float64))
    for _ in range(300):
        fresh.step(torch.zeros(1, size, dtype=torch.float64),
                   torch.randn(1, size, generator=generator, dtype=torch.float64) / kappa**0.5)
    moved = optimizer.state[optimizer.second_moment].mean()
    assert moved.item() == pytest.approx(fresh.state[fresh.second_moment].mean().item(), rel=0.01)
    assert moved.item() == pytest.approx(before.item() / kappa, rel=1e-12)


def test_another_decay_takes_over_what_the_second_moment_is_worth():
    """After a take v_hat is what it was, whatever the new beta2: it counts the steps in which it would have forgotten as much."""
    stack, rows = torch.zeros(1, 50, dtype=torch.float64), torch.zeros(4, dtype=torch.long)
    source = make_optimizer([TrainingConfig("adam", 8, {"beta2": 0.99})], stack)
    for step in range(7):
        source.step(stack, torch.linspace(1, 2, 50, dtype=torch.float64).view(1, 50) * (step + 1))
    configs = [TrainingConfig("adam", 64, {"beta2": beta2}) for beta2 in (0.99, 0.92, 0.99**8, 1e-6)]
    taken = make_optimizer(configs, stack.expand(4, 50).clone())
    taken.take(source, rows)
    for row in taken.second_moment_hat():
        np.testing.assert_allclose(row, source.second_moment_hat()[0], rtol=1e-12)
    np.testing.assert_allclose(taken.steps.flatten()[[0, 2]], [7, 7 / 8], rtol=1e-12)


def test_dropping_models_leaves_the_others_as_they_were():
    configs = [TrainingConfig("adam", 8, {"lr": lr}) for lr in (1e-3, 1e-2, 1e-1)]
    generator = torch.Generator().manual_seed(3)
    together, kept = torch.ones(3, 7), torch.ones(3, 7)
    first, second = make_optimizer(configs, together), make_optimizer(configs, kept)
    rows = torch.tensor([0, 2])
    for step in range(10):
        gradients = torch.randn(3, 7, generator=generator)
        first.step(together, gradients)
        if step == 5:
            kept = kept[rows].clone()
            second.keep(rows)
        second.step(kept, gradients[rows] if step >= 5 else gradients)
    torch.testing.assert_close(kept, together[rows])
