"""Arms by name: what each changes and what it leaves, against the formulas of the papers."""

import json
import math
from dataclasses import replace

import pytest

from sqrtscale.arms import DEFAULT_ARMS, KINDS, Arm, default_arms, make_arm, offered
from sqrtscale.plan import WARM_START, CalibrationPlan, make_plan
from sqrtscale.rules import FieldError, ParameterGroup, TrainingConfig, scale
from sqrtscale.training.optimizers import TRAINED

ADAMW = TrainingConfig("adamw", 8, {"lr": 1e-3, "beta1": 0.9, "beta2": 0.99, "eps": 1e-8, "weight_decay": 0.1}, 1000, 100)
RMSPROP = TrainingConfig("rmsprop", 8, {"lr": 1e-3, "alpha": 0.98, "eps": 1e-8, "momentum": 0.9})
TWICE = 2.0  # the square root of kappa = 4
RULE = {"lr": TWICE * 1e-3, "beta1": 0.6, "beta2": 0.96, "eps": 1e-8 / TWICE, "weight_decay": TWICE * 0.1}
BEFORE = dict(ADAMW.hyperparameters)


def to_32(name, base=ADAMW, **forms):
    return make_arm(name, scale(base, 32, **forms))


def values(name, **forms):
    return dict(to_32(name, **forms).config.hyperparameters)


def test_a_typed_lr_moves_the_lr_of_every_group_by_as_much():
    base = replace(ADAMW, groups=(ParameterGroup("head", {"lr": 10 * ADAMW["lr"], "weight_decay": 0.0}),))
    config = to_32("own: lr=5e-3", base).config
    assert config["lr"] == 5e-3 and dict(config.groups[0].values) == pytest.approx({"lr": 5e-2, "weight_decay": 0.0}, rel=1e-12)


@pytest.mark.parametrize("name, expected", [
    ("base", BEFORE),
    ("scaled", RULE),
    ("half-life", RULE | {"beta1": 0.9**4, "beta2": 0.99**4}),
    ("unscaled", BEFORE),
    ("linear lr", BEFORE | {"lr": 4e-3}),
    ("sqrt lr", BEFORE | {"lr": 2e-3}),
    ("lr constant + beta2 half-life", BEFORE | {"beta2": 0.99**4}),
    *((f"without {field}", RULE | {field: BEFORE[field]}) for field in RULE),
    ("own: lr=1.5e-3 beta2=0.97", RULE | {"lr": 1.5e-3, "beta2": 0.97}),
    ("my guess: weight_decay=0", RULE | {"weight_decay": 0.0}),
])
def test_every_arm_is_what_its_name_says(name, expected):
    arm = to_32(name)
    assert (arm.name, arm.svag) == (name, 0)
    assert values(name) == pytest.approx(expected, rel=1e-12)
    if name == "base":
        assert arm.config == ADAMW
    else:  # equal samples, so a quarter of the steps
        assert (arm.config.batch_size, arm.config.total_steps, arm.config.warmup_steps) == (32, 250, 25)


def test_a_noise_aware_arm_moves_by_the_ratio_of_second_moments():
    """r = v' / v = (1 + b / 32) / (1 + b / 8) with b = 24: 0.4375."""
    arm = to_32("noise-aware 24")
    root = math.sqrt(0.4375)
    assert values("noise-aware 24") == pytest.approx(
        RULE | {"lr": 4 * root * 1e-3, "eps": root * 1e-8, "weight_decay": 0.1 / root}, rel=1e-12)
    assert (arm.group, arm.noise_scale) == ("noise-aware", 24) and arm.excess(8) == pytest.approx(0.4375 * 4)
    assert to_32("scaled").excess(8) == 1 and to_32("noise-aware 24 2x").config.batch_size == 16
    plan = make_plan("digits", ADAMW, 32, arms=["noise-aware 24"])
    assert plan.ends("noise-aware 24") == (arm.config, arm.config)
    assert CalibrationPlan.from_dict(json.loads(json.dumps(plan.as_dict()))) == plan
    kept = to_32("noise-aware 24 beta1=0.85")
    assert kept.config["beta1"] == 0.85 and kept.config["lr"] == arm.config["lr"] and kept.noise_scale == 24
    assert to_32("noise-aware 24 beta1=0.85 2x").config.batch_size == 16 and kept.group == "noise-aware"
    with pytest.raises(FieldError, match="sets nothing: give FIELD=NUMBER"):
        to_32("noise-aware 24 beta1=")
    for bad in ("noise-aware x", "noise-aware 0", "noise-aware -1", "noise-aware inf"):
        with pytest.raises(FieldError, match="names no noise scale: give it in samples, for example noise-aware 567"):
            to_32(bad)


