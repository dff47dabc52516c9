"""The noise meter against exact gradients of every single sample, in every way of feeding it."""

import json
import math
import subprocess
import sys
import textwrap

import pytest
import torch
from torch import nn

from sqrtscale import NoiseMeter
from sqrtscale.meter._estimate import ratio, signal_and_noise

SAMPLES, MICRO = 600, 8


@pytest.fixture
def problem():
    """A classification that a linear map with noise has labelled, and a small network."""
    torch.manual_seed(0)
    x = torch.randn(SAMPLES, 10)
    y = (x @ torch.randn(10, 3) + 2 * torch.randn(SAMPLES, 3)).argmax(1)
    return x, y, nn.Sequential(nn.Linear(10, 16), nn.Tanh(), nn.Linear(16, 3))


def exact(x, y, model, divisor=1.0):
    """tr(Sigma) / |G|^2 from one gradient a sample, through torch.func."""
    parameters = {name: p.detach() for name, p in model.named_parameters()}

    def loss(parameters, x, y):
        return nn.functional.cross_entropy(torch.func.functional_call(model, parameters, (x[None],)), y[None])

    each = torch.func.vmap(torch.func.grad(loss), (None, 0, 0))(parameters, x, y)
    rows = torch.cat([g.flatten(1) for g in each.values()], 1).double() / divisor
    mean = rows.mean(0)
    return ((rows - mean).square().sum(1).mean() / mean.square().sum()).item()


def train(problem, meter, micro_batches=4, steps=500, clip=None, lr=0.0, autocast=False, last=MICRO, optimizer=None):
    """A plain loop; the last micro-batch of ten steps may be smaller, as at the end of an epoch."""
    x, y, model = problem
    optimizer = optimizer or torch.optim.Adam(model.parameters(), lr=lr)
    meter.attach(model, optimizer)
    generator = torch.Generator().manual_seed(1)
    for step in range(steps):
        optimizer.zero_grad()
        for i in range(micro_batches):
            uneven = step % 10 == 9 and i == micro_batches - 1
            chosen = torch.randint(SAMPLES, (last if uneven else MICRO,), generator=generator)
            with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
                loss = nn.functional.cross_entropy(model(x[chosen]), y[chosen])
            (loss / (micro_batches if meter.averaged else 1)).backward()
        if clip:
            nn.utils.clip_grad_norm_(model.parameters(), clip)
        optimizer.step()
    meter.detach()
    return meter


@pytest.mark.parametrize("options, loop", [
    ({}, {}), ({"averaged": False}, {}), ({"clip_norm": 0.05}, {"clip": 0.05}), ({}, {"autocast": True}),
    ({}, {"micro_batches": 8, "last": 4})])
def test_accumulated_gradients_give_the_noise_scale_of_single_samples(problem, options, loop):
    meter = train(problem, NoiseMeter(MICRO, every=1, **options), **loop)
    estimate, truth = meter.noise_scale(), exact(*problem)
    assert estimate.low < truth < estimate.high and estimate.value == pytest.approx(truth, rel=0.2)
    assert meter.clipped == (pytest.approx(1.0, abs=0.02) if options.get("clip_norm") else None)
    assert meter.largest_kappa(8) == estimate.low / 8


def test_the_preconditioned_form_divides_as_adam_does(problem):
    *_, model = problem
    optimizer = torch.optim.Adam(model.parameters(), lr=0.0, eps=1e-3)
    train(problem, NoiseMeter(MICRO), steps=2000, optimizer=optimizer)  # v comes to rest
    meter = train(problem, NoiseMeter(MICRO, every=1), steps=600, optimizer=optimizer)
    moments = torch.cat([optimizer.state[p]["exp_avg_sq"].flatten() / (1 - 0.999 ** optimizer.state[p]["step"])
                         for p in model.parameters()])
    truth, estimate = exact(*problem, divisor=moments.sqrt() + 1e-3), meter.noise_scale(preconditioned=True)
    assert estimate.low < truth < estimate.high and estimate.value == pytest.approx(truth, rel=0.3)
    assert meter.measurements[-1]["second_moment"] == pytest.approx(moments.mean().item(), rel=0.05)


def test_training_is_the_same_with_a_meter_and_lines_are_written(problem, tmp_path):
    *_, model = problem
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with_meter = train(problem, NoiseMeter(MICRO, every=5, path=tmp_path / "noise.jsonl"), steps=20, lr=1e-2, clip=1.0)
    after = {name: value.clone() for name, value in model.state_dict().items()}
    model.load_state_dict(before)

    class Silent:
        averaged = True

        def attach(self, *_):
            pass

        detach = attach

    train(problem, Silent(), steps=20, lr=1e-2, clip=1.0)
    assert all(torch.equal(value, after[name]) for name, value in model.state_dict().items())
    lines = [json.loads(line) for line in (tmp_path / "noise.jsonl").read_text().splitlines()]
    assert lines == with_meter.measurements and [line["samples"] for line in lines] == [0, 160, 320, 480]
    assert with_meter.samples == 640


