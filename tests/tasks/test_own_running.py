"""A user's file trained by our engine takes the steps of a plain loop in torch on the same samples and seeds."""

import pytest
import torch
from plain_own import CPU, FILES, Plain, own

from sqrtscale.rules import TrainingConfig
from sqrtscale.training.population import Population
from sqrtscale.training.streams import Stream

BATCH, STEPS = 16, 6
CONFIG = TrainingConfig("adam", BATCH, {"lr": 1e-3})


@pytest.fixture(params=FILES, ids=lambda path: path.stem)
def about(request):
    return own(request.param)


def test_the_steps_are_those_of_a_plain_loop(about):
    population = Population(about, [CONFIG], [3], CPU)
    stream, plain = Stream(about.data(CPU), 3, "branch"), Plain(about, 3, CONFIG)
    start = population.flat.clone()
    for _ in range(STEPS):
        batch, chance = stream.take(BATCH), population.chance(0)
        population.step(batch.map(lambda x: x[None]))
        plain.step(batch, chance)
    names = [name for name, p in plain.model.named_parameters() if p.requires_grad]
    assert list(population.views) == names and not torch.equal(start, population.flat)
    tolerance = {"rtol": 1e-3, "atol": 1e-4} if about.source.precision == "bf16" else {"rtol": 1e-5, "atol": 1e-6}
    for name, value in zip(names, plain.trained, strict=True):
        torch.testing.assert_close(population.views[name][0], value, **tolerance, msg=lambda text, name=name: f"{name}: {text}")
    for name, value in plain.model.named_buffers():
        torch.testing.assert_close(population.buffers[name][0], value, rtol=1e-5, atol=1e-6)


def test_two_halves_of_a_step_have_weights_of_their_own(about):
    """r1 g1 + r2 g2 of SVAG, where a pass has the mean of its losses alone; the rows are whole micro-batches."""
    population = Population(about, [CONFIG], [3], CPU)
    whole = Stream(about.data(CPU), 3, "branch").take(2 * BATCH).map(lambda x: x[None])
    first, second = (whole.cut(slice(None), piece) for piece in (slice(BATCH), slice(BATCH, 2 * BATCH)))
    for part in population.network.module.modules():
        if isinstance(part, torch.nn.Dropout):  # it is drawn for each pass, by the sample at which that begins
            part.p = 0.0
    weighted = population.gradients(whole, (1.5, -0.5))[1]
    by_hand = 1.5 * population.gradients(first)[1] - 0.5 * population.gradients(second)[1]
    loose = about.source.precision == "bf16"
    torch.testing.assert_close(weighted, by_hand, rtol=1e-2 if loose else 1e-4, atol=1e-3 if loose else 1e-6)


def test_models_share_what_is_frozen_alike_and_an_arm_branches_from_it():
    about = own(next(path for path in FILES if path.stem == "lora"))
    parent, child = Population(about, [CONFIG], [0], CPU), Population(about, [CONFIG] * 3, [0, 1, 2], CPU)
    child.branch_from(parent, 1.0)
    assert child.frozen and not child.flat.eq(0).all()
    for name, held in child.frozen.items():
        assert held.untyped_storage().nbytes() == held[0].nbytes, name
        assert torch.equal(held[2], parent.frozen[name][0])
    child.keep([0, 2])
    assert all(held.untyped_storage().nbytes() == held[0].nbytes and len(held) == 2 for held in child.frozen.values())
