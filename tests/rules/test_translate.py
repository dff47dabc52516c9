"""Another library's convention: the same steps where it says so, and no further off than it says elsewhere."""

import math

import numpy as np
import pytest
from libraries import library
from updates import STEPS

from sqrtscale.rules import FAMILIES, LIBRARIES, FieldError, ParameterGroup, TrainingConfig, family, scale
from sqrtscale.rules.translate import Translated, translate

ODD = {"lr": 0.013, "beta1": 0.83, "beta2": 0.957, "alpha": 0.92, "eps": 0.011, "weight_decay": 0.037, "momentum": 0.81}
WITHOUT_DECAY = ODD | {"weight_decay": 0.0}
PAIRS = [(name, to) for name, kin in FAMILIES.items() for to in LIBRARIES
         if kin.library != to and (kin.algorithm in ("adam", "adamw", "rmsprop")
                                   or (kin.algorithm == "rmsprop_centered" and to != "optax"))]


def configuration(name, values):
    return TrainingConfig(name, 64, {field: values[field] for field in FAMILIES[name].fields if field in values})


def steps(config, k=0, taken=40, size=1.0):
    """The weights after some steps that follow step k, under the same gradients for everybody."""
    x, state, random = np.array([0.7, -1.3, 2.0]), {}, np.random.default_rng(1)
    h = dict(config.hyperparameters)
    for i in range(1, taken + 1):
        x = STEPS[config.optimizer](x, size * random.standard_normal(3), state, h, k + i)
    return x


def translated(name, to, values=ODD) -> Translated:
    """Carried over, without a weight decay where the other side has no place for one."""
    try:
        return translate(configuration(name, values), to)
    except FieldError as error:
        assert error.field == "weight_decay"
        return translate(configuration(name, values | {"weight_decay": 0.0}), to)


@pytest.mark.parametrize("name, to", PAIRS)
def test_exact_means_the_same_steps_and_everything_else_is_close(name, to):
    for values in (ODD, ODD | {"eps": 0.0}):
        found = translated(name, to, values)
        decay = values if found.config.hyperparameters.get("weight_decay") else values | {"weight_decay": 0.0}
        base = configuration(name, decay)
        there, here = steps(found.config), steps(base)
        assert found.exact == np.allclose(there, here, rtol=1e-11), (found, there, here)
        if not found.exact:
            assert found.notes
            assert np.allclose(steps(found.config, size=100), steps(base, size=100), rtol=0.15)


@pytest.mark.parametrize("name, to", PAIRS)
def test_there_and_back_are_the_same_numbers(name, to):
    base = configuration(name, WITHOUT_DECAY)
    back = translate(translate(base, to).config, family(name).library)
    if back.config.optimizer != name:  # a second family of that library holds it exactly
        assert back.exact
        return
    back = back.config
    assert {key: pytest.approx(value, rel=1e-14) for key, value in base.hyperparameters.items() if value} == {
        key: value for key, value in back.hyperparameters.items() if value}


@pytest.mark.parametrize("name", ["adam", "adamw", "optax_adam", "optax_adamw"])
def test_keras_agrees_once_bias_correction_is_over(name):
    base = configuration(name, WITHOUT_DECAY | {"eps": 0.5})
    found = translate(base, "keras")
    assert not found.exact and "bias correction" in found.notes[0]
    assert np.allclose(steps(found.config, 10**7), steps(base, 10**7), rtol=1e-12)


def test_eps_squared_in_the_root_is_off_by_at_most_the_square_root_of_two():
    outside = configuration("rmsprop", WITHOUT_DECAY | {"eps": 0.01, "momentum": 0.0})
    found = translate(outside, "keras")
    assert found.config["eps"] == 1e-4 and not found.exact and "factor sqrt(2)" in found.notes[0]
    for root in 0.01 * np.logspace(-6, 6, 61):
        def move(config, root=root):
            return 1 - STEPS[config.optimizer](1.0, root, {"v": root * root}, dict(config.hyperparameters), 1)

        ratio = move(found.config) / move(outside)
        assert 1 - 1e-9 <= ratio <= math.sqrt(2) + 1e-9
        if not 1e-4 < root <= 1.0:
            assert ratio < 1.01


def test_optax_keeps_eps_outside_and_timm_and_composer_take_torchs_own():
    found = translate(configuration("rmsprop", WITHOUT_DECAY), "optax")
    assert found.exact and found.config.optimizer == "optax_rmsprop_outside" and found.config["eps"] == 0.011
    for name, to in (("rmsprop", "timm"), ("nadam", "timm"), ("adam", "composer"), ("sgd", "composer")):
        base = TrainingConfig(name, 64)
        assert translate(base, to) == Translated(base, True)


def test_a_decay_with_lr_and_one_without():
    base = TrainingConfig("adamw", 64, {"lr": 3e-4, "weight_decay": 0.1})
    found = translate(base, "composer")
    assert found.exact and found.config["weight_decay"] == 3e-5 and "lr / initial_lr" in found.notes[0]
    assert translate(found.config, "pytorch").config == base


def test_a_schedule_keeps_the_composer_decay_in_step():
    base = configuration("adamw", ODD)
    other = translate(base, "composer").config
    h, g = dict(base.hyperparameters), dict(other.hyperparameters) | {"initial_lr": other["lr"]}
    for lr in (h["lr"], h["lr"] / 2, h["lr"] / 7):
        assert STEPS["adamw"](1.5, 0.3, {}, h | {"lr": lr}, 5) == pytest.approx(
            STEPS["composer_adamw"](1.5, 0.3, {}, g | {"lr": lr}, 5), rel=1e-14)


