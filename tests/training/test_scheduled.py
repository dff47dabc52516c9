"""A schedule multiplies the learning rate of every arm by the same function of samples seen."""

import pytest
import torch
from own_tasks import EVERY, ways
from plain import PlainLoop, stacked

from sqrtscale.plan import make_plan
from sqrtscale.rules import TrainingConfig
from sqrtscale.schedules import schedule
from sqrtscale.training import Measured, calibrate, executors
from sqrtscale.training.population import Population
from sqrtscale.training.streams import Stream

CPU = torch.device("cpu")
BASE = TrainingConfig("adam", 8, {"lr": 1e-3, "eps": 1e-4})


@pytest.mark.parametrize("text", ["cosine", "wsd:0.5", "milestones:0.3,0.6,gamma=0.5"])
@pytest.mark.parametrize("name, executor", ways())
def test_each_step_has_the_rate_of_its_middle_times_the_warm_up_as_a_plain_loop_sets_it(name, executor, text, monkeypatch):
    monkeypatch.setattr(executors, "TABLE", (executor,))
    about, steps = EVERY[name], 10
    config = TrainingConfig("adam", 8, {"lr": 1e-2, "eps": 1e-4}, warmup_steps=4, total_steps=100)
    population, loop = Population(about, [config], [0], CPU), PlainLoop(about, config, 0)
    population.follow(schedule(text), 1 / steps)
    loop.warm_up = torch.optim.lr_scheduler.LambdaLR(
        loop.optimizer, lambda k: min(1, (k + 1) / 4) * schedule(text).factor(min(1.0, (k + 0.5) / steps)))
    stream, reads = Stream(about.data(CPU), 0, "x"), torch.zeros(1, dtype=torch.long)
    for count in (1, 6, 3):
        batches = [stream.take(8) for _ in range(count)]
        worst = population.advance(stacked(type(batches[0]).joined(batches, torch.cat)), reads, count)
        assert worst.item() == pytest.approx(max(loop.step(batch) for batch in batches), rel=1e-4)
    for name, value in loop.parameters.items():
        torch.testing.assert_close(population.views[name][0], value, rtol=2e-3, atol=2e-5, msg=name)


@pytest.mark.parametrize("start", ["warm", "scratch"])
def test_a_calibration_follows_its_schedule_from_the_branch_point_in_every_arm(start, monkeypatch):
    """The rates that every step of every arm was given, by samples seen; a warm start has none of it."""
    rates, usual = {}, Population.advance

    def noted(population, samples, reads, count, watch=False):
        factors = population.lr_factors(count)
        first = population.taken * population.batch_size
        for i, row in enumerate(factors):
            rates.setdefault((population.stream, population.batch_size), []).append((first + i * population.batch_size, *row))
        return usual(population, samples, reads, count, watch)

    monkeypatch.setattr(Population, "advance", noted)
    plan = make_plan("digits", BASE, 32, seeds=1, samples=640, start=start, warm_samples=64 if start == "warm" else None,
                     arms=["base", "scaled"], device="cpu", schedule=schedule("linear"))
    list(calibrate(plan))
    for batch in (8, 32):
        seen = rates["branch", batch]
        assert [at for at, *_ in seen] == list(range(0, 640, batch))
        for at, *factors in seen:
            assert factors == pytest.approx([1 - (at + batch / 2) / 640] * len(factors))
    assert {factor for _, factor in rates.get(("warm start", 8), ())} == ({1.0} if start == "warm" else set())
    totals = [sum(batch * factors[0] for _, *factors in rates["branch", batch]) for batch in (8, 32)]
    assert totals == pytest.approx([320, 320])  # the same area in both arms


def test_a_decayed_learning_rate_ends_lower():
    """By what a schedule is for: noise at the end goes with the learning rate."""
    def end(text):
        plan = make_plan("digits", TrainingConfig("adam", 8, {"lr": 4e-3}), 16, seeds=2, samples=12_800, warm_samples=12_800,
                         arms=["base"], device="cpu", schedule=schedule(text))
        ends = [e.values["train_loss"] for e in calibrate(plan)
                if isinstance(e, Measured) and e.arm == "base" and e.samples == plan.samples]
        return sum(ends) / len(ends)

    assert end("linear") < 0.9 * end("constant")
