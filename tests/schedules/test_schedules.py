"""Schedules against torch's and transformers' own, their text, and the lr that arms of different batches sum up."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from libraries import library
from odd import NO_NAMES, NO_NUMBERS, of_type, refused
from torch.optim import lr_scheduler

from sqrtscale.rules import FieldError
from sqrtscale.rules.run_fields import SCHEDULES
from sqrtscale.schedules import CONSTANT, KINDS, schedule
from sqrtscale.schedules.kinds import Constant, Cosine, InverseSqrt, Linear, Milestones, WarmupStableDecay

STEPS = 40
inside = st.floats(0, 1, exclude_min=True, exclude_max=True)
finals = st.floats(0, 1, exclude_max=True)
anything = st.one_of(
    st.just(CONSTANT), st.builds(Cosine, finals), st.builds(Linear, finals), st.builds(InverseSqrt, inside),
    st.builds(WarmupStableDecay, inside, st.sampled_from(["linear", "1-sqrt"]), finals),
    st.builds(Milestones, st.lists(inside, min_size=1, max_size=6, unique=True).map(sorted).map(tuple), inside))


def walked(make) -> list[float]:
    """The lr of each step, of a peak of 1, by a scheduler that another library makes for an optimizer."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    scheduler = make(optimizer)
    rates = []
    for _ in range(STEPS):
        rates.append(scheduler.get_last_lr()[0])
        optimizer.step()
        scheduler.step()
    return [*rates, scheduler.get_last_lr()[0]]


def transformers(name: str, **settings):
    return lambda optimizer: getattr(library("transformers.optimization"), name)(optimizer, **settings)


@pytest.mark.parametrize(("text", "make"), [
    ("constant", lambda optimizer: lr_scheduler.ConstantLR(optimizer, factor=1.0)),
    ("cosine", lambda optimizer: lr_scheduler.CosineAnnealingLR(optimizer, STEPS)),
    ("cosine:0.1", lambda optimizer: lr_scheduler.CosineAnnealingLR(optimizer, STEPS, eta_min=0.1)),
    ("linear", lambda optimizer: lr_scheduler.LinearLR(optimizer, 1.0, 0.0, STEPS)),
    ("linear:0.3", lambda optimizer: lr_scheduler.LinearLR(optimizer, 1.0, 0.3, STEPS)),
    ("milestones", lambda optimizer: lr_scheduler.MultiStepLR(optimizer, [20, 30], gamma=0.1)),
    ("milestones:0.1,0.5,0.9,gamma=0.3", lambda optimizer: lr_scheduler.MultiStepLR(optimizer, [4, 20, 36], gamma=0.3)),
    ("wsd", transformers("get_wsd_schedule", num_warmup_steps=0, num_decay_steps=8, num_training_steps=STEPS,
                         decay_type="linear")),
    ("wsd:0.5,linear,0.1", transformers("get_wsd_schedule", num_warmup_steps=0, num_decay_steps=20, num_training_steps=STEPS,
                                        decay_type="linear", min_lr_ratio=0.1)),
    ("wsd:0.1,1-sqrt", transformers("get_wsd_schedule", num_warmup_steps=0, num_decay_steps=4, num_training_steps=STEPS,
                                    decay_type="1-sqrt")),
])
def test_a_factor_is_what_other_libraries_train_with(text, make):
    rates = walked(make)
    assert [schedule(text).factor(step / STEPS) for step in range(STEPS + 1)] == pytest.approx(rates, abs=1e-7)
    assert text == "constant" or rates[-1] < 0.99 * rates[0]


@pytest.mark.parametrize(("text", "warmup"), [("inverse-sqrt", 4), ("inverse-sqrt:0.5", 20)])
def test_inverse_sqrt_falls_as_after_a_warm_up_of_that_length(text, warmup):
    rates = walked(transformers("get_inverse_sqrt_schedule", num_warmup_steps=warmup))
    factors = [schedule(text).factor(step / STEPS) for step in range(STEPS + 1)]
    assert factors[:warmup] == [1.0] * warmup  # where the other one warms up
    assert factors[warmup:] == pytest.approx(rates[warmup:], rel=1e-12)


