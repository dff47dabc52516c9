"""The measured regime against exact sums over samples, clipping against torch, and training that does not notice."""

import math

import numpy as np
import pandas as pd
import pytest
import torch
from plain import losses, stacked
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode

from sqrtscale.diagnostics import REGIME, TAILS, about
from sqrtscale.evidence.noise import ratio_of_means, second_moment_ratio
from sqrtscale.plan import make_plan, trainable
from sqrtscale.rules import TrainingConfig, scale
from sqrtscale.tasks import Batch, task
from sqrtscale.tasks.transformer import Parameter, Transformer
from sqrtscale.training import Measured, calibrate, regime
from sqrtscale.training.chance import Chance
from sqrtscale.training.optimizers import make_optimizer
from sqrtscale.training.population import Population
from sqrtscale.training.streams import Stream

CPU = torch.device("cpu")
BASE = TrainingConfig("adam", 8, {"lr": 1e-3})


class Few:
    """A task with 40 samples in all, on a network of a few hundred weights, so that every moment has an exact value."""

    micro = None

    def __init__(self):
        self.metrics = {}
        generator = torch.Generator().manual_seed(7)
        self.inputs, self.targets = torch.randn(40, 2, 3, generator=generator), torch.randint(5, (40,), generator=generator)

    def network(self, size="tiny"):
        return Transformer(width=4, layers=1, heads=1, length=2, classes=5, patch=3)

    def draw(self, count, generator):
        chosen = torch.randint(40, (count,), generator=generator)
        return Batch(self.inputs[chosen], self.targets[chosen])


@pytest.fixture
def few():
    return Few()


def exact(about, population, denominator):
    """|G|^2 and tr(Sigma) of the first model, one sample after the other through torch.func."""
    names = list(population.views)
    weights = {name: population.views[name].detach() for name in names}

    def loss(parameters, x, y):
        logits = population.network(parameters, x.view(1, 1, *x.shape))
        return torch.nn.functional.cross_entropy(logits.view(1, -1), y.view(1))

    gradient = torch.func.grad(loss)
    each = [gradient(weights, x, y) for x, y in zip(about.inputs, about.targets, strict=True)]
    rows = torch.stack([torch.cat([one[name].flatten() for name in names]) for one in each]).double() / denominator
    return rows.mean(0).square().sum().item(), rows.var(0, correction=0).sum().item()


def noise_of(population, stream, size, count, times):
    """So many measurements of the first model, each of ``count`` micro-batches."""
    batches = ([stream.take(size).map(lambda x: x[None]) for _ in range(count)] for _ in range(times))
    return [regime.gradient_noise(population, [population.gradients(batch)[1] for batch in several], size) for several in batches]


@pytest.mark.parametrize("kind, optimizer", [("", "adam"), ("_pre", "adam"), ("_pre", "rmsprop")])
def test_signal_and_noise_agree_with_exact_sums_over_samples(few, kind, optimizer):
    population = Population(few, [TrainingConfig(optimizer, 8, {"eps": 1e-3})], [0], CPU)
    stream = Stream(few, 0, "train")
    for _ in range(20):
        batch = stream.take(8)
        population.step(Batch(batch.inputs[None], batch.targets[None]))
    found = noise_of(population, Stream(few, 1, "x"), size=16, count=8, times=300)
    signal, noise = ([float(one[name + kind]) for one in found] for name in ("signal", "noise"))
    denominator = population.optimizer.denominator()[0].double() if kind else 1.0
    true_signal, true_noise = exact(few, population, denominator)
    for values, truth in ((signal, true_signal), (noise, true_noise)):
        assert abs(np.mean(values) - truth) < 3.5 * np.std(values) / math.sqrt(len(values))
        assert np.std(values) / math.sqrt(len(values)) < 0.1 * truth  # a test that could not fail would be wider
    ratios = [ratio_of_means(noise[i : i + 15], signal[i : i + 15]) for i in range(0, 300, 15)]
    # 95 % intervals: 16 or fewer of 20 would hold the truth by chance in 0.3 % of the cases.
    assert sum(one.low <= true_noise / true_signal <= one.high for one in ratios) >= 17


