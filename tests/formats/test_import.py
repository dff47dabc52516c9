"""Each format's file gives the right configuration; what is missing is asked for, and nothing else."""

import json
import subprocess
import sys

import pytest
import samples
from samples import ALL, EXPECTATIONS, NAMES, asked, text_of

from sqrtscale.formats import FORMATS, read
from sqrtscale.rules import FieldError, ParameterGroup, TrainingConfig
from sqrtscale.rules.batch import Batch

ADAM = {"beta1": 0.9, "beta2": 0.999, "eps": 1e-8}
EXPECTED = {  # file -> format, optimizer, batch, questions, hyperparameters, run
    "hf_llama_factory.yaml": (
        "hf", "adamw", Batch(1, 2, 8), ["devices"], {"lr": 1e-5, "weight_decay": 0.0, **ADAM},
        {"warmup_fraction": 0.1, "checkpoint_interval": 500, "log_interval": 10, "clip_norm": 1.0, "schedule": "cosine"}),
    "hf_training_args.json": (
        "hf", "adamw", Batch(16, 1, 8), ["devices"], {"lr": 5e-5, "weight_decay": 0.01, **ADAM},
        {"total_steps": 20000, "warmup_steps": 1000, "checkpoint_interval": 500, "eval_interval": 500, "log_interval": 100,
         "clip_norm": 1.0, "schedule": "linear", "label_smoothing": 0.1}),
    "model_card_new.md": (
        "model_card", "adamw", Batch(4, 4, 1), [], {"lr": 2e-4, "weight_decay": 0.0, **ADAM},
        {"total_steps": 5000, "warmup_steps": 100, "schedule": "cosine"}),
    "model_card_old.md": (
        "model_card", "adamw", Batch(1, 8, 8), [], {"lr": 1e-4, "weight_decay": 0.0, **ADAM},
        {"warmup_fraction": 0.03, "schedule": "cosine"}),
    "deepspeed.json": (
        "deepspeed", "adamw", Batch(8, 4, 8), [], {"lr": 1.5e-4, "beta1": 0.9, "beta2": 0.95, "eps": 1e-8, "weight_decay": 0.1},
        {"total_steps": 100_000, "warmup_steps": 2000, "clip_norm": 1.0, "log_interval": 100, "schedule": "linear"}),
    "deepspeed_auto.json": (
        "deepspeed", "adamw", Batch(4, 2, 8), ["lr", "batch_size"], {"lr": 3e-4, "weight_decay": 0.0, **ADAM},
        {"log_interval": 2000, "schedule": "constant"}),
    "axolotl.yml": (
        "axolotl", "adamw", Batch(2, 2, 8), ["devices"], {"lr": 2e-4, "weight_decay": 0.0, **ADAM},
        {"warmup_steps": 10, "log_interval": 1, "clip_norm": 1.0, "schedule": "cosine"}),
    "timm_adamw.yaml": (
        "timm", "adamw", Batch(256, 1, 8), ["devices"], {"lr": 1e-3, "weight_decay": 0.05, **ADAM},
        {"clip_norm": 1.0, "schedule": "cosine", "min_lr": 1e-6, "ema_decay": 0.9998, "log_interval": 50,
         "label_smoothing": 0.1}),
    "timm_rmsprop.yaml": (
        "timm", "timm_rmsproptf", Batch(128, 1, 8), ["devices"],
        {"lr": 0.064, "alpha": 0.9, "eps": 0.001, "momentum": 0.9, "weight_decay": 1e-5}, {"label_smoothing": 0.1}),
    "lightning.yaml": (
        "lightning", "adamw", Batch(64, 2, 4), [], {"lr": 5e-4, "beta1": 0.9, "beta2": 0.98, "eps": 1e-8, "weight_decay": 0.05},
        {"total_steps": 50_000, "clip_norm": 1.0, "log_interval": 50, "ema_decay": 0.999}),
    "torchtitan.toml": (
        "torchtitan", "adamw", Batch(1, 1, 64), ["devices"],
        {"lr": 3e-4, "beta1": 0.9, "beta2": 0.95, "eps": 1e-8, "weight_decay": 0.1},
        {"total_steps": 1000, "warmup_steps": 200, "clip_norm": 1.0, "log_interval": 10, "checkpoint_interval": 500,
         "schedule": "linear"}),
    "torchtitan.py": (
        "torchtitan", "adamw", Batch(1, 1, 64), ["devices"],
        {"lr": 3e-4, "beta1": 0.9, "beta2": 0.95, "eps": 1e-8, "weight_decay": 0.1},
        {"total_steps": 3000, "warmup_steps": 600, "clip_norm": 1.0, "checkpoint_interval": 500, "eval_interval": 500,
         "schedule": "linear"}),
    "torchtitan_tokens.py": (
        "torchtitan", "adamw", Batch(16384, 2, 4), [],
        {"lr": 8e-4, "beta1": 0.9, "beta2": 0.95, "eps": 1e-8, "weight_decay": 0.1},
        {"total_steps": 1000, "warmup_steps": 20, "clip_norm": 1.0, "schedule": "wsd"}),
    "param_groups.json": (
        "param_groups", "adamw", Batch(32, 1, 8), ["batch_size"],
        {"lr": 6e-4, "beta1": 0.9, "beta2": 0.95, "eps": 1e-8, "weight_decay": 0.1}, {}),
    "optax.json": (
        "optax", "optax_adamw", Batch(128), [],
        {"lr": 1e-3, "beta1": 0.9, "beta2": 0.98, "eps": 1e-8, "eps_root": 0.0, "weight_decay": 1e-4},
        {"total_steps": 20_000, "warmup_steps": 500, "clip_norm": 1.0}),
    "keras.json": (
        "keras", "keras_adamw", Batch(64, 2, 1), ["per_device"], {"lr": 1e-3, "beta1": 0.9, "beta2": 0.999, "eps": 1e-7,
                                                                  "weight_decay": 0.004},
        {"warmup_steps": 1000, "decay_steps": 9000, "clip_norm": 1.0, "ema_decay": 0.999, "schedule": "cosine"}),
}
GROUPS = {"param_groups.json": (ParameterGroup("no decay", {"weight_decay": 0.0}),)}


