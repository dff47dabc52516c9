"""TrainingConfig: what it refuses and how it says so, and that it survives JSON, pickle and hashing."""

import json
import math
import pickle

import pytest
from hypothesis import given
from strategies import configurations

from sqrtscale.rules import FAMILIES, RUN_FIELDS, FieldError, ParameterGroup, TrainingConfig, scale

NOT_NUMBERS = [math.nan, math.inf, -math.inf, "fast", "", True, False, None, [1.0], 1j, 10**400]
FIELDS = [(name, field) for name, family in FAMILIES.items() for field in family.fields]


@pytest.mark.parametrize("optimizer, field", FIELDS)
def test_every_hyperparameter_refuses_what_it_cannot_hold(optimizer, field):
    kind = FAMILIES[optimizer].fields[field]
    decay = kind.is_decay or field == "momentum"
    too_large = [1, 1.0, 1.5] if decay else []
    too_small = [-1, -1e-300] + ([0, 0.0, -0.0] if field == "lr" else [])
    allowed = "a number in [0, 1)" if decay else "a finite number above 0" if field == "lr" else "0 or more"
    for value in [*NOT_NUMBERS, *too_large, *too_small]:
        with pytest.raises(FieldError) as error:
            TrainingConfig(optimizer, 256, {field: value})
        shown = repr(value) if isinstance(value, str) else str(value)
        shown = shown if len(shown) <= 80 else f"{shown[:40]}…{shown[-39:]}"
        assert (error.value.field, error.value.value) == (field, value) or value != value
        assert str(error.value).startswith(f"{field} = {shown} is not ") and allowed in str(error.value)
        assert "for example" in str(error.value)


COUNTS = {"total_steps": 1, "warmup_steps": 0, "decay_steps": 0, "eval_interval": 1, "log_interval": 1,
          "checkpoint_interval": 1}
SHARES = ("warmup_fraction", "milestone_factor", "dropout", "label_smoothing")
FACTORS = ("gamma_per_step", "ema_decay")


def test_no_field_of_the_run_is_forgotten_here():
    assert {*COUNTS, *SHARES, *FACTORS, "schedule", "milestones", "min_lr", "clip_norm", "loss_reduction"} == set(RUN_FIELDS)


def refuses(name, value, message):
    """A run refuses that value of that field, and its message starts so."""
    with pytest.raises(FieldError) as error:
        TrainingConfig("adam", 8, run={name: value})
    assert error.value.field == name and message in str(error.value), str(error.value)


@pytest.mark.parametrize("name", COUNTS)
def test_every_count_refuses_what_it_cannot_hold(name):
    for value in [*(value for value in NOT_NUMBERS if value is not None), -1, 2.5, 10**16, *([0] if COUNTS[name] else [])]:
        refuses(name, value, f"is not allowed: give a whole number from {COUNTS[name]} to 1e+15, for example ")
    assert TrainingConfig("adam", 8, run={name: None}).of_the_run() == {}  # left out
    assert TrainingConfig("adam", 8, run={name: 16.0}).of_the_run() == {name: 16}


@pytest.mark.parametrize("name", SHARES)
def test_every_share_refuses_what_it_cannot_hold(name):
    for value in [*(value for value in NOT_NUMBERS if value is not None), -1e-300, 1.0000001]:
        refuses(name, value, "is not a share: give a number from 0 to 1, for example 0.1")
    assert [TrainingConfig("adam", 8, run={name: value}).run[name] for value in (0, 1)] == [0, 1]


@pytest.mark.parametrize("name", FACTORS)
def test_every_factor_refuses_what_it_cannot_hold(name):
    for value in [*(value for value in NOT_NUMBERS if value is not None), 0, -0.5, 1.0000001]:
        refuses(name, value, "is not a factor per step: give a number above 0 and at most 1, for example 0.9999")
    assert TrainingConfig("adam", 8, run={name: 1}).run[name] == 1