def test_an_arm_that_follows_the_noise_scale_lies_between_the_rule_and_linear_lr():
    arm = to_32("noise-aware schedule")
    assert (arm.group, arm.measured, arm.noise_scale) == ("noise-aware", True, 0)
    assert arm.excess(8, 24.0) == pytest.approx(0.4375 * 4) and to_32("scaled").excess(8, 24.0) == 1
    assert to_32("noise-aware schedule 2x").config.batch_size == 16 and to_32("noise-aware schedule 2x").measured
    plan = make_plan("digits", ADAMW, 32, arms=["noise-aware schedule"])
    by_rule, linear = plan.ends("noise-aware schedule")
    assert by_rule.hyperparameters == pytest.approx(to_32("scaled").config.hyperparameters)
    assert (linear["lr"], linear["eps"], linear["weight_decay"]) == pytest.approx((4e-3, 1e-8, 0.1))
    assert plan.follows and not make_plan("digits", ADAMW, 32, arms=["noise-aware 24"]).follows
    assert CalibrationPlan.from_dict(json.loads(json.dumps(plan.as_dict()))) == plan
    one, more = (replace(plan, seeds=tuple(range(count))) for count in (1, 2))
    assert one.identity("noise-aware schedule", 0) != more.identity("noise-aware schedule", 0)  # what it follows is another
    assert one.identity("scaled", 0) == more.identity("scaled", 0)
    with pytest.raises(FieldError, match="what the scaled arm is already"):
        make_arm("noise-aware schedule", scale(TrainingConfig("sgd", 8, {"lr": 0.1}), 32))
    for optimizer in ("sgd", "rmsprop_centered"):
        with pytest.raises(FieldError, match="what the scaled arm is already"):
            make_arm("noise-aware 24", scale(TrainingConfig(optimizer, 8, {"lr": 0.1}), 32))


def test_the_other_decay_form_is_offered_under_its_own_name():
    assert values("linear form", decay_form="half-life") == pytest.approx(RULE)
    assert values("scaled", decay_form="half-life") == pytest.approx(values("half-life"))
    with pytest.raises(FieldError, match="arms = 'half-life' is what the scaled arm is already: give linear form"):
        to_32("half-life", decay_form="half-life")
    with pytest.raises(FieldError, match="'linear form' is what the scaled arm is already: give half-life"):
        to_32("linear form")


def test_an_arm_may_be_at_another_batch():
    arm = to_32("scaled 1/2x")
    assert (arm.name, arm.config.batch_size) == ("scaled 1/2x", 4)
    assert arm.config["lr"] == pytest.approx(1e-3 / math.sqrt(2)) and arm.config["beta1"] == pytest.approx(0.95)
    assert to_32("unscaled 8x").config.hyperparameters == ADAMW.hyperparameters
    assert to_32("linear lr 3/2x").config.batch_size == 12
    assert to_32("own: lr=7e-3 2x").config["lr"] == 7e-3 and to_32("own: lr=7e-3 2x").config["beta1"] == pytest.approx(0.8)
    assert to_32("scaled  4/2x").name == "scaled 2x"