@given(anything, st.lists(st.floats(0, 1), min_size=2).map(sorted))
def test_a_factor_starts_at_1_and_never_rises_or_leaves_0_to_1(any_schedule, shares):
    assert any_schedule.factor(0.0) == 1.0
    factors = [any_schedule.factor(share) for share in shares]
    assert all(0 <= factor <= 1 for factor in factors)
    assert all(later <= earlier + 1e-15 for earlier, later in pairwise(factors))


@given(anything)
def test_the_text_of_a_schedule_is_read_back(any_schedule):
    again = schedule(str(any_schedule))
    assert again == any_schedule and str(again) == str(any_schedule) and hash(again) == hash(any_schedule)
    assert str(any_schedule).partition(":")[0] == any_schedule.name and " " not in str(any_schedule)
    assert any_schedule.words.isprintable()


@pytest.mark.parametrize(("text", "meant"), [
    ("constant", Constant()), ("cosine", Cosine(0.0)), ("linear", Linear(0.0)), ("wsd", WarmupStableDecay(0.2, "linear", 0.0)),
    ("inverse-sqrt", InverseSqrt(0.1)), ("milestones", Milestones((0.5, 0.75), 0.1))])
def test_defaults_are_those_that_stored_plans_mean(text, meant):
    assert schedule(text) == meant and str(meant) == text


@pytest.mark.parametrize(("text", "meant", "written", "words"), [
    (" Cosine : 1e-1 ", Cosine(0.1), "cosine:0.1", "falls along a cosine to 10% of its peak"),
    ("cosine:0", Cosine(), "cosine", "falls along a cosine to 0"),
    ("wsd:0.1", WarmupStableDecay(0.1), "wsd:0.1", "stays constant, and falls linearly to 0 over the last 10%"),
    ("wsd:0.2, 1-SQRT", WarmupStableDecay(shape="1-sqrt"), "wsd:0.2,1-sqrt",
     "stays constant, and falls by 1 - sqrt to 0 over the last 20%"),
    ("wsd:0.2,linear,0.05", WarmupStableDecay(final=0.05), "wsd:0.2,linear,0.05",
     "stays constant, and falls linearly to 5% of its peak over the last 20%"),
    ("milestones:0.5", Milestones((0.5,)), "milestones:0.5", "is multiplied by 0.1 at 50% of the run"),
    ("milestones:gamma=0.5", Milestones(gamma=0.5), "milestones:0.5,0.75,gamma=0.5",
     "is multiplied by 0.5 at 50% and 75% of the run"),
    ("milestones:0.3,0.6,0.9,gamma=0.1", Milestones((0.3, 0.6, 0.9)), "milestones:0.3,0.6,0.9",
     "is multiplied by 0.1 at 30%, 60% and 90% of the run"),
])
def test_settings_as_people_type_them(text, meant, written, words):
    assert schedule(text) == meant and str(meant) == written and meant.words == words


@pytest.mark.parametrize("text", [
    "", "cosin", "exponential", ":0.1", "constant:1", "constant:", "cosine:", "cosine:1", "cosine:-0.1", "cosine:nan",
    "cosine:inf", "cosine:0.1,0.2", "cosine:final", "linear:2", "wsd:0", "wsd:1", "wsd:linear", "wsd:0.2,cosine",
    "wsd:0.2,linear,1", "wsd:0.2,linear,0,0", "inverse-sqrt:0", "inverse-sqrt:1", "milestones:", "milestones:0.5,0.5",
    "milestones:0.75,0.5", "milestones:0,0.5", "milestones:0.5,1", "milestones:0.5,gamma=1", "milestones:0.5,gamma=",
    "milestones:0.5,factor=0.1", "milestones:gamma=0.1,0.5", "cosine:" + "9" * 5000])
def test_what_is_no_schedule_is_refused_with_what_to_type(text):
    refused(schedule, text)
    with pytest.raises(FieldError) as error:
        schedule(text)
    kind = text.partition(":")[0]
    remedy = f"is not a schedule of kind {kind}: give {kind}" if kind in KINDS else "give one of constant, cosine, linear, wsd"
    assert remedy in str(error.value) and str(error.value).startswith(f"schedule = {text[:60]!r}"[:50])


