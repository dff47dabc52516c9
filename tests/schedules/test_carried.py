"""The schedule that a configuration carries is the one that the rules' own clock walks."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sqrtscale.rules import TrainingConfig
from sqrtscale.rules.clock import lr_factor
from sqrtscale.rules.run_fields import SCHEDULES
from sqrtscale.schedules import CONSTANT, Schedule, schedule, schedule_of


def configured(shape: str, **run) -> TrainingConfig:
    return TrainingConfig("adamw", 8, {"lr": 1e-3}, run={"schedule": shape} | run)


@pytest.mark.parametrize(("config", "text"), [
    (configured("constant", total_steps=1000, warmup_steps=100), "constant"),
    (configured("cosine", total_steps=1000, warmup_steps=100), "cosine"),
    (configured("cosine", total_steps=1000, warmup_fraction=0.1, min_lr=1e-4), "cosine:0.1"),
    (configured("linear", total_steps=1000, min_lr=2e-4), "linear:0.2"),
    (configured("wsd", total_steps=1000, warmup_steps=200, decay_steps=200), "wsd:0.25"),
    (configured("wsd", total_steps=1000, decay_steps=500, min_lr=5e-4), "wsd:0.5,linear,0.5"),
    (configured("wsd", total_steps=1000, warmup_steps=200, decay_steps=900), "linear"),
    (configured("wsd", total_steps=1000, decay_steps=0), "constant"),
    (configured("milestones", total_steps=1000, milestones=(500, 750), milestone_factor=0.1), "milestones"),
    (configured("milestones", total_steps=1000, warmup_steps=200, milestones=(100, 400, 600), milestone_factor=0.5),
     "milestones:0.25,0.5,gamma=0.5"),
])
def test_it_is_in_shares_of_the_run_after_the_warm_up(config, text):
    carried = schedule_of(config)
    assert carried == schedule(text)
    if len(config.run.get("milestones", ())) == 3:  # of which one lies in the warm-up: peak here, once less there
        return
    warmup = config.warmup_steps or round(1000 * config.run.get("warmup_fraction", 0))
    for share in (0, 0.1, 0.3, 0.6, 0.7, 0.8, 0.95, 0.999):
        assert carried.factor(share) == pytest.approx(lr_factor(config, warmup + share * (1000 - warmup)), abs=1e-12)


def test_an_inverse_square_root_falls_from_the_end_of_the_warm_up_on():
    config = configured("inverse-sqrt", total_steps=1000, warmup_steps=50)
    carried = schedule_of(config)
    assert str(carried) == "inverse-sqrt:0.05"
    for share in (0.05, 0.1, 0.5, 1.0):
        assert carried.factor(share) == pytest.approx(lr_factor(config, 1000 * share))


@pytest.mark.parametrize(("config", "text"), [
    (configured("wsd"), "wsd"), (configured("wsd", decay_steps=100), "wsd"), (configured("inverse-sqrt"), "inverse-sqrt"),
    (configured("milestones"), "milestones"), (configured("milestones", milestones=(10, 20), milestone_factor=0.2),
                                               "milestones:0.5,0.75,gamma=0.2")])
def test_what_the_configuration_does_not_decide_takes_the_kinds_default(config, text):
    assert schedule_of(config) == schedule(text)


@pytest.mark.parametrize("config", [
    TrainingConfig("adamw", 8), configured("exponential", gamma_per_step=0.999), configured("cosine", min_lr=1e-2),
    configured("milestones", total_steps=1000, milestones=(2000,)), configured("milestones", milestone_factor=0.0)])
def test_there_is_none_where_it_names_none_or_one_that_no_kind_here_is(config):
    assert schedule_of(config) is None


@given(st.fixed_dictionaries({"schedule": st.sampled_from(SCHEDULES)}, optional={
    "total_steps": st.integers(1000, 10**6), "warmup_steps": st.integers(0, 1000), "warmup_fraction": st.floats(0, 1),
    "decay_steps": st.integers(0, 1000), "min_lr": st.floats(0, 1), "milestone_factor": st.floats(0, 1),
    "milestones": st.lists(st.integers(1, 10**6), min_size=1, unique=True).map(sorted),
    "gamma_per_step": st.just(0.999)}), st.floats(1e-300, 10))
def test_every_configuration_has_one_or_none(run, lr):
    carried = schedule_of(TrainingConfig("adamw", 8, {"lr": lr}, run=run))
    assert carried is None or (isinstance(carried, Schedule) and schedule(str(carried)) == carried)
    assert (carried == CONSTANT) or run["schedule"] != "constant"