@pytest.mark.parametrize("name, message", [
    ("magic", "arms = 'magic' is not an arm: give any of base, scaled, unscaled, linear lr"),
    ("own: lr", "holds 'lr', which sets nothing: give FIELD=NUMBER"),
    ("own: lr=fast", "holds 'lr=fast', which sets nothing"),
    ("own: lr=-1", "lr = -1"),
    ("own: lr=nan", "lr = nan"),
    ("own: alpha=0.9", "alpha = 0.9 is not a field of AdamW: it has lr, beta1"),
    ("own: " + " ".join(f"lr=1e-{i}" for i in range(30)), "is too long: give at most 80 characters"),
    ("scaled 1/3x", "has no whole batch: 1/3 times 8 is 2.66667"),
    ("scaled 16x", "beta1 = 0.9 has no scaled value"),
    ("base 2x", "has one batch only"),
    ("svag 2 2x", "has one batch only"),
    ("scaled 2x 2x", "has one batch only"),
    ("svag 17", "arms = 17 is not allowed: give a whole number from 1 to 16"),
    ("without alpha", "'without alpha' is no ablation here"),
    ("without clip_norm", "'without clip_norm' is no ablation here"),
])
def test_a_name_that_is_no_arm_says_what_to_give(name, message):
    with pytest.raises(FieldError) as error:
        to_32(name)
    assert message in str(error.value)


def test_only_what_the_rule_moves_can_be_left_out():
    def ablations(base, **forms):
        return [kind.name for kind in offered(scale(base, 32, **forms)) if kind.group == "ablation"]

    assert ablations(ADAMW) == [f"without {field}" for field in ("lr", "beta1", "beta2", "eps", "weight_decay")]
    # Adam's decay is part of the gradient and stays; RMSprop's momentum is kept unless the plan scales it.
    adam = TrainingConfig("adam", 8, {"weight_decay": 0.1, "eps": 0.0, "beta1": 0.0}, run={"clip_norm": 1.0})
    with pytest.raises(FieldError, match="beta1 = 0"):  # 1 - kappa (1 - 0) is no decay rate
        make_arm("scaled", scale(adam, 32))
    assert ablations(adam, decay_form="half-life") == ["without lr", "without beta2", "without clip_norm"]
    assert ablations(RMSPROP) == ["without lr", "without eps", "without alpha"]
    assert "without momentum" in ablations(RMSPROP, momentum_form="scaled")
    assert make_arm("without clip_norm", scale(adam, 32, "half-life")).config.run == {"clip_norm": 1.0}


@pytest.mark.parametrize("optimizer", TRAINED)
def test_what_is_offered_can_be_made_and_comes_in_order(optimizer):
    scaled = scale(TrainingConfig(optimizer, 8), 64)
    found = offered(scaled)
    assert tuple(kind.name for kind in found[:4]) == default_arms(scaled) and set(found) <= set(KINDS.values())
    for kind in found:
        assert make_arm(kind.name, scaled).name == kind.name
        assert kind.description.endswith(".") or kind.description.endswith("]."), kind.description


@pytest.mark.parametrize("optimizer", TRAINED)
@pytest.mark.parametrize("target", [2, 24, 64])
def test_no_arm_that_is_offered_repeats_the_rule(optimizer, target):
    """Every other one trains something else, so that a control can differ."""
    scaled = scale(TrainingConfig(optimizer, 8, run={"clip_norm": 1.0}), target, "half-life")
    at_target = [arm for arm in (kind.make(scaled) for kind in offered(scaled)) if arm.config.batch_size == target]
    same = [arm.name for arm in at_target if not arm.measured  # which moves as it trains
            if all(math.isclose(arm.config[name], value) for name, value in scaled.config.hyperparameters.items())]
    assert same == ["scaled", "without clip_norm"] and len(at_target) > 4


def test_the_linear_rule_is_sgds_own_and_another_control_stands_in_for_it():
    sgd = scale(TrainingConfig("sgd", 8, {"lr": 0.1, "momentum": 0.9}), 24)
    assert make_arm("scaled", sgd).config["lr"] == pytest.approx(0.3, rel=1e-12)
    assert default_arms(sgd) == ("base", "scaled", "unscaled", "sqrt lr")
    assert [arm.name for arm in make_plan("digits", sgd.base, 24).arms] == list(default_arms(sgd))
    with pytest.raises(FieldError, match="arms = 'linear lr' is what the scaled arm is already: give another"):
        make_arm("linear lr", sgd)
    with pytest.raises(FieldError, match="'half-life' is what the scaled arm is already"):  # it has no decay
        make_arm("half-life", sgd)
    with pytest.raises(FieldError, match=r"beta2 half-life' is no arm of SGD .*, which has no second moment: leave it out"):
        make_arm("lr constant + beta2 half-life", sgd)
    # With its momentum scaled as well, kappa * lr at the same momentum is the same rule in its other form, and no control.
    both = scale(sgd.base, 24, momentum_form="scaled")
    assert default_arms(both) == default_arms(sgd)
    with pytest.raises(FieldError, match="'linear lr' is what the scaled arm is already"):
        make_arm("linear lr", both)


