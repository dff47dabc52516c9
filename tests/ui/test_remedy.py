"""The way on: the user's kappa, decays and form at the task's own batch, which the task can always train and test."""

from __future__ import annotations

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from sqrtscale.plan import make_plan
from sqrtscale.report.foresight import Known, foresee
from sqrtscale.rules import TrainingConfig
from sqrtscale.schedules import schedule_of
from sqrtscale.tasks import TASKS, task
from sqrtscale.ui.inputs import Inputs, read, texts_of
from sqrtscale.ui.remedy import at_own_batch, left_out, remedy, title

DIGITS = task("digits")


@pytest.mark.parametrize(("query", "words", "base"), [
    ({"beta1": "0.95", "beta2": "0.98"}, "Test κ = 4 at 8 → 32 instead",
     TrainingConfig("adamw", 8, {"lr": 2e-3, "beta1": 0.95, "beta2": 0.98})),
    ({"b0": "1024", "b1": "512", "opt": "rmsprop"}, "Test κ = 0.5 at 8 → 4 instead", TrainingConfig("rmsprop", 8, {"lr": 2e-3})),
    ({"opt": "sgd", "lr": "0.1"}, "Test κ = 4 at 8 → 32 instead", TrainingConfig("sgd", 8, {"lr": 0.1 * 8 / 256})),
    ({"opt": "optax_adam", "eps_root": "1e-8", "beta1": "0.8"}, "Test κ = 4 at 8 → 32 instead",
     TrainingConfig("adam", 8, {"lr": 2e-3, "beta1": 0.8})),
    ({"opt": "adam", "steps": "1000", "warmup": "100"}, "Test κ = 4 at 8 → 32 instead", TrainingConfig("adam", 8, {"lr": 2e-3})),
    ({"opt": "adam", "b1": "65536", "form": "half-life"}, "Test κ = 32 at 8 → 256 instead",
     TrainingConfig("adam", 8, {"lr": 2e-3})),
])
def test_kappa_betas_and_form_are_kept_and_the_batch_and_the_rate_are_the_tasks(query, words, base):
    own, _ = read(query)
    instead = remedy(DIGITS, own)
    assert title(instead) == words and instead.config == base and instead.decay_form == own.decay_form
    assert read(texts_of(instead))[0] == instead  # as the address carries it


def test_decays_go_by_half_life_only_where_the_linear_ones_have_no_number():
    own, _ = read({"b1": "4096"})  # kappa 16, where 1 - 16 (1 - 0.9) is below 0
    assert remedy(DIGITS, own).decay_form == "half-life" and remedy(DIGITS, own).target_batch == 128
    assert remedy(task("pydoc"), own).decay_form == "linear" and remedy(task("pydoc"), own).target_batch == 64


def test_there_is_none_where_it_would_change_nothing():
    base = DIGITS.defaults.base
    assert remedy(DIGITS, Inputs(base, 64, "linear")) is None  # it is that already
    assert remedy(DIGITS, Inputs(TrainingConfig("adam", 256), 256, "linear")) is None  # kappa = 1


@settings(deadline=None, max_examples=40)
@given(name=st.sampled_from(sorted(TASKS)), optimizer=st.sampled_from(["adam", "keras_adamw", "rmsprop", "sgd", "optax_adam"]),
       base=st.integers(1, 10**6), target=st.integers(1, 10**6))
def test_it_can_always_be_run_and_tests_the_rule(name, optimizer, base, target):
    own, _ = read({"opt": optimizer, "b0": str(base), "b1": str(target)})
    instead = remedy(task(name), own)
    assume(instead is not None)
    plan = make_plan(name, instead.config, instead.target_batch, decay_form=instead.decay_form, samples=4096)
    assert foresee(plan, Known(task(name).noise_scale)).sentences[0].endswith("this is a test of the rule.")


@pytest.mark.parametrize("query", [
    {"schedule": "cosine", "min_lr": "1e-4", "steps": "100000", "warmup": "2000"},
    {"schedule": "wsd", "decay_steps": "19600", "steps": "100000", "warmup": "2000"},
    {"schedule": "linear"},
    {"schedule": "milestones", "milestones": "30000 60000", "steps": "100000", "milestone_factor": "0.3"},
    {"schedule": "wsd", "decay_steps": "300", "steps": "1000", "warmup_fraction": "0.1", "opt": "optax_adam", "eps_root": "1e-8"},
])
def test_the_schedule_keeps_its_shape_and_the_warm_up_is_said_to_be_left_out(query):
    own, errors = read(query)
    assert not errors
    instead = remedy(DIGITS, own)
    assert schedule_of(instead.config) == schedule_of(own.config) is not None
    assert read(texts_of(instead))[0] == instead
    warmup = {"warmup": ["Warm-up steps"], "warmup_fraction": ["Warm-up fraction"]}
    assert left_out(own, instead) == [label for name in query for label in warmup.get(name, [])]


def test_what_is_left_out_is_named():
    own, _ = read({"schedule": "exponential", "gamma_per_step": "0.999", "ema_decay": "0.99", "clip_norm": "1",
                   "steps": "1000", "groups": "head: lr=1e-4"})
    assert left_out(own, remedy(DIGITS, own)) == ["Schedule", "Gamma per step", "EMA decay", "Parameter groups"]


def test_whether_batch_and_rate_are_the_tasks_own():
    own, _ = read({"b0": "256", "b1": "1024"})
    assert at_own_batch(DIGITS, remedy(DIGITS, own).config) and not at_own_batch(DIGITS, own.config)
