"""mmengine's Python: what a base may hold is asked for, classes by name, iterations as passes."""

import pytest

from sqrtscale.formats import patch, read
from sqrtscale.formats._parsing import parse
from sqrtscale.rules import FieldError, scale
from sqrtscale.rules.batch import Batch

START = "train_dataloader = dict(batch_size=2)\ntrain_cfg = dict(type='IterBasedTrainLoop', max_iters=8000, val_interval=800)\n"


def wrapper(arguments, more="", kind="'AdamW'"):
    return f"optim_wrapper = dict({more}type='OptimWrapper', optimizer=dict(type={kind}, {arguments}))\n"


def test_what_a_base_may_hold_is_asked_for_unless_it_is_replaced():
    based = "_base_ = ['./base.py']\n" + START
    imported = read(based + wrapper("lr=1e-4, weight_decay=0.05"), "a.py")
    assert {question.field for question in imported.questions} == {"beta1", "beta2", "eps", "devices"}
    replaced = read(based + wrapper("lr=1e-4, weight_decay=0.05", more="_delete_=True, "), "a.py")
    assert {question.field for question in replaced.questions} == {"devices"}
    assert replaced.config({"devices": 1})["beta2"] == 0.999


@pytest.mark.parametrize(("kind", "family"), [("'Adam'", "adam"), ("AdamW", "adamw"), ("torch.optim.RMSprop", "rmsprop"),
                                              ("'bnb_AdamW8bit'", "adamw"), ("'SGD'", "sgd")])
def test_a_class_is_named_by_text_or_by_itself(kind, family):
    assert read(START + wrapper("lr=1e-4", kind=kind), "a.py").optimizer == family


@pytest.mark.parametrize(("text", "said"), [
    (START + wrapper("lr=1e-4", kind="'Lion'"), "Lion"),
    (START + wrapper("lr=1e-4", kind="'DAdaptAdam'"), "sets its own lr"),
    (START + wrapper("lr=1e-4") + "optim_wrapper.update(dict(clip_grad=dict(max_norm=1)))\n", "only known when the program runs"),
    (START + wrapper("lr=1e-4") + "param_scheduler = [dict(type='CosineAnnealingMomentum', T_max=9)]\n", "sets beta1 anew"),
])
def test_what_is_not_covered_is_refused(text, said):
    with pytest.raises(FieldError, match=said):
        read(text, "a.py")


@pytest.mark.parametrize(("batch", "iterations"), [(Batch(2, 16, 4), 8000), (Batch(8, 4, 4), 2000), (Batch(2, 4, 16), 2000)])
def test_iterations_are_passes_so_accumulation_leaves_them_alone(batch, iterations):
    text = START + "optim_wrapper = dict(accumulative_counts=4, optimizer=dict(type='AdamW', lr=1e-4))\n"
    imported = read(text, "a.py")
    base = imported.config({"devices": 4})
    assert base.batch_size == 2 * 4 * 4
    patched = parse(patch(text, imported, scale(base, 128), batch).text, "python").data
    assert patched["train_cfg"]["max_iters"] == iterations


def test_without_parts_the_iterations_are_left_to_the_user():
    text = START + wrapper("lr=1e-4")
    imported = read(text, "a.py")
    patched = patch(text, imported, scale(imported.config({"batch_size": 32}), 128))
    assert "max_iters=8000" in patched.text
    assert any("max_iters = 8000 counts passes" in note for note in patched.notes)


def test_a_variable_called_base_lr_is_no_rule():
    imported = read("base_lr = 1e-4\n" + START + wrapper("lr=base_lr"), "a.py")
    assert imported.double_scaling == ()
    assert imported.config({"devices": 1})["lr"] == 1e-4
