"""Arms that follow the noise scale: what base's runs measure, and the hyperparameters of every step made of it."""

import math

import numpy as np
import pandas as pd
import pytest
import torch
from own_tasks import EVERY, ways
from plain import PlainLoop, stacked

from sqrtscale.diagnostics.course import remembered
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


def test_a_course_averages_signal_and_noise_as_the_second_moment_does():
    """Noise from 200 to 1,000 and a signal of 2 over ages 0 to 4,000, where v remembers T = 8 / (1 - 0.99) = 800 samples.

    The age of what it remembers is T - A e^(-A / T) / (1 - e^(-A / T)) on average.
    """
    base = TrainingConfig("adam", 8, {"beta2": 0.99})
    course = Course(make_plan("digits", base, 32, arms=[FOLLOWS], start="scratch"))
    for age in (4000, 2000, 1000, 0):
        for off in (-10, 10):  # two runs
            course.learn(age, {"noise": 200 + age / 5 + off, "signal": 2 + off / 100})
    course.learn(8000, {"second_moment": 1.0})  # a point where the noise was not measured
    gone = math.exp(-4000 / 800)
    noise = 1000 - (800 - 4000 * gone / (1 - gone)) / 5
    assert course.curve.at(4000) == pytest.approx(noise / 2, rel=2e-3)
    assert course.curve.points[0] == (0, 100) and [samples for samples, _ in course.curve.points] == [0, 1000, 2000, 4000]
    assert course.lr_factor(FOLLOWS, 0) == pytest.approx(2 * ((32 + 100) / (8 + 100)) ** 0.5)
    course.learn(6000, {"noise": math.nan, "signal": 1.0})  # of a run that has diverged
    assert len(course.curve.points) == 4


def test_less_signal_is_never_a_smaller_noise_scale():
    """Chance makes |G|^2 negative now and then."""
    def at_end(last):
        return remembered({0: (64.0, 8.0), 1000: (64.0, 2.0), 2000: (64.0, last)}, memory=800.0, most=3200.0)[2000]

    scales = [at_end(last) for last in (2.0, 0.5, 0.002, 0.0, -0.002, -5.0)]
    assert scales == sorted(scales) and scales[0] < 1.1 * 64 / 2 < scales[1]
    assert remembered({0: (64.0, -1.0)}, 800.0, 3200.0) == {0: 3200.0}


def test_what_the_warm_start_has_measured_counts_at_the_branch_point():
    course = Course(plan())
    for age in (0, 320, 640):
        course.learn(age, {"noise": 30.0, "signal": 1.0})
    course.learn(640 + 640, {"noise": 30.0, "signal": 1.0})
    assert [samples for samples, _ in course.curve.points] == [0, 640]
    assert course.excess(FOLLOWS) == pytest.approx((32 + 30) / (8 + 30))


def averaged(events, warm_samples, memory):
    """Ages, and the noise scale at each as an average over the past by that memory: sums of a thousand slices."""
    rows = [(event.samples + (event.arm == "base") * warm_samples, event.values["noise"], event.values["signal"])
            for event in events if event.arm in ("warm start", "base") and "noise" in event.values]
    means = pd.DataFrame(rows, columns=["age", "noise", "signal"]).groupby("age").mean()
    scales = []
    for age in means.index:
        past = means[means.index <= age]
        slices = np.linspace(0, age, 1001)
        weights = np.exp(-(age - slices) / max(memory, age / 6, 1e-9))
        noise = np.average(np.interp(slices, past.index, past["noise"]), weights=weights)
        logs = np.log(past["signal"].clip(lower=past["signal"].max() / 1000))
        scales.append(min(noise / np.average(np.exp(np.interp(slices, past.index, logs)), weights=weights), 3200))
    return np.array(means.index), np.array(scales)


@pytest.mark.parametrize("start", ["warm", "scratch"])
def test_every_step_has_the_rate_that_the_measured_noise_scale_gives(start, monkeypatch):
    """From base's own points, averaged and joined here by pandas; rates as the optimizer had them, lr times factor."""
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
    ages, pooled = averaged(events, chosen.warm_samples, memory=8 / (1 - 0.999))

    def noise_scale(samples):
        return np.exp(np.interp(samples + chosen.warm_samples, ages, np.log(pooled)))

    assert len(rates) == 1280 // 32
    for samples, lr, decay, eps in rates:
        b = noise_scale(samples)
        r = (1 + b / 32) / (1 + b / 8)
        assert lr == pytest.approx(4 * math.sqrt(r) * 1e-3, rel=1e-4)
        assert decay == pytest.approx(4 * 1e-3 * 0.1, rel=1e-6)  # decoupled: lr lambda per sample stays
        assert eps == pytest.approx(4 * r * 1e-3 * 1e-4, rel=0.3)  # of the stretch's mean
    followed = [event for event in events if event.arm == FOLLOWS]
    assert [event.values["lr_factor"] for event in followed if event.seed == 0] == pytest.approx(
        [4 * math.sqrt((1 + b / 32) / (1 + b / 8)) for b in map(noise_scale, chosen.evaluation_points)], rel=1e-4)
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