ALL = ["linear lr", "own: lr=1e-3", "svag 4", "without eps", "svag 1", "half-life", "unscaled 2x"]


def test_a_plan_with_every_sort_of_arm_survives_json_and_keeps_an_order():
    plan = make_plan("digits", ADAMW, 32, arms=ALL, targets=[16, 4], reuse=False)
    assert [arm.name for arm in plan.arms] == ["base", "scaled", "scaled 1/2x", "scaled 2x", "linear lr", "half-life",
                                               "without eps", "svag 1", "svag 4", "own: lr=1e-3", "unscaled 2x"]
    assert plan.arm("svag 4").svag == 4
    assert [arm.group for arm in plan.arms] == ["base", "rule", "rule", "rule", "control", "form", "ablation", "svag", "svag",
                                                "own", "control"]
    again = CalibrationPlan.from_dict(json.loads(json.dumps(plan.as_dict())))
    assert again == plan and not again.reuse
    # Names are all that is needed to make the same plan again.
    assert make_plan("digits", ADAMW, 32, arms=[arm.name for arm in plan.arms], reuse=False) == plan


def test_a_plan_that_was_stored_before_there_was_svag_is_read():
    plan = make_plan("digits", ADAMW, 32).as_dict()
    del plan["reuse"]
    found = CalibrationPlan.from_dict(plan)
    assert [arm.name for arm in found.arms] == list(DEFAULT_ARMS) and found.reuse
    assert all(set(arm) == {"name", "config", "group"} for arm in plan["arms"])


def test_a_plan_that_was_stored_before_arms_had_groups_is_the_same_plan_with_the_same_runs():
    kinds = [kind.name for kind in offered(scale(ADAMW, 32))]
    plan = make_plan("digits", ADAMW, 32, targets=[16, 4], arms=[
        *kinds, "svag 3", *(f"{name} 2x" for name in kinds if not name.startswith(("base", "svag"))), "own: lr=1e-3",
        "unscaled: lr=1e-3", "control: lr=2e-3 2x"])
    old = json.loads(json.dumps(plan.as_dict()))
    for arm in old["arms"]:
        del arm["group"]
    again = CalibrationPlan.from_dict(old)
    assert again == plan
    assert [again.identity(*run) for run in again.runs] == [plan.identity(*run) for run in plan.runs]
    assert '"group"' not in plan.identity("scaled", 0)


def test_groups_say_what_each_arm_is_for():
    groups = {kind.name: make_arm(kind.name, scale(ADAMW, 32)).group for kind in offered(scale(ADAMW, 32))}
    assert {name for name, group in groups.items() if group == "control"} == {"unscaled", "linear lr"}
    assert {name for name, group in groups.items() if group == "rival"} == {"sqrt lr", "lr constant + beta2 half-life"}
    assert groups == {kind.name: kind.group for kind in offered(scale(ADAMW, 32))}
    assert to_32("linear lr 3/2x").group == "control" and to_32("unscaled: lr=1e-3").group == "own"


def test_a_group_that_is_none_is_refused():
    plan = make_plan("digits", ADAMW, 32).as_dict()
    plan["arms"][1]["group"] = "magic"
    with pytest.raises(FieldError, match="group = 'magic' is not known: give one of base, rule, noise-aware, form, control"):
        CalibrationPlan.from_dict(plan)


