"""Plans and arms from what is no number and no name, and from configurations at the edges of floating point."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from odd import NO_NAMES, NO_NUMBERS, of_type, one_line, refused

from sqrtscale.arms import make_arm, offered
from sqrtscale.plan import CalibrationPlan, make_plan, trainable
from sqrtscale.rules import FieldError, TrainingConfig, scale

ADAM = TrainingConfig("adam", 8)


@pytest.mark.parametrize("value", NO_NUMBERS, ids=of_type)
def test_what_is_no_number_is_refused_in_one_line(value):
    refused(make_plan, "digits", ADAM, value)
    refused(make_plan, "digits", ADAM, 16, targets=[value])
    if value is not None:  # the task's default
        for field in ("seeds", "samples", "warm_samples"):
            refused(make_plan, "digits", ADAM, 16, **{field: value})


@pytest.mark.parametrize("name", NO_NAMES, ids=of_type)
def test_what_is_no_name_is_refused_in_one_line(name):
    refused(make_plan, name, ADAM, 16)
    for field in ("start", "device", "size", "decay_form", "momentum_form", "schedule"):
        refused(make_plan, "digits", ADAM, 16, **{field: name})
    refused(make_plan, "digits", ADAM, 16, arms=[name])
    refused(make_arm, name, scale(ADAM, 16))
    if isinstance(name, (str, bytes, dict)) or not hasattr(name, "__iter__"):
        if name is not None:  # the usual arms
            refused(make_plan, "digits", ADAM, 16, arms=name)
        refused(make_plan, "digits", ADAM, 16, targets=name)


@pytest.mark.parametrize("value", NO_NAMES, ids=of_type)
def test_what_is_no_plan_is_refused_in_one_line(value):
    plan = make_plan("digits", ADAM, 16).as_dict()
    refused(CalibrationPlan.from_dict, value)
    for field in ("task", "base", "arms", "seeds", "start", "size", "device", "samples"):
        refused(CalibrationPlan.from_dict, plan | {field: value})
    if not isinstance(value, str) or value != "linear ":  # which names a schedule
        refused(CalibrationPlan.from_dict, plan | {"schedule": value})


@pytest.mark.parametrize("digits", ["9" * 5000, "1/" + "9" * 5000, "0" * 5000])
@pytest.mark.parametrize("name", ["scaled {}x", "unscaled {}x", "svag {}", "own: lr={}", "own: lr=0.{}", "{}", "linear lr 2x {}x",
                                  "svag " + "9" * 70, "scaled " + "9" * 70 + "x", "unscaled 1/" + "9" * 60 + "x"])
def test_thousands_of_digits_in_an_arms_name_are_refused_in_one_line(name, digits):
    refused(make_plan, "digits", ADAM, 16, arms=[name.format(digits)])
    refused(make_arm, name.format(digits), scale(ADAM, 16))


@settings(deadline=None)
@given(st.sampled_from(["adam", "composer_adamw", "keras_rmsprop", "rmsprop"]), st.sampled_from([5e-324, 1e-300, 1.0, 1e300]),
       st.sampled_from([0.0, 5e-324, 1e-300, 1e-8, 1e300]), st.sampled_from([1, 8, 10**12]), st.sampled_from([1, 16, 10**12]),
       st.sampled_from(["mean", "sum"]))
def test_arms_of_extreme_configurations_have_numbers_or_refuse(optimizer, lr, small, batch, target, reduction):
    config = TrainingConfig(optimizer, batch, {"lr": lr, "eps": small, "weight_decay": small}, run={"loss_reduction": reduction})
    trained = trainable(config)
    assert trained is None or trained.optimizer in ("adam", "adamw", "rmsprop")
    try:
        scaled = scale(config, target)
        made = offered(scaled)
    except FieldError as error:
        assert one_line(error)
        return
    assert {kind.name for kind in made} >= {"base"}
    for name in ("svag 2", "scaled 2x", "unscaled 1/3x", "scaled 99999999999999999999x", "own: lr=1e308 eps=1e-320"):
        try:
            assert make_arm(name, scaled).config["lr"] > 0
        except FieldError as error:
            assert one_line(error)


def test_a_calibration_trains_a_summed_loss_by_its_mean():
    """The same steps: eps, clip_norm and L2 over the batch size."""
    summed = TrainingConfig("adam", 8, {"lr": 1e-3, "eps": 8e-8, "weight_decay": 0.8},
                            run={"loss_reduction": "sum", "clip_norm": 4.0})
    trained = trainable(summed)
    assert dict(trained.hyperparameters) == {"lr": 1e-3, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "weight_decay": 0.1}
    assert dict(trained.run) == {"clip_norm": 0.5}
    refused(make_plan, "digits", summed, 16)
