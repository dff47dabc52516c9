"""The preconditioned sharpness against whole Hessians, and training that does not notice that it is measured."""

import copy
import math

import pytest
import torch
from own_tasks import EVERY, OWN
from plain import stacked
from torch.nn.attention import SDPBackend, sdpa_kernel

from sqrtscale.diagnostics import CURVATURE, about
from sqrtscale.plan import make_plan
from sqrtscale.rules import TrainingConfig
from sqrtscale.rules.stability import stability_limit
from sqrtscale.schedules import schedule
from sqrtscale.tasks import TASKS, Batch
from sqrtscale.tasks.transformer import Transformer
from sqrtscale.training import Measured, calibrate
from sqrtscale.training.curvature import LEAST, RADIUS, Meter, _largest_ritz_value, _Product, limits, sharpness
from sqrtscale.training.population import Population
from sqrtscale.training.streams import Stream

CPU = torch.device("cpu")


class Few:
    """Random pictures of two patches, on a transformer of a few hundred weights."""

    micro = None

    def network(self, size="tiny"):
        return Transformer(width=4, layers=1, heads=1, length=2, classes=5, patch=3)

    def draw(self, count, generator):
        return Batch(torch.randn(count, 2, 3, generator=generator), torch.randint(5, (count,), generator=generator))


def trained(task, data, config, models=2, steps=20):
    """A population after some steps, and a batch for each of its models."""
    population = Population(task, [config] * models, range(models), CPU)
    streams = [Stream(data, seed, "train") for seed in range(models)]
    for _ in range(steps):
        population.step(stacked(*[stream.take(config.batch_size) for stream in streams]))
    return population, stacked(*[stream.take(64) for stream in streams])


def exact(population, batch):
    """The largest eigenvalue of every model, from the whole matrix: autograd's Hessian between the roots of what divides."""
    gradient, values = population.gradients(batch)[1], []
    optimizer = copy.deepcopy(population.optimizer)
    optimizer.step(torch.zeros_like(population.flat), gradient)
    divisor = optimizer.denominator()
    for model in range(len(population)):
        def loss(flat, model=model):
            start, kept = 0, population.views
            pieces = {}
            for name, view in kept.items():
                size = view[0].numel()
                pieces[name] = flat[start : start + size].view(1, *view.shape[1:])
                start += size
            population.views = pieces
            try:
                return losses_of_one(population, batch.map(lambda x: x[model : model + 1]))
            finally:
                population.views = kept
        with sdpa_kernel(SDPBackend.MATH):  # the others have no second derivative
            hessian = torch.autograd.functional.hessian(loss, population.flat[model].detach()).double()
        root = torch.ones(len(hessian)) if divisor is None else divisor[model].double().rsqrt()
        values.append(torch.linalg.eigvalsh(root[:, None] * hessian * root)[-1].item())
    return values


def losses_of_one(population, batch):
    network = population.network
    held = {name: x[:1].clone() for name, x in population.held.items()}
    return network.losses(network(population.views, batch.inputs, held, True), batch.targets).mean()


@pytest.mark.parametrize("config", [
    TrainingConfig("adam", 8, {"lr": 1e-2, "beta2": 0.99}), TrainingConfig("rmsprop", 8, {"lr": 1e-3, "eps": 1e-2}),
    TrainingConfig("sgd", 8, {"lr": 1e-2, "momentum": 0.9}), TrainingConfig("nadam", 8, {"lr": 1e-2}),
], ids=lambda config: config.optimizer)
def test_it_is_the_largest_eigenvalue_of_the_whole_matrix(config):
    population, batch = trained(Few(), Few(), config)
    truth = exact(population, batch)
    assert truth[0] != pytest.approx(truth[1], rel=0.05)  # each model has its own
    assert sharpness(population, batch, steps=25).tolist() == pytest.approx(truth, rel=1e-2)
    usual = sharpness(population, batch).tolist()
    assert usual == pytest.approx(truth, rel=0.05) and all(low <= top * 1.01 for low, top in zip(usual, truth, strict=True))


def test_in_a_linear_regression_it_is_that_of_the_inputs():
    """Buffers, two inputs and micro-batches: the Hessian is 2 mean(x x^T), of three weights."""
    task = EVERY["plane"]
    population, batch = trained(task, task.data(CPU), TrainingConfig("sgd", 8, {"lr": 1e-2}), models=1)
    inputs = torch.stack([*batch.cut(0).inputs, torch.ones(64)]).double()
    truth = torch.linalg.eigvalsh(2 * inputs @ inputs.T / 64)[-1].item()
    assert sharpness(population, batch).item() == pytest.approx(truth, rel=1e-4)