def test_the_frontier_is_the_rule_at_every_target():
    plan = make_plan("digits", ADAMW, 64, targets=[16, 32, 64, 4], arms=["unscaled"])
    assert plan.frontier == ((0.5, "scaled 1/2x"), (2.0, "scaled 2x"), (4.0, "scaled 4x"), (8.0, "scaled"))
    assert plan.targets == (4, 16, 32, 64)
    assert [plan.arm_kappa(name) for name in ("base", "unscaled", "scaled 1/2x", WARM_START)] == [1, 8, 0.5, 1]
    for kappa, name in plan.frontier:
        assert plan.config_of(name)["lr"] == pytest.approx(1e-3 * math.sqrt(kappa))
    assert make_plan("digits", ADAMW, 64).targets == ()
    assert make_plan("digits", ADAMW, 64).frontier == ((8.0, "scaled"),)


def test_evaluation_points_are_whole_steps_of_every_target():
    plan = make_plan("digits", TrainingConfig("adam", 8, {"beta1": 0.95}), 48, targets=[16, 24, 12], samples=1000)
    assert plan.unit == 48 and plan.samples == 1008
    points = plan.evaluation_points
    assert points[0] == 0 and points[-1] == 1008 and len(points) == 22
    assert all(point % arm.config.batch_size == 0 for point in points for arm in plan.arms)


@pytest.mark.parametrize("targets, message", [
    ([7, 11, 13], r"targets = '7, 8, 11, 13, 64' stand on whole steps together only every 64064 samples"),
    ([0], "targets = 0"),
    ([100_000], "targets = 100000 is more than the 1437 training samples"),
    ([128], "beta1 = 0.9 has no scaled value"),
])
def test_targets_that_cannot_be_compared_are_refused(targets, message):
    with pytest.raises(FieldError, match=message):
        make_plan("digits", TrainingConfig("adam", 8), 64, targets=targets)


def test_svag_at_another_batch_than_the_base_is_refused():
    plan = make_plan("digits", ADAMW, 32)
    for svag, config in ((2, plan.config_of("scaled")), (-1, ADAMW), (17, ADAMW)):
        arms = (*plan.arms, Arm("svag 2", config, svag))
        with pytest.raises(FieldError, match="arms = 'svag 2' is no SVAG"):
            CalibrationPlan(**{**{f: getattr(plan, f) for f in plan.__dataclass_fields__}, "arms": arms})


def test_work_counts_the_two_batches_of_every_svag_step():
    plan = make_plan("digits", ADAMW, 32, arms=["svag 2"], samples=3200, warm_samples=800, seeds=3)
    # base and scaled draw the time's samples; svag 2 takes 4 steps of 2 x 8 for every 8 samples of time.
    assert plan.work == 800 + 3 * (3200 + 3200 + 3200 // 8 * 4 * 16)


def test_identity_is_all_that_a_curve_depends_on_and_nothing_else():
    plan = make_plan("digits", ADAMW, 32, seeds=2, samples=3200, warm_samples=800)
    same = make_plan("digits", ADAMW, 32, seeds=4, samples=3200, warm_samples=800, arms=["svag 2"], device="cpu", reuse=False)
    for arm in ("base", "scaled", WARM_START):
        assert same.identity(arm, 0) == plan.identity(arm, 0)
    assert len({plan.identity(arm, seed) for arm, seed in plan.runs}) == len(plan.runs)
    other = dict(lr=2e-3, beta2=0.98, eps=1e-7, weight_decay=0.2)
    for field, value in other.items():
        changed = TrainingConfig("adamw", 8, {**ADAMW.hyperparameters, field: value}, 1000, 100)
        found = make_plan("digits", changed, 32, seeds=2, samples=3200, warm_samples=800)
        assert not {found.identity(*run) for run in found.runs} & {plan.identity(*run) for run in plan.runs}
    for change in (dict(samples=6400), dict(warm_samples=1600), dict(start="scratch")):
        found = make_plan("digits", ADAMW, 32, **{**dict(seeds=2, samples=3200, warm_samples=None), **change})
        assert not {found.identity(*run) for run in found.runs} & {plan.identity(*run) for run in plan.runs}
    fields = {f: getattr(plan, f) for f in plan.__dataclass_fields__}
    for change in (dict(task_version=99), dict(evaluations=10), dict(seeds=(1, 0))):
        assert CalibrationPlan(**{**fields, **change}).identity("base", 0) != plan.identity("base", 0)
