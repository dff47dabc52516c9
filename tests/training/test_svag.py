"""SVAG: the gradient, the hyperparameters and the branch that Malladi et al. 2022 and Li, Malladi, Arora 2021 define."""

import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from plain import stacked

from sqrtscale.arms import svag_config, svag_weights
from sqrtscale.plan import make_plan
from sqrtscale.rules import TrainingConfig
from sqrtscale.tasks import Batch, Network, Parameter, task
from sqrtscale.training import Measured, Progress, calibrate
from sqrtscale.training.population import Population
from sqrtscale.training.streams import Stream

CPU = torch.device("cpu")
BASE = {
    "adam": TrainingConfig("adam", 8, {"lr": 1e-3, "beta1": 0.9, "beta2": 0.99, "eps": 1e-6, "weight_decay": 0.01}, 1000, 100),
    "adamw": TrainingConfig("adamw", 8, {"lr": 1e-3, "beta1": 0.9, "beta2": 0.99, "eps": 1e-6, "weight_decay": 0.1}),
    "rmsprop": TrainingConfig("rmsprop", 8, {"lr": 1e-3, "alpha": 0.98, "eps": 1e-6, "momentum": 0.5}),
}


@given(ell=st.integers(1, 10_000))
def test_weights_keep_the_mean_and_give_l_squared_times_the_variance(ell):
    r1, r2 = svag_weights(ell)
    assert r1 + r2 == pytest.approx(1, abs=1e-9 * ell)
    assert r1**2 + r2**2 == pytest.approx(ell**2, rel=1e-12)
    assert r1 >= 1 and r2 <= 0


def test_ordinary_steps_have_one_weight_and_l_1_ignores_the_second_batch():
    assert svag_weights(0) == (1.0,) and svag_weights(1) == (1.0, 0.0)


@pytest.mark.parametrize("ell", [1, 2, 4, 7])
def test_hyperparameters_are_the_closed_form(ell):
    adam, adamw, rmsprop = (svag_config(BASE[name], ell) for name in ("adam", "adamw", "rmsprop"))
    for found in (adam, adamw, rmsprop):
        assert found.batch_size == 8
        assert found["lr"] == pytest.approx(1e-3 / ell) and found["eps"] == pytest.approx(1e-6 * ell)
    for found in (adam, adamw):
        assert found["beta1"] == pytest.approx(1 - 0.1 / ell**2) and found["beta2"] == pytest.approx(1 - 0.01 / ell**2)
    assert rmsprop["alpha"] == pytest.approx(1 - 0.02 / ell**2) and rmsprop["momentum"] == 0.5
    assert (adam.total_steps, adam.warmup_steps) == (1000 * ell**2, 100 * ell**2)
    # Decay per time: l^2 steps shrink by (lr / l) lambda' each, one step of the base by lr lambda; L2 is part of the gradient.
    assert ell**2 * adamw["lr"] * adamw["weight_decay"] == pytest.approx(1e-3 * 0.1)
    assert adam["weight_decay"] == 0.01


def test_a_momentum_that_the_plan_scales_keeps_its_time_and_its_rate():
    found = svag_config(BASE["rmsprop"], 2, "scaled")
    assert found["momentum"] == pytest.approx(1 - 0.5 / 4)
    assert found["lr"] / (1 - found["momentum"]) == pytest.approx(1e-3 / (1 - 0.5) / 2)  # the rate that moves by 1 / l


def test_hyperparameters_keep_the_constants_of_the_sde():
    for ell in (2, 4):
        found = svag_config(BASE["adam"], ell)
        sigma = ell  # in units of the base's
        assert sigma * found["lr"] == pytest.approx(1e-3)  # sigma0
        assert found["eps"] * found["lr"] == pytest.approx(1e-9)  # eps0
        assert (1 - found["beta2"]) / found["lr"] ** 2 == pytest.approx(0.01 / 1e-6)  # c2


def population(ell, models=1, name="adam", about="digits"):
    return Population(task(about), [svag_config(BASE[name], ell or 1)] * models, range(models), CPU, ell)