@pytest.mark.parametrize("value", [value for value in NO_NAMES if not isinstance(value, str)], ids=of_type)
def test_what_is_no_text_is_refused_in_one_line(value):
    refused(schedule, value)


@pytest.mark.parametrize("value", NO_NUMBERS, ids=of_type)
def test_settings_are_checked_where_a_schedule_is_made(value):
    for kind in (Cosine, Linear, WarmupStableDecay, InverseSqrt, Milestones):
        refused(kind, value)
    refused(WarmupStableDecay, 0.2, value)
    refused(WarmupStableDecay, 0.2, "linear", value)
    refused(Milestones, (0.5, value))
    refused(Milestones, (0.5,), value)


@pytest.mark.parametrize("share", [-1e-9, 1 + 1e-9, math.nan, math.inf])
@pytest.mark.parametrize("text", list(KINDS))
def test_a_share_beyond_the_run_is_refused(text, share):
    with pytest.raises(FieldError, match="share = "):
        schedule(text).factor(share)


def test_kinds_are_called_as_in_configurations():
    assert set(KINDS) == set(SCHEDULES) - {"exponential"}  # that one is known per step, and has no share of a run


# Largest |f''| / 24 and largest jump of f' / 8: of the midpoint rule's error, the share of a step squared in a smooth stretch
# and in the one step that holds a corner. Worked out by hand from each kind's equation.
SECOND_ORDER = {
    "cosine": math.pi**2 / 2 / 24, "cosine:0.2": 0.8 * math.pi**2 / 2 / 24, "linear": 1e-12, "wsd": 5 / 8, "wsd:0.3": 1 / 0.3 / 8,
    "inverse-sqrt:0.3": 3 / 4 / 0.3**2 / 24 + 1 / (2 * 0.3) / 8}
INTEGRALS = {"constant": 1.0, "cosine": 0.5, "cosine:0.2": 0.6, "linear": 0.5, "wsd": 0.9, "wsd:0.3": 0.85,
             "inverse-sqrt:0.3": 2 * math.sqrt(0.3) - 0.3, "wsd:0.3,1-sqrt": 0.7 + 0.3 / 3, "milestones": 0.5 + 0.025 + 0.0025}


def mean_factor(text: str, steps: int, within: float = 0.5) -> float:
    """The mean over equal steps of the factor at that place within each step."""
    return math.fsum(schedule(text).factor((step + within) / steps) for step in range(steps)) / steps


@given(st.sampled_from(list(SECOND_ORDER)), st.integers(8, 60), st.integers(2, 9))
def test_arms_of_two_batches_sum_up_the_same_lr_to_second_order_in_the_step(text, steps, kappa):
    bound = SECOND_ORDER[text] / steps**2 + 1e-12
    few, many = mean_factor(text, steps), mean_factor(text, steps * kappa)
    assert abs(few - INTEGRALS[text]) <= bound
    assert abs(few - many) <= bound * (1 + 1 / kappa**2)


@given(st.sampled_from(list(SECOND_ORDER)), st.integers(60, 200))
def test_the_factor_at_the_start_of_each_step_would_agree_to_first_order_only(text, steps):
    """Trained with that, an arm of the larger batch would learn faster: here by more than the second order allows."""
    drop = 1 - schedule(text).factor(1.0)
    assert mean_factor(text, steps, 0.0) - INTEGRALS[text] == pytest.approx(drop / (2 * steps), rel=0.15)


@given(st.integers(1, 400))
def test_where_a_schedule_jumps_or_begins_steeply_the_sums_agree_less(steps):
    assert mean_factor("constant", steps) == 1.0
    assert abs(mean_factor("milestones", steps) - INTEGRALS["milestones"]) <= 0.99 / (2 * steps) + 1e-12
    assert abs(mean_factor("wsd:0.3,1-sqrt", steps) - INTEGRALS["wsd:0.3,1-sqrt"]) <= (steps * 0.3) ** -1.5
    assert mean_factor("milestones", 4 * steps) == pytest.approx(INTEGRALS["milestones"])  # its steps end at the milestones
