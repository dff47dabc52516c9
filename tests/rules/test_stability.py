"""The stability limit against the recursions themselves, and the largest kappa that stays under it."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sqrtscale.rules import FAMILIES, FieldError, TrainingConfig, scale
from sqrtscale.rules.stability import beta1_floor, largest_stable_kappa, moved_sharpness, sentence, stability_limit

MEMORIES = [0.0, 0.5, 0.9, 0.99]


def grows(step, curvature):
    """Whether a weight that starts at 1 is farther from 0 after many steps; step: weight, gradient over P -> weight."""
    weight = 1.0
    for _ in range(4000):
        weight = step(weight, curvature * weight)
        if abs(weight) > 1e6:
            return True
    return abs(weight) > 1


def average(lr, beta, look_ahead=False):
    held = 0.0

    def step(weight, gradient):
        nonlocal held
        held = beta * held + (1 - beta) * gradient
        return weight - lr * (beta * held + (1 - beta) * gradient if look_ahead else held)
    return step


def buffer(lr, mu):
    held = 0.0

    def step(weight, gradient):
        nonlocal held
        held = mu * held + gradient
        return weight - lr * held
    return step


@pytest.mark.parametrize("memory", MEMORIES)
@pytest.mark.parametrize("optimizer, fields, recursion", [
    *((name, "beta1", average) for name in ("adam", "adamw", "amsgrad", "radam", "keras_adamw", "optax_adam", "composer_adamw")),
    ("nadam", "beta1", lambda lr, beta: average(lr, beta, look_ahead=True)),
    *((name, "momentum", buffer) for name in ("rmsprop", "rmsprop_centered", "keras_rmsprop", "timm_rmsproptf", "sgd")),
])
def test_steps_grow_above_the_limit_and_not_below(optimizer, fields, recursion, memory):
    lr = 0.03
    config = TrainingConfig(optimizer, 8, {"lr": lr, **({fields: memory} if fields in FAMILIES[optimizer].fields else {})})
    limit = stability_limit(config)
    kept = memory if fields in FAMILIES[optimizer].fields else 0.0
    assert grows(recursion(lr, kept), 1.01 * limit)
    assert not grows(recursion(lr, kept), 0.99 * limit)


FROZEN = math.nextafter(1.0, 0.0)  # a decay with which v stays what it is


@pytest.mark.parametrize("optimizer, make, values", [
    ("adam", torch.optim.Adam, {"beta1": 0.9}), ("adamw", torch.optim.AdamW, {"beta1": 0.5, "weight_decay": 0.0}),
    ("nadam", torch.optim.NAdam, {"beta1": 0.9}), ("rmsprop", torch.optim.RMSprop, {"momentum": 0.9}),
    ("rmsprop", torch.optim.RMSprop, {}), ("sgd", torch.optim.SGD, {"momentum": 0.5}),
])
def test_torch_grows_above_the_limit_in_the_metric_of_what_divides_its_gradient_and_not_below(optimizer, make, values):
    config = TrainingConfig(optimizer, 8, {"lr": 0.03, **values})
    given = {name: value for name, value in config.hyperparameters.items() if name not in ("beta1", "beta2", "alpha")}
    given |= {"betas": (config["beta1"], FROZEN)} if "beta1" in config.hyperparameters else {}
    given |= {"alpha": FROZEN} if "alpha" in config.hyperparameters else {}
    divisor = 1.0 if optimizer == "sgd" else 0.25 + config["eps"]
    for share, goes_up in ((0.99, False), (1.01, True)):
        weight = torch.ones((), dtype=torch.float64, requires_grad=True)
        steps = make([weight], **given)
        curvature = share * stability_limit(config) * divisor
        weight.grad = torch.zeros_like(weight)
        steps.step()
        state = steps.state[weight]
        for name in state.keys() & {"exp_avg_sq", "square_avg"}:
            state[name].fill_(0.25**2)
        if "step" in state:
            state["step"].fill_(1e18)  # every correction of the start is over
        if "mu_product" in state:
            state["mu_product"].zero_()
        for _ in range(2000):
            weight.grad = curvature * weight.detach()
            steps.step()
            if abs(weight.item()) > 1e3:
                break
        assert (abs(weight.item()) > 1) == goes_up


def test_every_family_has_its_recursion_here():
    """A family with another way to hold gradients needs a limit of its own."""
    for name, about in FAMILIES.items():
        assert {"beta1", "momentum"} & set(about.fields), name


def test_the_published_numbers():
    assert stability_limit(TrainingConfig("adam", 8, {"lr": 1e-3, "beta1": 0.9})) == pytest.approx(38_000)  # Cohen et al. 2022
    assert stability_limit(TrainingConfig("adam", 8, {"lr": 2.78e-3, "beta1": 0.6})) == pytest.approx(8 / 2.78e-3)
    assert stability_limit(TrainingConfig("rmsprop", 8, {"lr": 1e-3})) == pytest.approx(2000)  # gradient descent's 2 / lr
    assert stability_limit(TrainingConfig("sgd", 8, {"lr": 0.1, "momentum": 0.9})) == pytest.approx(38)
    assert stability_limit(TrainingConfig("adam", 8), 0.5) == 2 * stability_limit(TrainingConfig("adam", 8))
    assert stability_limit(TrainingConfig("adam", 8), 0.0) == math.inf  # at the end of a schedule


@given(lr=st.floats(1e-6, 1.0), sharpness=st.floats(1e-2, 1e8))
def test_the_floor_of_beta1_is_where_the_limit_meets_the_sharpness(lr, sharpness):
    floor = beta1_floor(TrainingConfig("adam", 8, {"lr": lr}), sharpness)
    at = stability_limit(TrainingConfig("adam", 8, {"lr": lr, "beta1": min(floor, 1 - 1e-12)}))
    assert at == pytest.approx(sharpness, rel=1e-3) if floor else at >= sharpness * (1 - 1e-9)


@given(noise=st.one_of(st.none(), st.floats(1, 1e6)), target=st.integers(1, 10**5))
def test_a_step_goes_kappa_times_as_far_whatever_dominates(noise, target):
    """lr over the preconditioner, by which a step and the sharpness times lr grow, keeps the drift per sample."""
    base = TrainingConfig("adam", 100, {"lr": 1e-3, "eps": 0.0})
    scaled = scale(base, target, "half-life", noise_scale=noise)
    assert scaled.config["lr"] * moved_sharpness(base, target, 500.0, noise) == pytest.approx(scaled.kappa * 1e-3 * 500)


def test_the_metric_of_sgd_does_not_move_and_that_of_a_centered_rmsprop_by_its_noise():
    assert moved_sharpness(TrainingConfig("sgd", 8), 64, 10.0) == 10.0
    assert moved_sharpness(TrainingConfig("rmsprop_centered", 8), 32, 10.0, 1.0) == 20.0


@pytest.mark.parametrize("form", ["linear", "half-life"])
@pytest.mark.parametrize("noise", [None, 567.0])
@pytest.mark.parametrize("config", [
    TrainingConfig("adam", 256, {"lr": 1e-3}), TrainingConfig("rmsprop", 8, {"lr": 1e-3, "momentum": 0.9}),
    TrainingConfig("sgd", 16, {"lr": 0.1, "momentum": 0.9}), TrainingConfig("nadam", 32, {"lr": 1e-3}),
])
def test_the_largest_kappa_is_the_last_one_that_bears_the_curvature(config, noise, form):
    sharpness = stability_limit(config) / 20
    largest = largest_stable_kappa(config, sharpness, form, noise_scale=noise)

    def share(batch):
        scaled = scale(config, batch, form, noise_scale=noise).config
        return moved_sharpness(config, batch, sharpness, noise) / stability_limit(scaled)
    batch = round(largest * config.batch_size)
    assert largest > 1
    assert share(batch) <= 1
    beyond = scale(config, batch + 1, form, noise_scale=noise)
    assert not beyond.complete or share(batch + 1) > 1


def test_worked_out_by_hand():
    # RMSprop, 2 / lr = 2,000: lr' S' = kappa lr S, so the limit is reached at 20 times the batch, whatever dominates.
    config = TrainingConfig("rmsprop", 50, {"lr": 1e-3, "momentum": 0.0})
    assert largest_stable_kappa(config, 100.0) == pytest.approx(20, abs=0.03)
    assert largest_stable_kappa(config, 100.0, noise_scale=500.0) == pytest.approx(20, abs=0.03)
    assert largest_stable_kappa(config, 4000.0) == pytest.approx(0.5, abs=0.03)  # the base itself is beyond
    assert largest_stable_kappa(config, 1e12) == 0
    # Adam, beta1 0.9 in the linear form: 38 x 1e-3 S = 2 (2 - 0.1 kappa) / (0.1 kappa), kappa^2 = 4 - 0.2 kappa over 0.1 lr S.
    assert largest_stable_kappa(TrainingConfig("adam", 1000, {"lr": 1e-3}), 1900.0) == pytest.approx(4.0917, abs=2e-3)


@pytest.mark.parametrize("sharpness", [0, -1.0, math.nan, math.inf, "many"])
def test_what_is_no_sharpness_is_said(sharpness):
    with pytest.raises(FieldError, match="is no sharpness"):
        largest_stable_kappa(TrainingConfig("adam", 8), sharpness)


def test_where_the_decay_form_ends_before_the_curvature_does_no_kappa_is_named():
    config = TrainingConfig("adam", 256, {"lr": 1e-3}, total_steps=100, warmup_steps=10)
    assert largest_stable_kappa(config, 1.0) == math.inf  # 38,000 at the base, and 1 - kappa (1 - beta1) ends at kappa = 10
    assert "at every kappa that the form has numbers for" in sentence(config, 1.0, math.inf)
    assert largest_stable_kappa(config, 10_000.0) < 10
