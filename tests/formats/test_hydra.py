"""Hydra's files: whose batch it is, optimizers by their class, references, and what one file does not hold."""

import pytest

from sqrtscale.formats import patch, read
from sqrtscale.rules import FieldError, scale

MODEL = "model:\n  optimizer:\n    _target_: {optimizer}\n    lr: 0.001\n{arguments}"
TRAINER = "trainer:\n  _target_: lightning.pytorch.Trainer\n  devices: {devices}\n  accumulate_grad_batches: 2\n"
DATA = "data:\n  _target_: {module}\n  batch_size: 64\n"


def configuration(optimizer="torch.optim.AdamW", arguments="", devices=4, module="src.data.own.Data", more=""):
    return (more + MODEL.format(optimizer=optimizer, arguments=arguments) + TRAINER.format(devices=devices)
            + DATA.format(module=module))


@pytest.mark.parametrize(("module", "batch"), [
    ("src.data.own.Data", 64 * 2 * 4),  # of one device, as Lightning has it
    ("src.data.mnist_datamodule.MNISTDataModule", 64 * 2),  # divided by the devices
    ("pl_bolts.datamodules.mnist_datamodule.MNISTDataModule", 64 * 2 * 4),
])
def test_the_batch_is_of_one_device_but_for_the_templates_own_data_module(module, batch):
    imported = read(configuration(module=module), "a.yaml")
    assert not imported.questions
    assert imported.config().batch_size == batch


def test_a_copy_of_the_template_with_another_data_module_is_asked():
    text = configuration(more="task_name: train\n")
    imported = read(text, "a.yaml")
    assert [question.field for question in imported.questions] == ["per_device"]
    base = imported.config({"per_device": 16})
    assert base.batch_size == 16 * 2 * 4
    patched = patch(text, imported, scale(base, 512), None)
    assert "batch_size: 64" in patched.text  # whose batch it is stays open, so it is left to the user
    assert not read(configuration(more="task_name: train\n", devices=1), "a.yaml").questions


def test_without_a_trainer_the_batch_is_asked_for():
    imported = read(MODEL.format(optimizer="torch.optim.Adam", arguments="") + "training:\n  batch_size: 64\n", "a.yaml")
    assert [question.field for question in imported.questions] == ["batch_size"]
    assert "training.batch_size = 64" in imported.questions[0].text


@pytest.mark.parametrize(("optimizer", "arguments", "family", "defaults"), [
    ("torch.optim.adamw.AdamW", "", "adamw", {"eps": 1e-8, "weight_decay": 0.01}),
    ("transformers.AdamW", "", "adamw", {"eps": 1e-6, "weight_decay": 0.0}),
    ("apex.optimizers.FusedAdam", "", "adamw", {"weight_decay": 0.0}),
    ("deepspeed.ops.adam.FusedAdam", "    adam_w_mode: false\n", "adam", {"weight_decay": 0.0}),
    ("deepspeed.ops.adam.DeepSpeedCPUAdam", "    adamw_mode: false\n", "adam", {"weight_decay": 0.0}),
    ("bitsandbytes.optim.PagedAdamW8bit", "", "adamw", {"weight_decay": 0.01}),
    ("composer.optim.DecoupledAdamW", "", "composer_adamw", {"beta2": 0.95, "weight_decay": 1e-5}),
    ("torch.optim.Adam", "    amsgrad: true\n", "amsgrad", {"weight_decay": 0.0}),
    ("torch.optim.Adam", "    decoupled_weight_decay: true\n    weight_decay: 0.1\n", "adamw", {"weight_decay": 0.1}),
    ("torch.optim.RMSprop", "    centered: true\n", "rmsprop_centered", {"alpha": 0.99}),
])
def test_a_class_is_what_its_library_makes_of_it(optimizer, arguments, family, defaults):
    base = read(configuration(optimizer, arguments), "a.yaml").config()
    assert base.optimizer == family
    assert {name: base[name] for name in defaults} == defaults


@pytest.mark.parametrize(("text", "said"), [
    (configuration("torch.optim.NAdam", "    decoupled_weight_decay: true\n    weight_decay: 0.1\n"), "covered for Adam alone"),
    (configuration("torch.optim.Adafactor"), "Adafactor"),
    (configuration("src.optim.Mine"), "no optimizer that the rule covers"),
    (configuration(arguments="    _args_: [0.1]\n"), "arguments without names"),
    (configuration(arguments="    weight_decay: ${oc.env:DECAY}\n"), "only known when the program runs"),
    (configuration(arguments="    weight_decay: ${model.optimizer.weight_decay}\n"), "only known when the program"),  # itself
    ("defaults:\n- override /model: vit\nmodel:\n  optimizer:\n    lr: 0.1\n", "composed one"),
])
def test_what_is_not_covered_or_not_in_the_file_is_refused(text, said):
    with pytest.raises(FieldError, match=said):
        read(text, "a.yaml").config({"optimizer": "adamw"})


def test_a_class_of_nobodys_library_is_asked_for():
    imported = read(configuration("src.optim.AdamW"), "a.yaml")
    assert [question.field for question in imported.questions] == ["optimizer"]
    assert imported.config({"optimizer": "adamw"}).optimizer == "adamw"


def test_a_reference_is_read_and_changed_where_the_value_stands():
    text = configuration(arguments="    weight_decay: ${decay.all}\n", more="decay: {all: 0.1}\n")
    imported = read(text, "a.yaml")
    base = imported.config()
    assert base["weight_decay"] == 0.1
    patched = patch(text, imported, scale(base, 4 * base.batch_size)).text
    assert "all: 0.2" in patched
    assert "weight_decay: ${decay.all}" in patched