def test_the_noise_scale_does_not_depend_on_the_micro_batch(few):
    """Unbiased at any size: half the micro-batch, the same answer; a plain |mean gradient|^2 would not give it."""
    population = Population(few, [BASE], [0], CPU)
    truth = exact(few, population, 1.0)
    for size in (2, 32):
        found = noise_of(population, Stream(few, 1, "x"), size, count=6, times=100)
        for name, value in zip(("signal", "noise"), truth, strict=True):
            values = np.array([float(one[name]) for one in found])
            assert abs(values.mean() - value) < 3.5 * values.std() / 10


def test_the_second_moment_in_use_is_torchs():
    """Denominators are those by which torch.optim divides, eps outside the root."""
    for name, bias in (("adamw", True), ("rmsprop", False)):
        config = TrainingConfig(name, 8, {"eps": 0.01})
        parameters, gradients = torch.zeros(1, 6), torch.randn(1, 6, generator=torch.Generator().manual_seed(3))
        optimizer = make_optimizer([config], parameters)
        assert optimizer.denominator() is None
        for _ in range(3):
            optimizer.step(parameters, gradients)
        beta = config["beta2"] if bias else config["alpha"]
        held = gradients.square() * (1 if bias else 1 - beta**3)  # a constant gradient
        torch.testing.assert_close(optimizer.second_moment_hat(), held, rtol=1e-4, atol=0)
        torch.testing.assert_close(optimizer.denominator(), held.sqrt() + 0.01, rtol=1e-4, atol=0)


@pytest.mark.parametrize("signal, expected", [(0.0, 8.0), (30.0, 1.0), (0.25, 8 * (16 + 4) / (16 + 32))])
def test_ratio_of_second_moments_is_kappa_in_noise_and_one_in_signal(signal, expected):
    """Gradients of known signal and noise 1 per sample at batch 4 and 32; 16 is the noise scale of the last case."""
    base = TrainingConfig("adam", 4, {"lr": 1e-6, "beta1": 0.9, "beta2": 0.99})
    generator, rows = torch.Generator().manual_seed(4), []
    for arm, config in (("base", base), ("scaled", scale(base, 32).config)):
        parameters = torch.zeros(3, 2000)
        optimizer = make_optimizer([config] * 3, parameters)
        for step in range(1, 501):
            noise = torch.randn(3, 2000, generator=generator) / math.sqrt(config.batch_size)
            optimizer.step(parameters, signal + noise)
            if step % 100 == 0:
                rows += [(arm, seed, "second_moment", step, float(value))
                         for seed, value in enumerate(optimizer.second_moment_hat().mean(1))]
    found = second_moment_ratio(pd.DataFrame(rows, columns=["arm", "seed", "metric", "samples", "value"]))
    assert found.value == pytest.approx(expected, rel=0.01)


def small(base=BASE, **changes):
    return make_plan("digits", base, 64, **{**dict(seeds=2, samples=640, warm_samples=80, arms=["unscaled"]), **changes})


def measured(plan):
    return [event for event in calibrate(plan) if isinstance(event, Measured)]


CLIPPED = TrainingConfig("adam", 8, {"lr": 1e-3}, run={"clip_norm": 0.5})


@pytest.fixture(scope="module")
def with_regime():
    return measured(small(CLIPPED))


def test_training_does_not_notice_that_it_is_measured(with_regime, monkeypatch):
    monkeypatch.setattr(regime, "times", lambda points, followed=False: ())
    without = measured(small(CLIPPED))
    assert any("signal" in one.values for one in with_regime) and not any("signal" in one.values for one in without)
    for one, other in zip(with_regime, without, strict=True):
        results = {name: value for name, value in one.values.items() if about(name) is None}
        assert (one.arm, one.seed, one.samples, results) == (other.arm, other.seed, other.samples, other.values)


