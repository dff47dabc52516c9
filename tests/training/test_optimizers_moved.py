"""What an optimizer's state becomes at another batch, against training there and against ``transfer_optimizer_``."""

import numpy as np
import pytest
import torch
from torch_optim import DIVIDES, counting_in, torch_optimizer

from sqrtscale import transfer_optimizer_
from sqrtscale.rules import FAMILIES, TrainingConfig, scale
from sqrtscale.rules.signal import excess
from sqrtscale.training.optimizers import TRAINED, make_optimizer, optimizer_class

BATCH = 8
SUMS = [name for name in TRAINED if any(piece.momentum for piece in optimizer_class(name).pieces)]


def moved(source, configs, parameters, noise=None):
    """The state of a source's first model in these configurations at their batch, by that noise scale if there is one."""
    optimizer = make_optimizer(configs, parameters)
    optimizer.take(source, torch.zeros(len(configs), dtype=torch.long))
    optimizer.move_to_batch(*(torch.tensor([[each] for each in values], dtype=torch.float64) for values in (
        [config.batch_size / BATCH for config in configs],
        [excess(BATCH, config.batch_size, noise) if noise else 1.0 for config in configs])))
    return optimizer


@pytest.mark.parametrize("family", TRAINED)
def test_where_the_mean_counts_the_second_moment_moves_by_the_measured_ratio(family):
    """A constant gradient G and noise S / B: v rests at G^2 + S / B, whatever optimizer keeps it, centered ones S / B alone."""
    signal, noise, target = 0.3, 2.0, 4 * BATCH
    base = TrainingConfig(family, BATCH)
    source = make_optimizer([base], torch.zeros(1, 5, dtype=torch.float64))
    seconds = dict.fromkeys(("exp_avg_sq", "square_avg", "max_exp_avg_sq"), signal**2 + noise / BATCH)
    for name, value in source.state.items():
        value.fill_(({"exp_avg": signal, "grad_avg": signal} | seconds).get(name, 1.0))
    q = (target + noise / signal**2) / (BATCH + noise / signal**2)
    there = make_optimizer([base], torch.zeros(1, 5, dtype=torch.float64))
    there.take(source, torch.zeros(1, dtype=torch.long))
    there.move_to_batch(torch.tensor([[4.0]], dtype=torch.float64), torch.tensor([[q]], dtype=torch.float64))
    for name in seconds.keys() & there.state.keys():
        torch.testing.assert_close(there.state[name], torch.full((1, 5), signal**2 + noise / target, dtype=torch.float64))
    divisor = {"rmsprop": [signal**2 + noise / batch for batch in (BATCH, target)], "rmsprop_centered": [1 / BATCH, 1 / target]}
    if family in divisor:  # the gradients in the buffer are divided by its root
        before, after = divisor[family]
        assert there.state["momentum_buffer"].mean().item() == pytest.approx((before / after) ** 0.5)


