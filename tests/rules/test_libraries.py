"""Every family against its library: the step, the names and defaults of the arguments, and the equation that people read."""

import inspect
import re

import numpy as np
import pytest
from libraries import library, part_of
from updates import STEPS

from sqrtscale.rules import FAMILIES

START = np.array([0.7, -1.3, 2.0, 1e-3])
ODD = {"lr": 0.013, "beta1": 0.83, "beta2": 0.957, "alpha": 0.92, "eps": 0.011, "eps_root": 0.007, "weight_decay": 0.037,
       "momentum": 0.81, "momentum_decay": 0.009}  # no default, and all large enough to matter
STEPS_TAKEN = 12
IN_WORDS = ("nadam", "radam")  # their equations say "as in Adam" for a part


def gradients():
    return np.random.default_rng(0).standard_normal((STEPS_TAKEN, START.size)) * [1, 0.3, 0.05, 2]


def values_of(kin):
    return {name: ODD[name] for name in kin.fields}


def maker_of(kin):
    """The real class or function."""
    name = kin.call.rpartition(".")[2]
    if kin.library == "timm":
        return getattr(part_of("timm", "optim", models="group_parameters"), name)
    if kin.library == "composer":
        return getattr(part_of("composer", "optim.decoupled_weight_decay", utils="dist"), name)
    return getattr(library(kin.call.rpartition(".")[0]), name)


def arguments_of(kin, values):
    """The arguments as the library spells them."""
    named = {kin.argument_names[name]: value for name, value in values.items()}
    if kin.library not in ("keras", "optax") and "beta1" in named:
        named["betas"] = (named.pop("beta1"), named.pop("beta2"))
    return named | kin.options


def stepped_in_torch(kin, values):
    torch = library("torch")
    x = torch.nn.Parameter(torch.tensor(START))
    optimizer = maker_of(kin)([x], **arguments_of(kin, values))
    for g in gradients():
        x.grad = torch.tensor(g)
        optimizer.step()
        yield x.detach().numpy().copy()


def stepped_in_keras(kin, values):
    keras = library("keras")
    x = keras.Variable(START, dtype="float64")
    optimizer = maker_of(kin)(**arguments_of(kin, values))
    for g in gradients():
        optimizer.apply([keras.ops.convert_to_tensor(g, dtype="float64")], [x])
        yield x.value.detach().numpy().copy()


def stepped_in_optax(kin, values):
    jax, optax = library("jax"), library("optax")
    with jax.enable_x64(True):
        optimizer, x = maker_of(kin)(**arguments_of(kin, values)), jax.numpy.asarray(START)
        state = optimizer.init(x)
        for g in gradients():
            updates, state = optimizer.update(jax.numpy.asarray(g), state, x)
            x = optax.apply_updates(x, updates)
            yield np.asarray(x)


STEPPED = {"keras": stepped_in_keras, "optax": stepped_in_optax}


def stepped_by_us(name, values):
    x, state = START, {}
    for k, g in enumerate(gradients(), 1):
        x = STEPS[name](x, g, state, values, k)
        yield x


@pytest.mark.parametrize("name", FAMILIES)
def test_every_step_is_the_librarys(name):
    kin = FAMILIES[name]
    real = list(STEPPED.get(kin.library, stepped_in_torch)(kin, values_of(kin)))
    # Keras keeps its hyperparameters in float32, torch's NAdam the product of its momenta.
    digits = 1e-5 if kin.library == "keras" or name == "nadam" else 1e-11
    assert np.allclose(real, list(stepped_by_us(name, values_of(kin))), rtol=digits, atol=digits * 1e-2)
    assert abs(real[-1] - START).max() > 0.01


@pytest.mark.parametrize("name", FAMILIES)
def test_defaults_are_the_librarys(name):
    kin = FAMILIES[name]
    real = {key: about.default for key, about in inspect.signature(maker_of(kin)).parameters.items()}
    ours = arguments_of(kin, {field: about.default for field, about in kin.fields.items()})
    if kin.library == "optax":  # it leaves lr to the caller
        assert real["learning_rate"] is inspect.Parameter.empty
        del ours["learning_rate"]
    for argument, value in ours.items():
        if argument not in kin.options:
            assert (0.0 if real[argument] is None else real[argument]) == value, argument


class Names(dict):
    """What an equation may name beside what it has assigned: the corrected moments, and 0 for a moment not yet begun."""

    def __missing__(self, name):
        if name.endswith("_hat"):
            rate = self["beta1" if name == "m_hat" else "beta2"]
            return self[name.removesuffix("_hat")] / (1 - rate ** self["t"])
        if name in ("m", "v", "v_max", "a", "b"):
            return 0.0
        raise KeyError(name)


def stepped_as_written(kin, values):
    """The family's equation itself, with "x y" read as x * y and "^" as a power."""
    text, _, start = kin.update.partition(" from v = ")
    start, _, rest = start.partition(";")
    text = re.sub(r"(?<=[\w)]) (?=[A-Za-z(])", " * ", f"{text};{rest}".replace("^", "**")).replace("; ", "\n").rstrip(";")
    now = Names(values, theta=START.copy(), sqrt=np.sqrt, max=np.maximum, initial_lr=values["lr"])
    if start:
        now["v"] = float(start)
    for now["t"], now["g"] in enumerate(gradients(), 1):
        exec(text, {}, now)
        yield now["theta"].copy()  # "-=" works in place


@pytest.mark.parametrize("name", [name for name in FAMILIES if name not in IN_WORDS])
def test_the_equation_that_people_read_is_the_step(name):
    kin = FAMILIES[name]
    written = list(stepped_as_written(kin, values_of(kin)))
    assert np.allclose(written, list(stepped_by_us(name, values_of(kin))), rtol=1e-12, atol=1e-14)


def test_a_missing_library_skips_here_and_fails_in_ci(monkeypatch):
    monkeypatch.setenv("CI", "false")
    with pytest.raises(pytest.skip.Exception, match="is missing"):
        library("no_such_library")
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="CI must have it"):
        library("no_such_library")