def test_every_file_is_expected_and_every_format_has_one():
    others = {path.name.removesuffix(".json"): json.loads(path.read_text()) for path in EXPECTATIONS.iterdir()}
    assert set(EXPECTED) == set(NAMES) and not set(EXPECTED) & set(others) and set(ALL) == set(NAMES) | set(others)
    formats = {expected[0] for expected in EXPECTED.values()} | {expected["format"] for expected in others.values()} - {None}
    assert formats == set(FORMATS)


@pytest.mark.parametrize("name", NAMES)
def test_the_file_gives_its_configuration(name):
    key, optimizer, batch, questions, values, run = EXPECTED[name]
    found = read(text_of(name), name)
    assert (found.format, found.label, found.optimizer) == (key, FORMATS[key].label, optimizer)
    assert asked(found) == questions
    config = found.config(samples.answers(found, batch, values["lr"]))
    assert config == TrainingConfig(optimizer, batch.size, values, run=run, groups=GROUPS.get(name, ()))


@pytest.mark.parametrize("name", NAMES)
def test_pasted_text_is_recognised_as_the_uploaded_file_is(name):
    assert read(text_of(name)) == read(text_of(name), name) == read(text_of(name).encode(), name)


@pytest.mark.parametrize("name", NAMES)
def test_a_missing_answer_is_named_with_its_question(name):
    found = read(text_of(name))
    for question in [one for one in found.questions if one.required]:
        given = {one.field: 8 for one in found.questions if one != question}
        with pytest.raises(FieldError, match="is not in the file") as error:
            found.config(given)
        assert error.value.field == question.field and question.text in str(error.value)


@pytest.mark.parametrize("name", NAMES)
def test_windows_line_ends_and_a_byte_order_mark_change_nothing(name):
    text = text_of(name)
    assert read(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode()) == read(text)


def test_answers_may_correct_what_was_read():
    found = read(text_of("deepspeed.json"))
    config = found.config({"lr": 3e-4, "devices": 16, "accumulation": 2, "total_steps": 5000, "optimizer": "adam"})
    assert (config["lr"], config.batch_size, config.total_steps, config.optimizer) == (3e-4, 256, 5000, "adam")
    with pytest.raises(FieldError, match=r"^global batch = 256 contradicts per_device 8 x accumulation 4 x devices 16 = 512"):
        found.config({"devices": 16})
    assert found.config({"batch_size": 100}).batch_size == 100
    with pytest.raises(FieldError, match=r"^rho = 0\.9 is not a field of AdamW"):
        found.config({"rho": 0.9})
    with pytest.raises(FieldError, match=r"^devices = 0 is not allowed"):
        found.config({"devices": 0})


def test_assumed_defaults_are_said():
    assumed = read(text_of("hf_llama_factory.yaml")).assumed
    for name, key in (("beta1 = 0.9", "adam_beta1"), ("beta2 = 0.999", "adam_beta2"), ("eps = 1e-08", "adam_epsilon"),
                      ("clip_norm = 1.0", "max_grad_norm"), ("weight_decay = 0.0", "weight_decay")):
        assert f"{name} ({key}: the default of TrainingArguments)" in assumed
    assert "learning_rate" not in " ".join(assumed)


def test_what_is_not_recognised_says_what_is():
    with pytest.raises(FieldError, match=f"is not recognised as any of the {len(FORMATS)} formats of docs/formats.md"):
        read('{"foo": 1}')
    with pytest.raises(FieldError, match=r"it has too little of Levanter: trainer, trainer\.train_batch_size"):
        read("trainer:\n  train_batch_size: 8\n")


@pytest.mark.parametrize("name", [name for name in NAMES if name.endswith(".json")])
def test_json_formats_read_the_same_in_one_line_and_in_yaml_where_they_have_yaml(name):
    data = json.loads(text_of(name))
    assert read(json.dumps(data)) == read(text_of(name))


def test_importing_the_formats_is_light():
    done = subprocess.run([sys.executable, "-c", "import sys, sqrtscale.formats; print(*sys.modules)"], capture_output=True,
                          text=True, cwd=samples.FOLDER.parents[2], check=True)
    assert not {"ruamel", "ruamel.yaml", "tomlkit", "torch", "numpy", "yaml"} & set(done.stdout.split())