@pytest.mark.parametrize("name", sorted(OWN))
def test_no_trace_is_left_and_both_ends_of_a_difference_draw_the_same(name):
    """A mask of dropout or a running average that moved between them would be divided by the radius: a third at thrice it."""
    task = EVERY[name]
    population, batch = trained(task, task.data(CPU), TrainingConfig("adam", 8, {"lr": 1e-3}), models=1, steps=10)
    before = [x.clone() for x in (*population.state, *population.held.values())]
    state = torch.get_rng_state()
    first, again = sharpness(population, batch), sharpness(population, batch)
    assert torch.equal(first, again) and torch.equal(torch.get_rng_state(), state)
    assert all(map(torch.equal, before, (*population.state, *population.held.values())))
    assert sharpness(population, batch, radius=3e-3).item() == pytest.approx(first.item(), rel=0.3)


def test_before_a_first_step_only_an_optimizer_that_divides_nothing_has_one():
    batch = stacked(Stream(Few(), 0, "x").take(16))
    assert sharpness(Population(Few(), [TrainingConfig("adam", 8)], [0], CPU), batch) is None
    assert sharpness(Population(Few(), [TrainingConfig("sgd", 8)], [0], CPU), batch).item() > 0


def test_lanczos_finds_the_largest_not_the_one_farthest_from_0_and_what_is_no_number_stays_so():
    diagonal = torch.tensor([[-9.0, 1.0, 2.0, 3.0], [-9.0, 1.0, 2.0, math.nan]])
    found = _largest_ritz_value(lambda rows: rows * diagonal, torch.ones(2, 4), steps=10)
    assert found[0].item() == pytest.approx(3.0) and math.isnan(found[1])


def test_the_limit_is_that_of_the_next_steps_learning_rate():
    config = TrainingConfig("adam", 8, {"lr": 1e-3}, warmup_steps=10)
    population, _ = trained(Few(), Few(), config, steps=4)
    assert limits(population) == pytest.approx([2 * stability_limit(config)] * 2)
    population.follow(schedule("linear"), 1 / 20)
    factor = population.lr_factors(1)[0, 0]
    assert factor < 0.5 and limits(population)[0] == pytest.approx(stability_limit(config) / factor)


@pytest.fixture(scope="module")
def measured():
    """Curvature in a calibration: (arm, seed, samples) -> what was measured."""
    plan = make_plan("digits", TrainingConfig("adam", 64, {"lr": 1e-3}), 256, seeds=2, samples=25_600, warm_samples=25_600,
                     arms=[], device="cpu", evaluations=8)
    return plan, {(e.arm, e.seed, e.samples): {name: e.values[name] for name in CURVATURE if name in e.values}
                  for e in calibrate(plan) if isinstance(e, Measured)}


def test_the_first_seeds_runs_are_measured_after_a_quarter_and_at_the_end(measured):
    plan, values = measured
    quarter = plan.evaluation_points[2]
    assert {place for place, own in values.items() if own} == {
        (arm, 0, at) for arm in ("warm start", "base", "scaled") for at in (quarter, plan.samples)}
    for arm in ("base", "scaled"):
        own = values[arm, 0, plan.samples]
        assert own["sharpness_limit"] == pytest.approx(stability_limit(plan.config_of(arm)))
        assert 0 < own["sharpness"] < own["sharpness_limit"]
    assert about("sharpness").unit == "1 / lr"


def test_what_is_measured_of_a_run_does_not_depend_on_the_runs_beside_it(measured):
    plan, values = measured
    alone = make_plan("digits", plan.base, 256, seeds=1, samples=plan.samples, warm_samples=plan.warm_samples, arms=[],
                      device="cpu", evaluations=8)
    again = {(e.arm, e.seed, e.samples): e.values for e in calibrate(alone, [("base", 0)]) if isinstance(e, Measured)}
    place = "scaled", 0, plan.samples
    assert {name: again[place][name] for name in CURVATURE} == values[place]


def test_a_short_run_is_not_measured_and_a_batch_is_made_of_whole_micro_batches():
    data = TASKS["digits"].data(CPU)
    assert Meter(data, (0, 500, 1000), 0, None).size < LEAST
    size = Meter(data, (0, 10_000, 40_000), 0, 48).size
    assert size % 48 == 0 and size >= LEAST


def test_weights_that_no_step_has_touched_do_not_outshine_the_others():
    """Rare bytes: their v is 0 and eps alone divides them, until the first step that meets them. As if they were left out."""
    task = EVERY["pydoc"]
    population, batch = trained(task, task.data(CPU), TrainingConfig("adam", 8, {"lr": 1e-3, "beta2": 0.99}), models=1, steps=30)
    touched = population.optimizer.state["exp_avg_sq"] > 0
    gradient, divided = population.gradients(batch)[1], population.optimizer.denominator().rsqrt()
    assert ((gradient != 0) & ~touched).any()  # the batch has bytes that training has not met
    left_out, by_eps = (_largest_ritz_value(_Product(population, batch, root, RADIUS), root * gradient, steps=7).item()
                        for root in (torch.where(touched, divided, 0.0), divided))
    assert by_eps > 10 * left_out
    assert sharpness(population, batch).item() == pytest.approx(left_out, rel=0.1)