def test_a_loop_that_gives_nothing_to_compare_is_told(problem):
    with pytest.raises(RuntimeError, match="accumulate gradients over at least two micro-batches, or give squared norms"):
        train(problem, NoiseMeter(MICRO), micro_batches=1, steps=1)


def test_two_batch_sizes_in_turn():
    """Gradients of known moments: |G|^2 = 4, tr(Sigma) = 200."""
    generator, meter = torch.Generator().manual_seed(0), NoiseMeter(1)
    mean = torch.full((100,), 0.2)
    for _ in range(400):
        squares = [(mean + torch.randn(100, generator=generator) * (2 / size) ** 0.5).square().sum().item() for size in (10, 40)]
        meter.record((10, squares[0]), (40, squares[1]))
    estimate = meter.noise_scale()
    assert estimate.low < 50 < estimate.high and estimate.value == pytest.approx(50, rel=0.1)
    with pytest.raises(ValueError, match="must rise"):
        meter.record((40, 1.0), (10, 1.0))
    meter.record((10, math.inf), (40, 1.0))  # an overflow says nothing
    assert len(meter.measurements) == 400


def test_the_estimator_is_exact_for_exact_expectations():
    assert signal_and_noise((8, 4 + 200 / 8), (32, 4 + 200 / 32)) == pytest.approx((4, 200))


def test_intervals_cover_as_often_as_they_say_also_where_neighbours_hang_together():
    covered, generator = 0, torch.Generator().manual_seed(3)
    for _ in range(200):
        shared = torch.randn(121, generator=generator)
        signal = 1 + 0.5 * (shared[1:] + shared[:-1]) + 0.3 * torch.randn(120, generator=generator)
        noise = 50 + 5 * torch.randn(120, generator=generator)
        estimate = ratio(noise.tolist(), signal.tolist())
        covered += estimate.low < 50 < estimate.high
    assert 0.86 < covered / 200 < 0.99
    assert ratio([1.0], [0.0]) == (math.inf, 0.0, math.inf)
    with pytest.raises(ValueError, match="nothing has been measured yet"):
        ratio([], [])


@pytest.mark.parametrize("bad", [{"micro_batch": 0}, {"micro_batch": 1, "every": 0}, {"micro_batch": 1, "clip_norm": 0.0}])
def test_numbers_that_are_none_are_refused(bad):
    with pytest.raises(ValueError, match="must be above 0"):
        NoiseMeter(**bad)


DDP = """
    import os, sys, torch, torch.distributed as dist
    from torch import nn
    from sqrtscale import NoiseMeter
    rank = int(sys.argv[1])
    dist.init_process_group("gloo", init_method="file://" + sys.argv[2], rank=rank, world_size=2)
    torch.manual_seed(0)
    x = torch.randn(600, 10)
    y = (x @ torch.randn(10, 3) + 2 * torch.randn(600, 3)).argmax(1)
    inner = nn.Sequential(nn.Linear(10, 16), nn.Tanh(), nn.Linear(16, 3))
    model = nn.parallel.DistributedDataParallel(inner)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    meter = NoiseMeter(8, every=1, clip_norm=0.05).attach(model, optimizer)
    generator = torch.Generator().manual_seed(rank)
    for step in range(600):
        optimizer.zero_grad()
        chosen = torch.randint(600, (8,), generator=generator)
        nn.functional.cross_entropy(model(x[chosen]), y[chosen]).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 0.05)
        optimizer.step()
    print(*meter.noise_scale(), meter.samples, meter.clipped)
    dist.destroy_process_group()
"""


def test_two_processes_that_average_their_gradients(problem, tmp_path):
    (tmp_path / "ddp.py").write_text(textwrap.dedent(DDP))
    started = [subprocess.Popen([sys.executable, tmp_path / "ddp.py", str(rank), tmp_path / "meeting"], stdout=subprocess.PIPE,
                                text=True) for rank in (0, 1)]
    answers = {process.communicate(timeout=300)[0].strip().splitlines()[-1] for process in started}
    value, low, high, samples, clipped = map(float, answers.pop().split())
    assert not answers  # both have the same
    assert low < exact(*problem) < high and value == pytest.approx(exact(*problem), rel=0.25)
    assert samples == 600 * 16 and clipped > 0.98
