"""TrainingConfig: what it refuses and how it says so, and that it survives JSON, pickle and hashing."""

import json
import math
import pickle

import pytest
from hypothesis import given
from test_transfer import configurations

from sqrtscale.rules import FAMILIES, FieldError, TrainingConfig, scale

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
        assert (error.value.field, error.value.value) == (field, value) or value != value
        assert str(error.value).startswith(f"{field} = {shown[:80]} is not ") and allowed in str(error.value)
        assert "for example" in str(error.value)


@pytest.mark.parametrize("name, arguments", [
    ("batch_size", lambda value: ("adam", value)),
    ("total_steps", lambda value: ("adam", 8, {}, value)),
    ("warmup_steps", lambda value: ("adam", 8, {}, None, value)),
])
def test_every_count_refuses_what_it_cannot_hold(name, arguments):
    wrong = [value for value in NOT_NUMBERS if value is not None or name == "batch_size"]  # a length may be left out
    message = rf"^{name} = .* is not allowed: give a whole number from [01] to 1e\+1"
    for value in [*wrong, -1, 2.5, 10**16] + ([0] if name != "warmup_steps" else []):
        with pytest.raises(FieldError, match=message) as error:
            TrainingConfig(*arguments(value))
        assert error.value.field == name


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
    (lambda: TrainingConfig("sgd", 8), "optimizer = 'sgd' is not known: give one of adam, adamw, rmsprop"),
    (lambda: TrainingConfig(None, 8), "optimizer = None is not known: give one of adam, adamw, rmsprop"),
    (lambda: TrainingConfig("adam", 8, {}, 10, 11),
     "warmup_steps = 11 is longer than the run: give at most total_steps = 10"),
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
              TrainingConfig("adam", 8, {}, 100, 11), TrainingConfig("adam", 8)]
    assert all(base != other for other in others) and len({base, *others}) == 7


def test_a_configuration_cannot_be_changed():
    config = TrainingConfig("adam", 8)
    with pytest.raises(TypeError):
        config.hyperparameters["lr"] = 1.0
    with pytest.raises(AttributeError):
        config.batch_size = 9