def test_every_run_is_measured_at_start_on_the_way_and_at_the_end(with_regime):
    found = {}
    for one in with_regime:
        found.setdefault((one.arm, one.seed), {})[one.samples] = one.values
    for (arm, seed), points in found.items():
        total = max(points)
        watched = [samples for samples, values in points.items() if "noise" in values]
        assert watched[0] == 0 and watched[-1] == total and 3 <= len(watched) <= 8
        assert set(points[total]) >= set(REGIME) - {"lr_factor", "skipped"} and 0 <= points[total]["clipped"] <= 1
        with_tails = [samples for samples, values in points.items() if any(name.startswith("normality/") for name in values)]
        assert with_tails == ([0, total] if arm in ("base", "scaled") and seed == 0 else [])
        with_skewness = {name for name in points[total] if name.startswith("skewness_squared")}
        assert with_skewness == {name.replace("hill", "skewness_squared") for name in points[total] if name.startswith("hill")}
        assert bool(with_skewness) == bool(with_tails) and all(math.isfinite(points[total][name]) for name in with_skewness)
    assert "signal_pre" not in found["warm start", 0][0]  # no second moment yet
    branch = {arm: found[arm, 0][0] for arm in ("base", "scaled")}
    assert branch["base"]["noise"] == pytest.approx(branch["scaled"]["noise"], rel=1e-3)  # same weights, same samples
    assert branch["base"]["second_moment"] == pytest.approx(8 * branch["scaled"]["second_moment"], rel=0.01)


def test_the_last_step_is_as_long_as_it_was(few):
    config = TrainingConfig("adamw", 8, {"lr": 1e-2, "weight_decay": 0.5})
    population = Population(few, [config, config], [0, 1], CPU)
    batch = Stream(few, 0, "x").take(8)
    pair = Batch(batch.inputs.expand(2, *batch.inputs.shape), batch.targets.expand(2, 8))
    population.step(pair)
    before = population.flat.clone()
    population.step(pair, watch=True)
    moved = (population.flat - before).double().numpy()
    np.testing.assert_allclose(population.update_rms, np.sqrt((moved**2).mean(1)), rtol=1e-4)
    population.keep([1])
    assert regime.optimizer_state(population)["update_rms"].shape == (1,)


def test_clipping_is_torchs_step_by_step():
    """Three models: one that clips at every step, one now and then, one without a threshold."""
    about, clips = task("digits"), (0.1, 2.2, None)
    configs = [TrainingConfig("adam", 4, {"lr": 1e-2, "eps": 1e-3}, run={} if clip is None else {"clip_norm": clip})
               for clip in clips]
    stack = Population(about, configs, [5, 6, 7], CPU)
    alone = [Population(about, [config], [seed], CPU) for config, seed in zip(configs, (5, 6, 7), strict=True)]
    optimizers = [torch.optim.Adam(list(one.views.values()), lr=1e-2, eps=1e-3) for one in alone]
    stream, over = Stream(about.data(CPU), 0, "x"), np.zeros(3)
    for _ in range(12):
        batch = stream.take(4)
        stack.step(Batch(batch.inputs.expand(3, *batch.inputs.shape), batch.targets.expand(3, 4)))
        for i, (one, optimizer, clip) in enumerate(zip(alone, optimizers, clips, strict=True)):
            optimizer.zero_grad()
            losses(one, stacked(batch)).sum().backward()
            if clip is not None:
                over[i] += float(torch.nn.utils.clip_grad_norm_(list(one.views.values()), clip)) > clip
            optimizer.step()
            for name, value in one.views.items():
                torch.testing.assert_close(stack.views[name][i], value[0], rtol=1e-3, atol=1e-5)
    assert 0 < over[1] < over[0] == 12
    np.testing.assert_allclose(stack.share_clipped(), over / 12)
    assert stack.share_clipped() is None  # counted anew


def test_a_calibration_clips_every_arm_by_its_own_threshold():
    config = TrainingConfig("adam", 8, {"lr": 1e-3}, run={"clip_norm": 0.8, "ema_decay": 0.99})
    base = trainable(config)
    assert dict(base.run) == {"clip_norm": 0.8}
    plan = make_plan("digits", base, 32)
    clips = {arm.name: arm.config.run["clip_norm"] for arm in plan.arms}
    assert clips == {"base": 0.8, "scaled": pytest.approx(0.4), "unscaled": 0.8, "linear lr": 0.8}


SHAPES = {"heavy": Parameter((30, 10)), "bias": Parameter((10,)), "light": Parameter((20, 15)), "silent": Parameter((4, 4)),
          "skewed": Parameter((30, 10))}


