"""What a calibration relies on of every task: its sizes, data and measures are what it says, and stay the same."""

import math
from itertools import pairwise

import pytest
import torch
from own_tasks import EVERY

from sqrtscale.plan import make_plan
from sqrtscale.rules import TrainingConfig
from sqrtscale.tasks import SMALLEST, TASKS
from sqrtscale.training.measuring import measure
from sqrtscale.training.population import Population
from sqrtscale.training.streams import Stream

CPU = torch.device("cpu")


@pytest.fixture(params=sorted(EVERY))
def about(request, monkeypatch):
    monkeypatch.setitem(TASKS, request.param, EVERY[request.param])
    return EVERY[request.param]


@pytest.fixture
def data(about):
    return about.data(CPU)


def same(one, other):
    return all(torch.equal(a, b) for a, b in zip(one.tensors(), other.tensors(), strict=True))


def test_sizes_are_the_real_ones_and_the_smallest_comes_first(about):
    assert next(iter(about.sizes)) == SMALLEST
    assert all(small < large for small, large in pairwise(about.sizes.values()))
    for name, parameters in about.sizes.items():
        network = about.network(name)
        assert parameters == sum(math.prod(p.shape) for p in network.parameters().values()) == len(network.initial(0))


def test_the_defaults_make_a_plan_that_has_controls(about):
    defaults = about.defaults
    plan = make_plan(about.name, defaults.base, defaults.target_batch)
    assert plan.samples >= defaults.samples and len(plan.seeds) == defaults.seeds and len(plan.arms) > 2


def test_a_stream_is_the_same_however_it_is_cut(data):
    whole, cut = Stream(data, 3, "branch").take(2500), Stream(data, 3, "branch")
    pieces = [cut.take(count) for count in (1, 1023, 7, 1469)]
    assert [piece.count() for piece in pieces] == [1, 1023, 7, 1469]
    for joined, *parts in zip(whole.tensors(), *(piece.tensors() for piece in pieces), strict=True):
        assert torch.equal(joined, torch.cat(parts))
    for other in (Stream(data, 4, "branch"), Stream(data, 3, "warm start")):
        assert not same(whole, other.take(2500))


def test_what_is_measured_stays_the_same(about, data):
    again = about.data(CPU)
    assert same(data.validation, again.validation) and same(data.train_sample, again.train_sample)
    assert not same(data.validation, data.train_sample)


def test_an_untrained_model_is_not_hopeless(about, data):
    values = measure(Population(about, [TrainingConfig("adam", 8)], [0], CPU), data)
    assert list(values) == list(about.metrics)
    assert all(math.isfinite(value.item()) for value in values.values())
    losses = [values[name].item() for name, metric in about.metrics.items() if metric.measure == "loss"]
    assert losses and max(losses) < about.hopeless


def test_every_metric_is_the_mean_of_its_measure_by_one_call_of_the_network(about, data):
    """In the network's own words, in parts of its micro-batch where it has one, without dropout."""
    population = Population(about, [TrainingConfig("adam", 8)] * 2, [0, 1], CPU)
    values, network = measure(population, data), population.network

    def pieces(split):
        size = about.micro or split.count()
        for at in range(0, split.count(), size):
            yield split.map(lambda x, at=at: x[at : at + size])

    for name, metric in about.metrics.items():
        split = data.validation if metric.split == "validation" else data.train_sample
        for model in range(2):
            def own(x, model=model):
                return x[model : model + 1] if network.stacked else x[model]

            parameters, buffers = ({key: own(x) for key, x in names.items()} for names in (population.views, population.held))
            means = []
            for piece in pieces(split):
                piece = piece.map(lambda x: x.unsqueeze(0)) if network.stacked else piece
                predictions = network(parameters, piece.inputs, buffers, False)
                means.append(network.measures(predictions, piece.targets)[metric.measure].double().mean().item())
            assert values[name][model].item() == pytest.approx(sum(means) / len(means), rel=1e-5, abs=1e-9)
