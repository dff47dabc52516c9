"""Arms that follow the noise scale: what base's runs measure, and the hyperparameters of every step made of it."""

import math

import numpy as np
import pytest
import torch
from own_tasks import EVERY, ways
from plain import PlainLoop, stacked

from sqrtscale.plan import make_plan
from sqrtscale.rules import TrainingConfig
from sqrtscale.training import Measured, calibrate, executors
from sqrtscale.training.course import Course
from sqrtscale.training.population import Population
from sqrtscale.training.streams import Stream

CPU = torch.device("cpu")
BASE = TrainingConfig("adamw", 8, {"lr": 1e-3, "weight_decay": 0.1, "eps": 1e-4})
FOLLOWS = "noise-aware schedule"


def plan(start="warm", **choices):
    choices = {"seeds": 2, "samples": 1280, "warm_samples": 640 if start == "warm" else None, "evaluations": 10} | choices
    return make_plan("digits", BASE, 32, arms=[FOLLOWS], start=start, device="cpu", **choices)


def test_a_course_is_a_ratio_of_averages_over_what_was_measured_lately():
    course = Course(plan())
    for age, noise, signal in [(320, 900, 30), (480, 1000, 20), (640, 1100, 20), (640, 900, 5), (1280, 5, -1)]:
        course.learn(age, {"noise": noise, "signal": signal})
    course.learn(1920, {"second_moment": 1.0})  # a point where the noise was not measured
    assert course.at(480) == pytest.approx(1900 / 50)  # from 320 on
    assert course.at(640) == pytest.approx(3000 / 45)  # from 427 on
    assert course.at(1280) == 100 * 32  # no signal was seen
    assert course.curve.points == ((0.0, course.at(640)), (640.0, course.at(1280)))  # since the branch point
    assert course.excess(FOLLOWS) == pytest.approx((32 + 3000 / 45) / (8 + 3000 / 45))


@pytest.mark.parametrize("start", ["warm", "scratch"])
def test_every_step_has_the_rate_that_the_measured_noise_scale_gives(start, monkeypatch):
    """From base's own points, pooled and joined here by numpy; rates as the optimizer had them, lr times factor."""
    rates, usual, events = [], Population.advance, []

    def noted(population, samples, reads, count, watch=False):
        if population.batch_size == 32:
            model = next(i for i, pace in enumerate(population.paces) if pace)
            lr, decay = (population.optimizer.exact[name][model].item() for name in ("lr", "weight_decay"))
            eps = population.optimizer.exact["eps"][model].item()
            first = population.taken * 32
            rates.extend((first + 32 * i + 16, lr * row[model], lr * decay, lr * eps)
                         for i, row in enumerate(population.lr_factors(count)))
        return usual(population, samples, reads, count, watch)

    monkeypatch.setattr(Population, "advance", noted)
    chosen = plan(start)
    events = [event for event in calibrate(chosen) if isinstance(event, Measured)]
    sums: dict[int, np.ndarray] = {}
    for event in events:
        if event.arm in ("warm start", "base") and "noise" in event.values:
            age = event.samples + (event.arm == "base") * chosen.warm_samples
            sums[age] = sums.get(age, 0) + np.array([event.values["noise"], event.values["signal"]])
    ages = np.array(sorted(sums))

    def pooled(age):
        noise, signal = sum(sums[other] for other in ages if age / 1.5 <= other <= age)
        return min(noise / signal, 3200) if signal > 0 else 3200

    def noise_scale(samples):
        return np.exp(np.interp(samples + chosen.warm_samples, ages, np.log([pooled(age) for age in ages])))

    assert len(rates) == 1280 // 32
    for samples, lr, decay, eps in rates:
        b = noise_scale(samples)
        r = (1 + b / 32) / (1 + b / 8)
        assert lr == pytest.approx(4 * math.sqrt(r) * 1e-3, rel=1e-6)
        assert decay == pytest.approx(4 * 1e-3 * 0.1, rel=1e-6)  # decoupled: lr lambda per sample stays
        assert eps == pytest.approx(4 * r * 1e-3 * 1e-4, rel=0.3)  # of the stretch's mean
    followed = [event for event in events if event.arm == FOLLOWS]
    assert [event.values["lr_factor"] for event in followed if event.seed == 0] == pytest.approx(
        [4 * math.sqrt((1 + b / 32) / (1 + b / 8)) for b in map(noise_scale, chosen.evaluation_points)])
    assert not any("lr_factor" in event.values for event in events if event.arm != FOLLOWS)


def test_seeds_that_come_later_know_what_the_earlier_ones_have_measured():
    chosen = plan(seeds=4, stop_early=True)
    factors = [event.values["lr_factor"] for event in calibrate(chosen)
               if isinstance(event, Measured) and event.arm == FOLLOWS and event.samples == 0]
    assert len(set(factors[:3])) == 1 and factors[3] != factors[0]


@pytest.mark.parametrize("name, executor", ways())
def test_a_population_goes_on_with_other_hyperparameters_as_a_torch_optimizer_does(name, executor, monkeypatch):
    monkeypatch.setattr(executors, "TABLE", (executor,))
    about = EVERY[name]
    config = TrainingConfig("adam", 8, {"lr": 1e-2, "eps": 1e-4}, run={"clip_norm": 0.5})
    later = TrainingConfig("adam", 8, {"lr": 5e-3, "eps": 1e-3, "beta1": 0.8}, run={"clip_norm": 0.1})
    population, loop = Population(about, [config], [0], CPU), PlainLoop(about, config, 0)
    stream, reads = Stream(about.data(CPU), 0, "x"), torch.zeros(1, dtype=torch.long)
    for begins in (True, False):
        batches = [stream.take(8) for _ in range(3)]
        worst = population.advance(stacked(type(batches[0]).joined(batches, torch.cat)), reads, 3)
        assert worst.item() == pytest.approx(max(loop.step(batch) for batch in batches), rel=1e-4)
        if begins:
            population.retune([later], [lambda samples: 1 + samples / 8])
            group, = loop.optimizer.param_groups
            group.update(initial_lr=5e-3, eps=1e-3, betas=(0.8, 0.999))
            loop.config, loop.warm_up = later, torch.optim.lr_scheduler.LambdaLR(loop.optimizer, lambda k: 1 + 3.5 + k)
    for name, value in loop.parameters.items():
        torch.testing.assert_close(population.views[name][0], value, rtol=2e-3, atol=2e-5, msg=name)