@pytest.mark.parametrize("name, value, message", [
    ("schedule", "step", "schedule = 'step' is not known: give one of constant, linear, cosine, wsd, "),
    ("schedule", 3, "schedule = 3 is not known"),
    ("loss_reduction", "none", "loss_reduction = 'none' is not known: give one of mean, sum"),
    ("milestones", [], "milestones = [] is not a list of steps: give whole numbers in rising order, for example 1000 2000"),
    ("milestones", [20, 10], "milestones = [20, 10] is not a list of steps"),
    ("milestones", [10, 10], "milestones = [10, 10] is not a list of steps"),
    ("milestones", "10 20", "milestones = '10 20' is not a list of steps"),
    ("milestones", 10, "milestones = 10 is not a list of steps"),
    ("milestones", [0, 10], "milestones = 0 is not allowed: give a whole number from 1 to"),
    ("milestones", [2.5], "milestones = 2.5 is not allowed"),
    ("min_lr", -1e-9, "min_lr = -1e-09 is not allowed: give a finite number, 0 or more, for example 1e-5"),
    ("clip_norm", 0, "clip_norm = 0 is not allowed: give a finite number above 0, for example 1.0"),
    ("clip_norm", math.inf, "clip_norm = inf is not allowed"),
    ("lr", 1, "lr = 1 is not a field of a run: it has total_steps, warmup_steps"),
])
def test_other_fields_of_the_run_refuse_what_they_cannot_hold(name, value, message):
    refuses(name, value, message)


@pytest.mark.parametrize("target_or_size", [0, -8, 2.5, 10**13, *NOT_NUMBERS])
def test_a_batch_size_is_a_whole_number(target_or_size):
    with pytest.raises(FieldError, match=r"^batch_size = .* is not allowed: give a whole number from 1 to 1e\+12"):
        TrainingConfig("adam", target_or_size)


@pytest.mark.parametrize("target", [*NOT_NUMBERS, 0, -8, 1.5, 10**13])
def test_bad_targets_are_named(target):
    with pytest.raises(FieldError, match=r"^target_batch = .* is not allowed: give a whole number from 1 to 1e\+12"):
        scale(TrainingConfig("adam", 8), target)


@pytest.mark.parametrize("make, message", [
    (lambda: TrainingConfig("adam", 8, {"beta2": 1.2}),
     "beta2 = 1.2 is not a decay rate: give a number in [0, 1), for example 0.999"),
    (lambda: TrainingConfig("adam", 8, {"lr": -1.0}),
     "lr = -1.0 is not allowed: give a finite number above 0, for example 0.001"),
    (lambda: TrainingConfig("adam", 8, {"alpha": 0.9}),
     "alpha = 0.9 is not a field of Adam: it has lr, beta1, beta2, eps, weight_decay"),
    (lambda: TrainingConfig("sgdw", 8), "optimizer = 'sgdw' is not known: give one of adam, amsgrad, keras_adam, "),
    (lambda: TrainingConfig(None, 8), "optimizer = None is not known: give one of adam, amsgrad, keras_adam, "),
    (lambda: TrainingConfig("lion", 8), "optimizer = 'lion' has no derived rule (it takes the sign of the update, "),
    (lambda: TrainingConfig("adam", 8, {}, 10, 11),
     "warmup_steps = 11 is longer than the run: give at most total_steps = 10"),
    (lambda: TrainingConfig("adam", 8, {}, 10, run={"decay_steps": 11}),
     "decay_steps = 11 is longer than the run: give at most total_steps = 10"),
    (lambda: TrainingConfig("adam", 8, groups=(ParameterGroup("head", {"beta2": 1.2}),)),
     "head.beta2 = 1.2 is not a decay rate: give a number in [0, 1), for example 0.999"),
    (lambda: TrainingConfig("adam", 8, groups=(ParameterGroup("head", {"total_steps": 9}),)),
     "head.total_steps = 9 is not a field of Adam: it has lr, beta1, beta2, eps, weight_decay"),
    (lambda: TrainingConfig.from_dict({"optimizer": "adam", "batch_size": 8, "groups": [3]}),
     "groups = 3 is not a parameter group: give a table of hyperparameters for each"),
    (lambda: TrainingConfig.from_dict({"optimizer": "adam", "batch_size": 8, "betas": [0.9]}),
     "betas = [0.9] is not a pair: give two decay rates, for example 0.9 0.999"),
    (lambda: TrainingConfig.from_dict({}), "optimizer = None is not known"),
    (lambda: TrainingConfig.from_dict({"optimizer": "adam"}), "batch_size = None is not allowed"),
    (lambda: TrainingConfig.from_dict({"optimizer": "adam", "batch_size": 8, "lrate": 1}),
     "lrate = 1 is not a field of Adam"),
    (lambda: scale(TrainingConfig("adam", 8), 16, "cubic"),
     "decay_form = 'cubic' is not known: give one of linear, half-life"),
    (lambda: scale(TrainingConfig("adam", 1, {"lr": 1e308}), 10**12, "half-life"), "lr = 1e+308 leaves the range"),
    (lambda: scale(TrainingConfig("adam", 10**12, {"beta1": 0.999999}), 1),
     "beta1 = 0.999999 rounds to 1 at kappa = 1e-12"),
])
def test_messages_are_sentences_a_form_can_show(make, message):
    with pytest.raises(FieldError) as error:
        make()
    assert str(error.value).startswith(message)


