"""What a user's optimizer says of the base configuration, for every class of torch.optim that a calibration trains."""

import shlex

import pytest
import torch
from plain_own import FILES
from torch import optim

from sqrtscale.cli import build_parser
from sqrtscale.cli.configuration import over
from sqrtscale.rules import FieldError, TrainingConfig
from sqrtscale.tasks.own import KnownConfiguration, OwnFile
from sqrtscale.training.check import UNKNOWN, Check
from sqrtscale.training.own_configuration import read_configuration

ADAM = {"lr": 3e-4, "beta1": 0.8, "beta2": 0.98, "eps": 1e-6, "weight_decay": 0.02}
BETAS = {"betas": (0.8, 0.98), "lr": 3e-4, "eps": 1e-6, "weight_decay": 0.02}


def weights(*sizes):
    return [torch.nn.Parameter(torch.zeros(size)) for size in sizes or (3,)]


@pytest.mark.parametrize(("make", "family", "values"), [
    (lambda p: optim.Adam(p, **BETAS), "adam", ADAM),
    (lambda p: optim.Adam(p, amsgrad=True, **BETAS), "amsgrad", ADAM),
    (lambda p: optim.Adam(p, decoupled_weight_decay=True, **BETAS), "adamw", ADAM),
    (lambda p: optim.AdamW(p, **BETAS), "adamw", ADAM),
    (lambda p: optim.NAdam(p, momentum_decay=0.01, **BETAS), "nadam", ADAM | {"momentum_decay": 0.01}),
    (lambda p: optim.RAdam(p, **BETAS), "radam", ADAM),
    (lambda p: optim.RMSprop(p, lr=0.1, alpha=0.9, momentum=0.5), "rmsprop",
     {"lr": 0.1, "alpha": 0.9, "eps": 1e-8, "weight_decay": 0.0, "momentum": 0.5}),
    (lambda p: optim.RMSprop(p, lr=0.1, centered=True), "rmsprop_centered",
     {"lr": 0.1, "alpha": 0.99, "eps": 1e-8, "weight_decay": 0.0, "momentum": 0.0}),
    (lambda p: optim.SGD(p, lr=torch.tensor(0.5), momentum=0.9), "sgd", {"lr": 0.5, "momentum": 0.9, "weight_decay": 0.0}),
])
def test_every_class_and_the_options_that_start_from_it(make, family, values):
    told = read_configuration({"optimizer": make(weights())}, 8)
    assert (told.config.optimizer, told.config.batch_size, told.notes) == (family, 8, ())
    assert dict(told.config.hyperparameters) == pytest.approx(values, rel=1e-12)
    options = build_parser().parse_args(["calibrate", "--task", "digits", *shlex.split(told.flags)])
    assert over(TrainingConfig("adam", 32, {"lr": 1e-3}), options) == told.config


def test_the_largest_group_and_the_lr_before_the_schedule():
    first, second = weights(2, 9)
    optimizer = optim.AdamW([{"params": [first], "weight_decay": 0.0}, {"params": [second], "weight_decay": 0.1}], lr=0.3)
    optim.lr_scheduler.LambdaLR(optimizer, lambda step: step / 10)  # the first step's lr is 0
    told = read_configuration({"optimizer": optimizer, "batch_size": 96}, 8)
    assert (told.config["weight_decay"], told.config["lr"], told.config.batch_size) == (0.1, 0.3, 96)
    assert "its 2 parameter groups differ in weight_decay: that of the largest is taken" in told.notes[0]
    assert "has a schedule, which is not read" in told.notes[1]


@pytest.mark.parametrize(("given", "sentence"), [
    (lambda p: None, "configuration = 'NoneType' is no configuration: return"),
    (lambda p: {"lr": 1.0}, "configuration = 'dictionary of lr' is no configuration"),
    (lambda p: {"optimizer": optim.Adagrad(p)}, "optimizer = 'Adagrad' is none that a calibration trains: give one of torch"),
    (lambda p: {"optimizer": optim.AdamW(p, amsgrad=True)}, "optimizer = 'AdamW with amsgrad' is none that a calibration trains"),
    (lambda p: {"optimizer": optim.SGD(p, 0.1, 0.9, nesterov=True)}, "nesterov = True is an option of no optimizer"),
    (lambda p: {"optimizer": optim.RAdam(p, weight_decay=0.1, decoupled_weight_decay=True)}, "decoupled_weight_decay = True is"),
    (lambda p: {"optimizer": optim.Adam(p), "batch_size": 0}, "batch_size = 0 "),
])
def test_what_is_no_configuration_is_a_sentence(given, sentence):
    with pytest.raises(FieldError) as raised:
        read_configuration(given(weights()), 8)
    assert sentence in str(raised.value)


@pytest.mark.parametrize(("body", "level", "sentence"), [
    ("return {'optimizer': torch.optim.RMSprop(model.parameters(), 2e-3)}", "good",
     "sqrtscale calibrate --task table --optimizer rmsprop --batch 32 --lr 0.002"),
    ("raise KeyError('mine')", "warning", "its configuration cannot be read: KeyError: 'mine' (table.py, line "),
    ("return torch.optim.Adam(model.parameters())", "warning", "configuration = 'Adam' is no configuration: return"),
])
def test_the_check_says_it_and_goes_on_where_it_cannot_be_read(body, level, sentence):
    (path,) = (path for path in FILES if path.stem == "table")
    text = f"{path.read_text()}\n\ndef configuration(model):\n    {body}\n"
    check = Check(OwnFile("table", str(path), text, UNKNOWN), "cpu", 64)
    check.run()
    assert [finding.level for finding in check.findings if sentence in finding.text] == [level]
    assert check.findings[-1].text.startswith("a step at batch 64 takes")


def test_a_file_beside_it_wins_and_that_is_said():
    (path,) = (path for path in FILES if path.stem == "table")
    text = f"{path.read_text()}\n\ndef configuration(model):\n    return {{'optimizer': torch.optim.Adam(model.parameters())}}\n"
    known = KnownConfiguration(TrainingConfig("sgd", 8, {"lr": 1e-2}), "config.json", True)
    check = Check(OwnFile("table", str(path), text, UNKNOWN), "cpu", 16, configuration=known)
    check.run()
    said = [finding.text for finding in check.findings]
    assert any(line.startswith("configuration(model) is left out") for line in said)
    assert not any("the values of its optimizer" in line for line in said)