@pytest.mark.parametrize("ell", [1, 2, 4])
def test_the_gradient_is_r1_g1_plus_r2_g2(ell):
    about = task("digits")
    one, stream = population(ell), Stream(about.data(CPU), 0, "x")
    halves = [stream.take(8) for _ in range(2)]
    apart = [one.gradients(Batch(half.inputs[None], half.targets[None])) for half in halves]
    whole = stacked(Batch.joined(halves, torch.cat))
    loss, found = one.gradients(whole, one.weights)
    root = math.sqrt(2 * ell**2 - 1)
    expected = (1 + root) / 2 * apart[0][1] + (1 - root) / 2 * apart[1][1]
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)
    assert loss.item() == pytest.approx((apart[0][0] + apart[1][0]).item() / 2, rel=1e-5)  # to see a divergence: a plain mean


class _Linear(Network):
    """A network whose logits are (theta . x, 0): its loss has a gradient with known mean and covariance."""

    length = width = 1

    def parameters(self):
        return {"theta": Parameter((3,))}

    def initial(self, seed):
        return torch.zeros(3)

    def __call__(self, p, inputs, buffers, training):
        first = (inputs * p["theta"].unsqueeze(1)).sum(-1)
        return torch.stack([first, torch.zeros_like(first)], -1)

    def losses(self, logits, targets):
        return torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none").view(targets.shape)


class _Noisy:
    """A task of two classes whose gradient at theta = 0 is -x / 2: noise that is known exactly."""

    micro = None

    def network(self, size="tiny"):
        return _Linear()


@pytest.mark.parametrize("ell", [1, 2, 4])
def test_the_gradient_has_the_mean_and_l_squared_times_the_covariance(ell):
    mean, root = np.array([0.3, -0.2, 0.1]), np.array([[1.0, 0, 0], [0.5, 0.8, 0], [-0.3, 0.2, 0.6]])
    models, batch = 20_000, 4
    one = Population(_Noisy(), [TrainingConfig("adam", batch)] * models, [0] * models, CPU, ell)
    rng = np.random.default_rng(ell)
    x = -2 * (mean + rng.normal(size=(models, 2 * batch, 3)) @ root.T)  # so a sample's gradient has that mean and covariance
    _, found = one.gradients(Batch(torch.tensor(x, dtype=torch.float32), torch.zeros(models, 2 * batch, dtype=torch.long)),
                             one.weights)
    found = found.double().numpy()
    covariance = ell**2 * root @ root.T / batch
    errors = np.sqrt(np.diag(covariance) / models)
    assert (abs(found.mean(0) - mean) < 5 * errors).all()
    # Entry (i, j) of a normal sample's covariance has variance (C_ii C_jj + C_ij^2) / n.
    spread = np.sqrt((np.outer(np.diag(covariance), np.diag(covariance)) + covariance**2) / models)
    assert (abs(np.cov(found.T) - covariance) < 5 * spread).all()


@pytest.mark.parametrize("name", ["adam", "adamw", "rmsprop"])
def test_l_1_takes_exactly_the_steps_of_the_base_on_the_first_of_each_two_batches(name):
    stream = Stream(task("digits").data(CPU), 0, "x")
    svag, plain = population(1, name=name), Population(task("digits"), [BASE[name]], [0], CPU)
    for _ in range(5):
        both = stream.take(16)
        svag.step(Batch(both.inputs[None], both.targets[None]))
        plain.step(Batch(both.inputs[None, :8], both.targets[None, :8]))
    # Sums of float32 in another order; Adam divides by sqrt(v) + 1e-6, which widens that where a gradient is nearly 0.
    torch.testing.assert_close(svag.flat, plain.flat, rtol=1e-5, atol=0.005 * BASE[name]["lr"])


@pytest.mark.parametrize("name, moment", [("adam", "exp_avg_sq"), ("adamw", "exp_avg_sq"), ("rmsprop", "square_avg")])
def test_branching_moves_the_second_moment_by_l_squared_bias_corrected_or_not(name, moment):
    parent, stream = Population(task("digits"), [BASE[name]], [0], CPU), Stream(task("digits").data(CPU), 0, "x")
    for _ in range(4):
        batch = stream.take(8)
        parent.step(Batch(batch.inputs[None], batch.targets[None]))
    child = population(4, models=2, name=name)
    child.branch_from(parent, 1 / 16)
    for row in range(2):
        assert torch.equal(child.flat[row], parent.flat[0])
        torch.testing.assert_close(child.optimizer.state[moment][row], 16 * parent.optimizer.state[moment][0])
    if name == "rmsprop":  # corrects no bias
        return
    hat = child.optimizer.second_moment_hat()
    torch.testing.assert_close(hat, 16 * parent.optimizer.second_moment_hat().expand(2, -1), rtol=1e-5, atol=0)
    assert torch.equal(child.optimizer.state["exp_avg"][1], parent.optimizer.state["exp_avg"][0])