@pytest.mark.parametrize("family, momentum_form", [*((name, "kept") for name in TRAINED), *((name, "scaled") for name in SUMS)])
@pytest.mark.parametrize("target, noise", [(2 * BATCH, None), (5 * BATCH, None), (BATCH // 4, None), (5 * BATCH, 7.0)])
def test_the_state_moves_as_transfer_optimizer_moves_it(family, momentum_form, target, noise):
    """From the branch point the same steps follow: the two ways of one transfer agree."""
    values = {"lr": 1e-2, "weight_decay": 0.1} | {name: 0.8 for name in ("momentum",) if name in FAMILIES[family].fields}
    base = TrainingConfig(family, BATCH, values)
    config = scale(base, target, "half-life", momentum_form, noise_scale=noise).config
    generator = torch.Generator().manual_seed(4)
    start, gradients = torch.randn(40, generator=generator).double(), torch.randn(20, 40, generator=generator).double()
    stack, weights = start.view(1, -1).clone(), torch.nn.Parameter(start.clone())
    optimizer = make_optimizer([base], stack)
    with counting_in(torch.float64):
        reference = torch_optimizer(base, [weights])
        for k, now in enumerate(gradients):
            if k == 12:
                optimizer = moved(optimizer, [config], stack, noise)
                transfer_optimizer_(reference, (BATCH, target), "half-life", momentum_form, noise_scale=noise)
                state = dict(reference.state[weights])
                if "step" in state:
                    assert optimizer.steps.item() == pytest.approx(float(state.pop("step")), rel=1e-12)
                for name, value in state.items():
                    np.testing.assert_allclose(optimizer.state[name].view(-1), value.view(-1), rtol=1e-9, err_msg=name)
            optimizer.step(stack, now.view(1, -1).clone())
            weights.grad = now.clone()
            reference.step()
            np.testing.assert_allclose(stack[0], weights.detach(), rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("family", TRAINED)
@pytest.mark.parametrize("momentum_form", ["kept", "scaled"])
def test_every_piece_of_a_moved_state_is_as_training_at_the_new_batch_makes_it(family, momentum_form):
    """Gradients of noise and some signal, long enough that both runs have forgotten their start; averages over coordinates."""
    kappa, size, signal = 4, 20_000, 0.1
    values = {"lr": 1e-6, "beta2": 0.99, "alpha": 0.99, "momentum": 0.8, "momentum_decay": 0.01}
    base = TrainingConfig(family, BATCH, {name: value for name, value in values.items() if name in FAMILIES[family].fields})
    config = scale(base, kappa * BATCH, "half-life", momentum_form).config
    generator = torch.Generator().manual_seed(2)

    def trained(config, steps, noise):
        parameters = torch.zeros(1, size)
        optimizer = make_optimizer([config], parameters)
        for _ in range(steps):
            optimizer.step(parameters, signal + noise * torch.randn(1, size, generator=generator))
        return optimizer

    found, there = moved(trained(base, 400, 1.0), [config], torch.zeros(1, size)), trained(config, 400 // kappa, kappa**-0.5)
    if family in DIVIDES:
        assert found.steps.item() == pytest.approx(there.steps.item(), rel=1e-12)
    for name, value in found.state.items():
        tolerance = 0.25 if name.startswith("max_") else 0.1  # how large the largest v is depends on kappa: v fluctuates more
        assert value.mean().item() == pytest.approx(there.state[name].mean().item(), rel=tolerance), name


@pytest.mark.parametrize("family", DIVIDES)
def test_another_decay_takes_over_what_the_second_moment_is_worth(family):
    """After a take v_hat is what it was, whatever the new decay: it counts the steps in which it would have forgotten as much."""
    decay = optimizer_class(family).second_decay
    stack, rows = torch.zeros(1, 50, dtype=torch.float64), torch.zeros(4, dtype=torch.long)
    source = make_optimizer([TrainingConfig(family, 8, {decay: 0.99})], stack)
    for step in range(7):
        source.step(stack, torch.linspace(1, 2, 50, dtype=torch.float64).view(1, 50) * (step + 1))
    configs = [TrainingConfig(family, 64, {decay: value}) for value in (0.99, 0.92, 0.99**8, 1e-6)]
    taken = make_optimizer(configs, stack.expand(4, 50).clone())
    taken.take(source, rows)
    for row in taken.second_moment_hat():
        np.testing.assert_allclose(row, source.second_moment_hat()[0], rtol=1e-12)
    np.testing.assert_allclose(taken.steps.flatten()[[0, 2]], [7, 7 / 8], rtol=1e-12)


@pytest.mark.parametrize("family", TRAINED)
def test_a_state_that_is_taken_as_it_is_goes_on_as_if_nothing_had_happened(family):
    config = TrainingConfig(family, BATCH, {"lr": 1e-2})
    stack = torch.ones(1, 9, dtype=torch.float64)
    optimizer, generator = make_optimizer([config], stack), torch.Generator().manual_seed(5)
    for _ in range(5):
        optimizer.step(stack, torch.randn(1, 9, generator=generator, dtype=torch.float64))
    twice = stack.expand(2, 9).clone()
    again = moved(optimizer, [config, config], twice)
    for _ in range(5):
        gradients = torch.randn(1, 9, generator=generator, dtype=torch.float64)
        optimizer.step(stack, gradients)
        again.step(twice, gradients.expand(2, 9).clone())
    np.testing.assert_allclose(twice, stack.expand(2, 9), rtol=1e-12)


def test_a_warm_up_of_the_momentum_goes_on_from_where_it_was_though_steps_are_counted_over_another_decay():
    """NAdam's mu at the branch point is that of the base, in every arm that has its beta1."""
    stack = torch.zeros(1, 3, dtype=torch.float64)
    base = TrainingConfig("nadam", BATCH, {"momentum_decay": 0.5})
    source = make_optimizer([base], stack)
    for _ in range(6):
        source.step(stack, torch.ones(1, 3, dtype=torch.float64))
    arms = [base, TrainingConfig("nadam", 4 * BATCH, {"momentum_decay": 2.0}),
            TrainingConfig("nadam", 4 * BATCH, {"momentum_decay": 2.0, "beta2": 0.996})]
    optimizer = moved(source, arms, stack.expand(3, 3).clone())
    product = optimizer.state["mu_product"].flatten().clone()
    optimizer.step(torch.zeros(3, 3, dtype=torch.float64), torch.ones(3, 3, dtype=torch.float64))
    mu = optimizer.state["mu_product"].flatten() / product
    expected = [0.9 * (1 - 0.5 * 0.96 ** (6 * 0.5 + decay)) for decay in (0.5, 2.0, 2.0)]
    np.testing.assert_allclose(mu, expected, rtol=1e-12)
