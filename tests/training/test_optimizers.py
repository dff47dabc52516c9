"""The stacked optimizers against torch.optim, step by step; each test takes all of the catalogue, or all that can do a thing."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch_optim import DIVIDES, counting_in, torch_optimizer

from sqrtscale.rules import FAMILIES, TrainingConfig
from sqrtscale.rules.kind import DecayRate
from sqrtscale.training.optimizers import TRAINED, make_optimizer, optimizer_class

SETS = {  # beside the defaults of the family
    "adam": [{"lr": 3e-2, "beta1": 0.0, "beta2": 0.2, "eps": 0.5, "weight_decay": 0.3},
             {"lr": 1e-1, "beta1": 0.6, "beta2": 0.5, "eps": 1e-3, "weight_decay": 0.1}],
    "adamw": [{"lr": 3e-2, "beta1": 0.2, "beta2": 0.95, "eps": 1e-2, "weight_decay": 0.7}],
    "amsgrad": [{"lr": 1e-1, "beta1": 0.6, "beta2": 0.5, "eps": 1e-3, "weight_decay": 0.1}],
    "nadam": [{"lr": 1e-1, "beta1": 0.0, "beta2": 0.5, "momentum_decay": 0.0},
              {"lr": 1e-2, "beta1": 0.95, "beta2": 0.98, "eps": 1e-3, "weight_decay": 0.1, "momentum_decay": 0.3}],
    "radam": [{"lr": 1e-2, "beta1": 0.6, "beta2": 0.5, "eps": 1e-3, "weight_decay": 0.1},  # never divides
              {"lr": 1e-2, "beta1": 0.9, "beta2": 0.8, "eps": 1e-3, "weight_decay": 0.1}],
    "rmsprop": [{"lr": 1e-2, "alpha": 0.5, "eps": 0.1, "weight_decay": 0.2, "momentum": 0.9}],
    "rmsprop_centered": [{"lr": 1e-2, "alpha": 0.5, "eps": 0.1, "weight_decay": 0.2, "momentum": 0.9}],
    "sgd": [{"lr": 1e-2, "momentum": 0.9, "weight_decay": 0.2}, {"lr": 1e-2, "momentum": 0.5}],
}


def follows_torch(configs, gradients, start, tolerance):
    """Steps of a stack and of one torch.optim optimizer a model, along gradients [steps, M, P]: weights and state agree."""
    stack = start.clone()
    optimizer = make_optimizer(configs, stack)
    weights = [torch.nn.Parameter(row.clone()) for row in start]
    with counting_in(start.dtype):
        references = [torch_optimizer(config, [own]) for config, own in zip(configs, weights, strict=True)]
        for now in gradients:
            optimizer.step(stack, now.clone())
            for i, (own, reference) in enumerate(zip(weights, references, strict=True)):
                own.grad = now[i].clone()
                reference.step()
                np.testing.assert_allclose(stack[i], own.detach(), rtol=tolerance, atol=tolerance, err_msg=str(configs[i]))
    for i, (own, reference) in enumerate(zip(weights, references, strict=True)):
        state = dict(reference.state[own])
        assert float(state.pop("step", len(gradients))) == optimizer.steps[i].item() == len(gradients)
        for name, value in state.items():
            if value is not None:
                np.testing.assert_allclose(optimizer.state[name][i], value.view(-1), rtol=tolerance, atol=tolerance, err_msg=name)


@pytest.mark.parametrize("family", TRAINED)
@pytest.mark.parametrize("dtype, tolerance", [(torch.float64, 1e-12), (torch.float32, 2e-5)])
def test_each_model_of_a_stack_follows_torch_optim(family, dtype, tolerance):
    configs = [TrainingConfig(family, 8, values) for values in ({}, *SETS.get(family, []))]
    generator = torch.Generator().manual_seed(1)
    start = torch.randn(len(configs), 50, generator=generator, dtype=dtype)
    sizes = 10.0 ** (torch.arange(60, dtype=dtype) % 3 - 1).view(-1, 1, 1)
    follows_torch(configs, torch.randn(60, len(configs), 50, generator=generator, dtype=dtype) * sizes, start, tolerance)


@pytest.mark.parametrize("family", DIVIDES)
def test_a_gradient_too_large_to_be_squared_and_an_epsilon_at_the_least_number_do_as_in_torch_optim(family):
    """(1 - beta2) g^2 can be held, or becomes infinite for one set; elsewhere zeros are divided by epsilon alone."""
    sets = [{}, {"beta2": 0.5, "alpha": 0.5}, {"eps": 2e-38, "weight_decay": 0.0}]
    configs = [TrainingConfig(family, 8, {name: value for name, value in values.items() if name in FAMILIES[family].fields})
               for values in sets]
    gradients = torch.randn(12, len(sets), 6, generator=torch.Generator().manual_seed(5))
    gradients[4, :, 0], gradients[:, :, 1] = 3e19, 0.0
    torch.set_flush_denormal(True)  # as trainings do
    try:
        follows_torch(configs, gradients, torch.ones(len(sets), 6), 2e-5)
    finally:
        torch.set_flush_denormal(False)


def hyperparameters(family):
    """Values of every field of a family; where a difference is divided by, decays away from 0, at which only rounding is left."""
    least = 0.05 if any(piece.signal for piece in optimizer_class(family).pieces) else 0.0

    def values(name, kind):
        if isinstance(kind, DecayRate):
            return st.floats(least, 0.99)
        return st.floats(1e-4, 0.3) if kind.positive else st.floats(1e-4 if name == "eps" else 0.0, 0.5)

    return st.fixed_dictionaries({name: values(name, field.kind) for name, field in FAMILIES[family].fields.items()})


@pytest.mark.parametrize("family", TRAINED)
@settings(deadline=None, max_examples=30)
@given(st.data())
def test_models_with_any_hyperparameters_are_as_many_optimizers_of_torch(family, data):
    sets = data.draw(st.lists(hyperparameters(family), min_size=1, max_size=4))
    generator = torch.Generator().manual_seed(data.draw(st.integers(0, 10**6)))
    start, gradients = (torch.randn(*shape, len(sets), 5, generator=generator, dtype=torch.float64) for shape in ((), (12,)))
    follows_torch([TrainingConfig(family, 8, values) for values in sets], gradients, start, 1e-9)


@pytest.mark.parametrize("family", TRAINED)
def test_learning_rate_factor_is_a_learning_rate(family):
    values = {"weight_decay": 0.5}
    halved, half = torch.ones(2, 1, 5, dtype=torch.float64)
    factor, gradients = torch.tensor([[0.5]], dtype=torch.float64), torch.arange(5, dtype=torch.float64).view(1, 5)
    make_optimizer([TrainingConfig(family, 8, values | {"lr": 1e-2})], halved).step(halved, gradients, factor)
    make_optimizer([TrainingConfig(family, 8, values | {"lr": 5e-3})], half).step(half, gradients)
    np.testing.assert_allclose(halved, half, rtol=1e-14)


@pytest.mark.parametrize("family", TRAINED)
def test_a_step_waits_for_no_number_and_stays_where_it_is(family):
    """As a replayed CUDA graph needs it: on a device without values no number can be had, and no branch be taken."""
    configs = [TrainingConfig(family, 8), TrainingConfig(family, 8, {"lr": 0.5})]
    parameters = torch.zeros(2, 5, device="meta")
    make_optimizer(configs, parameters).step(parameters, torch.zeros(2, 5, device="meta"), torch.ones(2, 1, device="meta"))
    parameters = torch.zeros(2, 5)
    optimizer = make_optimizer(configs, parameters)
    places = [value.data_ptr() for value in (optimizer.steps, *optimizer.state.values())]
    optimizer.step(parameters, torch.ones(2, 5))
    assert [value.data_ptr() for value in (optimizer.steps, *optimizer.state.values())] == places


@pytest.mark.parametrize("family", TRAINED)
def test_dropping_models_leaves_the_others_as_they_were(family):
    configs = [TrainingConfig(family, 8, {"lr": lr}) for lr in (1e-3, 1e-2, 1e-1)]
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


@pytest.mark.parametrize("family", TRAINED)
def test_what_a_gradient_is_divided_by_is_known_after_a_step_where_it_is_divided(family):
    optimizer = make_optimizer([TrainingConfig(family, 8)], parameters := torch.zeros(1, 6))
    assert optimizer.denominator() is None and optimizer.second_moment_hat() is None
    optimizer.step(parameters, torch.randn(1, 6, generator=torch.Generator().manual_seed(3)))
    assert (optimizer.denominator() is not None) == (optimizer.second_moment_hat() is not None) == (family in DIVIDES)


@pytest.mark.parametrize("family", DIVIDES)
def test_a_step_is_as_long_as_its_denominator_says(family):
    """Without momentum, twice the denominator is half the step, up to one factor for all coordinates."""
    values = {"beta1": 0.0, "momentum": 0.0, "weight_decay": 0.0, "eps": 0.1}
    config = TrainingConfig(family, 8, {name: value for name, value in values.items() if name in FAMILIES[family].fields})
    parameters = torch.zeros(1, 6, dtype=torch.float64)
    optimizer, generator = make_optimizer([config], parameters), torch.Generator().manual_seed(3)
    for _ in range(20):
        before = parameters.clone()
        gradients = torch.randn(1, 6, generator=generator, dtype=torch.float64)
        optimizer.step(parameters, gradients)
    factor = (parameters - before) / (gradients / optimizer.denominator())
    np.testing.assert_allclose(factor, factor[0, 0].item(), rtol=1e-9)


def test_the_catalogue_is_of_families_in_torchs_convention_and_a_kernel_belongs_to_one_class_alone():
    assert all(FAMILIES[name].library == "pytorch" for name in TRAINED)
    kernels = [optimizer_class(name).kernel for name in TRAINED if optimizer_class(name).kernel]
    assert len(kernels) == len(set(kernels))
    for name in TRAINED:
        class Relative(optimizer_class(name)):
            pass

        assert Relative.kernel is None


def test_the_share_of_epsilon_is_that_of_the_sum_it_is_added_in():
    """RAdam adds it to sqrt(v) before the bias is corrected, and divides by nothing in its first steps."""
    gradient, eps, beta2 = 0.3, 0.05, 0.9
    for family, by_hand in (("adam", lambda v, k: eps / ((v / (1 - beta2**k)) ** 0.5 + eps)),
                            ("radam", lambda v, k: eps / (v**0.5 + eps) if k > 5 else 0.0)):
        config = TrainingConfig(family, 8, {"lr": 1e-3, "beta2": beta2, "eps": eps})
        parameters = torch.zeros(1, 1, dtype=torch.float64)
        optimizer, v = make_optimizer([config], parameters), 0.0
        assert optimizer.eps_share() is None
        for k in range(1, 30):
            optimizer.step(parameters, torch.full((1, 1), gradient, dtype=torch.float64))
            v = beta2 * v + (1 - beta2) * gradient**2
            if k <= 3 or k > 10:  # in between RAdam begins to divide
                assert optimizer.eps_share().item() == pytest.approx(by_hand(v, k), rel=1e-12)