@pytest.fixture(scope="module")
def trained():
    """The events of one warm calibration with the SVAG arms."""
    base = TrainingConfig("adam", 8, {"lr": 5e-4, "beta1": 0.9, "beta2": 0.99})
    plan = make_plan("digits", base, 16, seeds=2, samples=800, warm_samples=1600, device="cpu",
                     arms=["base", "scaled", "svag 1", "svag 2", "svag 4"])
    return plan, list(calibrate(plan))


def test_curves_of_svag_are_on_the_axis_of_the_base(trained):
    plan, events = trained
    for arm in ("base", "svag 1", "svag 2", "svag 4"):
        for seed in (0, 1):
            found = [e.samples for e in events if isinstance(e, Measured) and (e.arm, e.seed) == (arm, seed)]
            assert tuple(found) == plan.evaluation_points
    assert [plan.arm(f"svag {ell}").samples_per_step for ell in (1, 2, 4)] == [8, 2, Fraction(1, 2)]


def test_progress_counts_what_is_drawn(trained):
    plan, events = trained
    last = [e for e in events if isinstance(e, Progress)][-1]
    assert last.done == last.total == plan.work == 1600 + 800 * 2 * (1 + 1 + 2 * (1 + 4 + 16))


def test_in_the_same_time_second_moments_settle_at_l_squared_times_those_of_the_base(trained):
    """After one time constant of v, 1 / (1 - beta2) = 100 base steps = 800 samples."""
    _, events = trained

    def ends(arm):
        return np.mean([e.values["second_moment"] for e in events
                        if isinstance(e, Measured) and e.arm == arm and e.samples == 800])

    for ell in (1, 2, 4):
        assert ends(f"svag {ell}") / ends("base") == pytest.approx(ell**2, rel=0.2)


def test_l_1_is_the_base_in_distribution():
    """Many short runs of both from one start: the same mean and spread of the weights' distance, within their errors."""
    base, models = TrainingConfig("adam", 4, {"lr": 1e-3}), 48
    distances = {}
    for ell in (0, 1):
        one = Population(task("digits"), [base] * models, [0] * models, CPU, ell)
        streams = [Stream(task("digits").data(CPU), seed, f"l={ell} of svag") for seed in range(models)]
        start = one.flat.clone()
        for _ in range(10):
            taken = [stream.take(one.drawn) for stream in streams]
            one.step(Batch(torch.stack([x.inputs for x in taken]), torch.stack([x.targets for x in taken])))
        distances[ell] = (one.flat - start).norm(dim=1).numpy()
    a, b = distances[0], distances[1]
    error = math.hypot(a.std(ddof=1), b.std(ddof=1)) / math.sqrt(models)
    assert abs(a.mean() - b.mean()) < 4 * error
    assert 0.5 < a.std(ddof=1) / b.std(ddof=1) < 2


def test_the_estimate_counts_every_step_of_svag_and_of_the_frontier(monkeypatch):
    """With a clock that says one second for each step, sample, measurement and micro-batch, seconds are their numbers."""
    from sqrtscale.training import estimate

    monkeypatch.setattr(estimate, "_time", lambda work, device, steps=1: 1.0)
    plan = make_plan("digits", BASE["adam"], 32, targets=[16, 4], arms=["svag 1", "svag 4"], seeds=1, samples=640,
                     warm_samples=800, device="cpu")
    points, probe = len(plan.evaluation_points), 5 * 8  # the regime: five times, the fewest micro-batches each
    steps = {name: seconds - points - probe for name, seconds in estimate.estimate(plan)["arms"].items()}
    assert steps == {"warm start": 800 + 800 / 8 + len(plan.warm_points) - points, "base": 640 + 80, "svag 1": 2 * 640 + 80,
                     "svag 4": 16 * (2 * 640 + 80), "scaled 1/2x": 640 + 160, "scaled 2x": 640 + 40, "scaled": 640 + 20}