def test_momentum_is_exact_only_while_lr_is_constant():
    values = WITHOUT_DECAY | {"eps": 0.0}
    for run, exact in (({}, True), ({"schedule": "constant"}, True), ({"schedule": "cosine"}, False)):
        base = TrainingConfig("rmsprop", 64, configuration("rmsprop", values).hyperparameters, run=run)
        found = translate(base, "keras")
        assert found.exact == exact and any("momentum buffer" in note for note in found.notes)
    warm = TrainingConfig("rmsprop", 64, configuration("rmsprop", values).hyperparameters, warmup_steps=10)
    assert not translate(warm, "optax").exact and translate(warm, "timm").exact


def test_adam_of_keras_with_a_decay_is_adamw_elsewhere():
    for to, name in (("pytorch", "adamw"), ("optax", "optax_adamw"), ("composer", "composer_adamw")):
        found = translate(configuration("keras_adam", ODD | {"eps": 0.0}), to)
        assert found.config.optimizer == name and found.exact
    assert translate(configuration("keras_adam", WITHOUT_DECAY), "pytorch").config.optimizer == "adam"


def test_run_groups_and_batch_come_along():
    base = TrainingConfig("adamw", 64, {"lr": 1e-3, "weight_decay": 0.1}, 1000, 10, {"clip_norm": 1.0, "ema_decay": 0.999}, (
        ParameterGroup("norms", {"weight_decay": 0.0}), ParameterGroup("head", {"lr": 1e-2})))
    found = translate(base, "composer").config
    assert (found.batch_size, found.of_the_run()) == (64, base.of_the_run())
    norms, head = found.groups
    assert (norms.name, dict(norms.values)) == ("norms", {"weight_decay": 0.0})
    assert dict(head.values) == {"lr": 1e-2, "weight_decay": 1e-3}  # lr * lambda of the group itself


def test_translating_and_scaling_change_places():
    base = TrainingConfig("adamw", 64, {"lr": 1e-3, "weight_decay": 0.1})
    one = translate(scale(base, 256).config, "composer").config.hyperparameters
    other = scale(translate(base, "composer").config, 256).config.hyperparameters
    assert one == {name: pytest.approx(value, rel=1e-14) for name, value in other.items()}


@pytest.mark.parametrize("name, to, field, sentence", [
    ("adam", "keras", "weight_decay", "keras.regularizers.L2(0.0185), which is half of it"),
    ("adam", "optax", "weight_decay", "chain optax.add_decayed_weights(0.037) before the optimizer"),
    ("rmsprop", "optax", "weight_decay", "has no counterpart in RMSprop (optax"),
    ("keras_rmsprop", "pytorch", "weight_decay", "shrink the weights yourself before each step"),
    ("nadam", "keras", "optimizer", "has no counterpart in Keras 3"),
    ("rmsprop_centered", "optax", "optimizer", "has no counterpart in optax"),
    ("amsgrad", "optax", "optimizer", "has no counterpart in optax"),
])
def test_what_cannot_be_carried_is_refused_with_what_to_do(name, to, field, sentence):
    with pytest.raises(FieldError) as refused:
        translate(configuration(name, ODD), to)
    assert refused.value.field == field and sentence in str(refused.value)


def test_other_refusals():
    with pytest.raises(FieldError, match=r"eps_root = 0\.5 has no counterpart in Adam: give 0 for it"):
        translate(TrainingConfig("optax_adam", 64, {"eps_root": 0.5}), "pytorch")
    with pytest.raises(FieldError, match="leaves the range of floating-point numbers"):
        translate(TrainingConfig("rmsprop", 64, {"eps": 1e-200}), "keras")
    with pytest.raises(FieldError, match="library = 'flax' is not known: give one of pytorch"):
        translate(TrainingConfig("adam", 64), "flax")
    with pytest.raises(FieldError, match="has no counterpart"):  # a group is refused as well
        translate(TrainingConfig("adam", 64, groups=(ParameterGroup("all", {"weight_decay": 0.1}),)), "keras")


def test_what_the_refusals_advise_is_torchs_l2():
    base = configuration("adam", ODD)
    h, x, g = dict(base.hyperparameters), np.array([0.7, -1.3]), np.array([0.2, 0.5])
    real = STEPS["adam"](x, g, {}, h, 1)
    jax, optax = library("jax"), library("optax")
    with jax.enable_x64(True):
        chained = optax.chain(optax.add_decayed_weights(h["weight_decay"]), optax.adam(h["lr"], h["beta1"], h["beta2"], h["eps"]))
        update, _ = chained.update(jax.numpy.asarray(g), chained.init(jax.numpy.asarray(x)), jax.numpy.asarray(x))
        assert np.allclose(x + np.asarray(update), real, rtol=1e-12)
    keras, torch = library("keras"), library("torch")
    weights = torch.tensor(x, dtype=torch.float32, requires_grad=True)
    keras.regularizers.L2(h["weight_decay"] / 2)(weights).backward()
    assert np.allclose(weights.grad.numpy(), h["weight_decay"] * x, rtol=1e-6)
