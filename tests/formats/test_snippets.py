"""Every snippet, run against the real library: the optimizer that results has the values promised."""

import ast
import json
import re

import numpy as np
import pytest
import running
from libraries import library
from rules.updates import STEPS

from sqrtscale.formats.snippets import SNIPPETS, native, remarks, snippet
from sqrtscale.rules import FAMILIES, FieldError, TrainingConfig, family, scale
from sqrtscale.rules.batch import Batch
from sqrtscale.rules.translate import translate

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:keras", "ignore:Starting from v1.9.0")
IN_TORCH = ("pytorch", "huggingface", "lightning", "deepspeed", "timm")


def scaled_from(name, target=512, form="linear", **further):
    values = {key: value for key, value in {"lr": 3e-4, "momentum": 0.7}.items() if key in FAMILIES[name].fields}
    return scale(TrainingConfig(name, 256, values, **further), target, form)


def promised(scaled, library_name):
    """The configuration in the convention of the snippet."""
    speaks = SNIPPETS[library_name].speaks
    return scaled.config if family(scaled.config.optimizer).library in speaks else translate(scaled.config, speaks[0]).config


def written(name, snippet_name, **further):
    """The text and the promised configuration, or a skip where the library has no such optimizer."""
    scaled = scaled_from(name, **further)
    try:
        promise = promised(scaled, snippet_name)
    except FieldError as error:
        if error.field == "weight_decay":  # Keras' AdamW decays by default, optax' Adam does not decay at all
            raise
        with pytest.raises(FieldError, match="has no counterpart"):
            snippet(scaled, snippet_name)
        return None, None
    return snippet(scaled, snippet_name), promise


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("snippet_name", [*IN_TORCH, "keras"])
def test_the_snippet_makes_the_scaled_optimizer(snippet_name, name):
    text, promise = written(name, snippet_name)
    if text is None:
        return
    kin = family(promise.optimizer)
    made, values, options = getattr(running, f"from_{snippet_name}")(text, kin.fields)
    assert made == kin.call.rpartition(".")[2] and options == kin.options
    exact = 1e-7 if snippet_name == "keras" else 1e-12  # it keeps lr in float32
    assert values == {field: pytest.approx(value, rel=exact, abs=0) for field, value in promise.hyperparameters.items()}


@pytest.mark.parametrize("name", FAMILIES)
def test_the_optax_snippet_takes_the_scaled_steps(name):
    text, promise = written(name, "optax")
    if text is None:
        return
    jax, optax = library("jax"), library("optax")
    random, state, h = np.random.default_rng(0), {}, dict(promise.hyperparameters)
    with jax.enable_x64(True):
        optimizer = running.namespace(text)["optimizer"]
        x = np.array([0.5, -2.0, 0.01])
        theirs, memory = jax.numpy.asarray(x), optimizer.init(jax.numpy.asarray(x))
        for k in range(1, 9):
            g = random.standard_normal(3)
            update, memory = optimizer.update(jax.numpy.asarray(g), memory, theirs)
            theirs, x = optax.apply_updates(theirs, update), STEPS[promise.optimizer](x, g, state, h, k)
            assert np.allclose(theirs, x, rtol=1e-12)


@pytest.mark.parametrize("form", ["linear", "half-life"])
@pytest.mark.parametrize("target", [32, 256, 700])
def test_no_digit_that_counts_is_lost_and_none_is_noise(target, form):
    scaled = scaled_from("adamw", target, form)
    for name in SNIPPETS:
        text = snippet(scaled, name)
        for field, value in promised(scaled, name).hyperparameters.items():
            written = [float(number) for number in re.findall(r"\d+\.?\d*(?:e[-+]?\d+)?", text)]
            assert any(number == pytest.approx(value, rel=1e-12, abs=0) for number in written), (name, field)
        assert not re.search(r"[1-9]\d{13,}", text.replace(".", "")), name  # 13 digits are always enough


@pytest.mark.parametrize("name", FAMILIES)
def test_each_optimizer_has_a_snippet_that_takes_it_as_it_is(name):
    scaled = scaled_from(name)
    assert promised(scaled, native(name)) == scaled.config and snippet(scaled, native(name))


def test_batch_and_steps_are_comments():
    text = snippet(scale(TrainingConfig("adam", 256, total_steps=100_000, warmup_steps=2_000), 1024), "pytorch")
    for line in ("# global batch size: 1024", "# total steps: 25000", "# warm-up steps: 500",
                 "# batch 256 -> 1024 (kappa = 4), square-root rule"):
        assert line in text.splitlines()


@pytest.mark.parametrize("name", SNIPPETS)
def test_a_field_without_a_number_is_named_and_nothing_is_made(name):
    scaled = scale(TrainingConfig("adamw", 256), 8192)
    text = snippet(scaled, name)
    sign = "// " if name == "deepspeed" else "# "
    assert all(line.startswith(sign) for line in text.splitlines())
    assert f"{sign}beta1 has no number." in text and "half-life form" in text
    assert f"{sign}lr = {scaled.fields[0].scaled!r}" in text and "torch.optim" not in text
    if sign == "# ":
        assert ast.parse(text).body == []


def test_the_parts_of_the_batch_must_make_the_target():
    scaled = scaled_from("adamw", 512)
    for name in SNIPPETS:
        assert snippet(scaled, name, Batch(32, 4, 4))
        with pytest.raises(FieldError, match="makes 256, not the target batch 512"):
            snippet(scaled, name, Batch(32, 4, 2))
    assert "global batch size: 512 = 32 × 4 × 4" in snippet(scaled, "pytorch", Batch(32, 4, 4))


def test_an_unknown_library_is_refused_with_those_there_are():
    with pytest.raises(FieldError, match="library = 'caffe' is not known: give one of pytorch, huggingface"):
        snippet(scaled_from("adam"), "caffe")


@pytest.mark.parametrize("name, snippet_name, exactly", [
    ("adamw", "optax", "translated from AdamW, exact"),
    ("adamw", "keras", "translated from AdamW, approximate"),
    ("keras_rmsprop", "pytorch", "eps stands outside the root on one side"),
    ("timm_rmsproptf", "keras", "RMSpropTF starts from v = 1"),
])
def test_a_translation_says_how_exact_it_is(name, snippet_name, exactly):
    text = " ".join(line.removeprefix("# ") for line in snippet(scaled_from(name), snippet_name).splitlines())
    assert exactly in text


def test_what_a_json_cannot_say_stands_beside_it():
    scaled = scaled_from("keras_adam", 512, total_steps=1000, run={"ema_decay": 0.999})
    json.loads(snippet(scaled, "deepspeed"))
    said = " ".join(remarks(scaled, "deepspeed"))
    for part in ("translated from Adam (Keras), approximate", "bias correction", "EMA decay: 0.998", "total steps: 500"):
        assert part in said


@pytest.mark.parametrize("name", IN_TORCH)
def test_weight_decay_of_keras_rmsprop_is_refused_in_torch(name):
    scaled = scale(TrainingConfig("keras_rmsprop", 256, {"weight_decay": 0.1}), 512)
    with pytest.raises(FieldError, match=r"weight_decay = 0\.14"):
        snippet(scaled, name)