@given(configurations())
def test_a_configuration_survives_json_pickle_and_hashing(config):
    text = json.dumps(config.as_dict(), allow_nan=False)
    again = TrainingConfig.from_dict(json.loads(text))
    assert again == config == pickle.loads(pickle.dumps(config)) and hash(again) == hash(config)
    assert json.dumps(again.as_dict(), allow_nan=False) == text and len({config, again}) == 1


def test_different_configurations_differ():
    base = TrainingConfig("adam", 8, {}, 100, 10)
    others = [TrainingConfig("adamw", 8, {}, 100, 10), TrainingConfig("adam", 9, {}, 100, 10),
              TrainingConfig("adam", 8, {"eps": 2e-8}, 100, 10), TrainingConfig("adam", 8, {}, 101, 10),
              TrainingConfig("adam", 8, {}, 100, 11), TrainingConfig("adam", 8),
              TrainingConfig("adam", 8, {}, 100, 10, {"ema_decay": 0.99}),
              TrainingConfig("adam", 8, {}, 100, 10, {}, (ParameterGroup("head", {"lr": 0.1}),)),
              TrainingConfig("adam", 8, {}, 100, 10, {}, (ParameterGroup("head", {}),))]
    assert all(base != other for other in others) and len({base, *others}) == 10


def test_lengths_may_stand_in_the_run_too():
    assert TrainingConfig("adam", 8, {}, 100, 10) == TrainingConfig("adam", 8, run={"total_steps": 100, "warmup_steps": 10})


@pytest.mark.parametrize("name", FAMILIES)
def test_what_is_left_out_is_the_default(name):
    config, fields = TrainingConfig(name.upper(), 8), FAMILIES[name].fields
    assert config.optimizer == name and dict(config.hyperparameters) == {field: fields[field].default for field in fields}
    assert config.of_the_run() == {} and config.groups == ()


def test_a_configuration_cannot_be_changed():
    config = TrainingConfig("adam", 8)
    with pytest.raises(TypeError):
        config.hyperparameters["lr"] = 1.0
    with pytest.raises(AttributeError):
        config.batch_size = 9
    config = TrainingConfig("adam", 8, run={"dropout": 0.1}, groups=(ParameterGroup("head", {"lr": 0.1}),))
    for mapping in (config.run, config.groups[0].values):
        with pytest.raises(TypeError):
            mapping["lr"] = 1.0