def test_tails_are_told_apart_by_layer():
    """A drift common to all batches is no noise; Cauchy noise is heavy, normal noise of uneven sizes is light. Exponential
    noise of either sign is skewed in its coordinates (2, of which 256 draws show a little less) and not in their sums."""
    random, count = np.random.default_rng(8), 256
    heavy = random.standard_cauchy((count, 300)) * 10 + 1000
    light = random.standard_normal((count, 300)) * 10.0 ** random.uniform(-2, 2, 300) + 5
    bias = random.standard_normal((count, 10))
    skewed = random.exponential(size=(count, 300)) * random.choice([-1, 1], 300) - 3
    rows = np.concatenate([heavy, bias, light, np.zeros((count, 16)), skewed], 1)
    found = regime.tails(SHAPES, torch.tensor(rows).float())
    assert {name.partition("/")[2] for name in found} == {"heavy", "light", "silent", "skewed"}
    assert {name.partition("/")[0] for name in found} == set(TAILS)
    for index in ("tail", "hill"):
        assert abs(found[f"{index}/heavy"] - 1) < 2.5 * found[f"{index}_error/heavy"] < 0.5
    assert abs(found["tail/light"] - 2) < 2.5 * found["tail_error/light"] and found["hill/light"] > 4
    assert found["normality/heavy"] > 0.9 and found["normality/light"] < 0.3
    assert "tail/silent" not in found and "skewness_squared/silent" not in found
    assert found["skewness_squared/skewed"] == pytest.approx(3.5, abs=0.6) and found["normality/skewed"] < 0.3
    assert abs(found["skewness_squared/light"]) < 3 * found["skewness_squared_error/light"] < 0.1


@pytest.mark.parametrize("family, alike", [("adam", True), ("sgd", False)])  # by compiled kernels, by autograd
def test_gradients_of_several_batches_come_from_one_pass(family, alike):
    """Of batches one by one, to the last bit by the compiled kernels."""
    about = task("digits")
    population = Population(about, [TrainingConfig(family, 8, {"lr": 1e-2})] * 2, [5, 6], CPU)
    batch = Batch.joined([Stream(about.data(CPU), seed, "x").take(3 * 16) for seed in (0, 1)], torch.stack)
    together = list(population.gradients_of_parts(batch, 3))
    each = [population.gradients(batch.cut(slice(None), slice(16 * i, 16 * (i + 1))))[1] for i in range(3)]
    for one, other in zip(together, each, strict=True):
        assert torch.equal(one, other) if alike else torch.allclose(one, other, rtol=1e-4, atol=1e-6)
    assert not torch.allclose(together[0], together[1])


def test_a_copy_draws_what_its_batch_drew_alone():
    together = Chance("x", (5, 6), 32, copies=3, apart=16)
    assert together.seed(4) == Chance("x", (5, 6), 48).seed(1) != together.seed(3)


def test_tails_of_a_large_layer_hold_little_beside_its_gradients():
    """Bytes of all tensors that are alive at one time. Directions for every coordinate were 20 gradients of it."""
    size, alive, peak = 2**19, {}, 0

    class Held(TorchDispatchMode):
        def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
            nonlocal alive, peak
            result = operation(*args, **(kwargs or {}))
            if isinstance(result, torch.Tensor):
                storage = result.untyped_storage()
                alive[storage.data_ptr()] = StorageWeakRef(storage), storage.nbytes()
            alive = {place: held for place, held in alive.items() if not held[0].expired()}
            peak = max(peak, sum(nbytes for _, nbytes in alive.values()))
            return result

    generator = torch.Generator().manual_seed(1)
    with Held():
        rows = (torch.randn(size, generator=generator) for _ in range(20))
        found = regime.tails({"wide": Parameter((1024, 512))}, rows)
    gradient, directions = 4 * size, 4 * regime.DIRECTED * regime.PROJECTIONS
    # Two gradients, their difference and the one before, the directions, and next to nothing.
    assert 3 * gradient < peak < 4.1 * gradient + directions < regime.PROJECTIONS * gradient / 4
    assert found["tail/wide"] > 1.5 and found["normality/wide"] < 0.3


def test_directions_that_repeat_with_other_signs_read_every_coordinate(monkeypatch):
    monkeypatch.setattr(regime, "DIRECTED", 8)
    layer = regime._Layer(21, torch.Generator().manual_seed(2), CPU)
    whole = torch.cat([layer.directions * signs for signs in layer.signs])[:21]
    assert len(whole.unique(dim=0)) > 8 and whole.abs().min() > 0
    noise = torch.randn(21, generator=torch.Generator().manual_seed(3))
    layer.read(noise, torch.zeros(21))
    torch.testing.assert_close(layer.projections[0], noise @ whole)
