"""``--arms``, ``--targets``, ``--schedule``, ``--no-reuse`` and ``--stop-early`` make the plan that they say."""

import shlex

import pytest

from sqrtscale.cli import build_parser
from sqrtscale.report import command
from sqrtscale.rules import FAMILIES, FieldError
from sqrtscale.schedules import CONSTANT
from sqrtscale.training.optimizers import TRAINED


def submitted(monkeypatch, *arguments):
    """The plan that the command would queue."""
    found = []
    monkeypatch.setattr("sqrtscale.runner.submit", lambda store, plan, *_: found.append(plan) or "id")
    options = build_parser().parse_args(["calibrate", "--task", "digits", *arguments])
    assert options.run(options) == 0
    return found[0]


def names(plan):
    return [arm.name for arm in plan.arms]


def test_without_options_it_is_the_rule_with_its_two_controls_and_reuse(monkeypatch):
    plan = submitted(monkeypatch)
    assert names(plan) == ["base", "scaled", "unscaled", "linear lr"] and plan.reuse and plan.targets == ()


def test_another_batch_keeps_the_tasks_kappa(monkeypatch):
    usual, other = submitted(monkeypatch), submitted(monkeypatch, "--batch", "6")
    assert (other.base.batch_size, other.target_batch) == (6, 6 * usual.target_batch // usual.base.batch_size)


@pytest.mark.parametrize("optimizer", TRAINED)
def test_every_optimizer_can_be_calibrated_and_repeated_with_all_its_hyperparameters(monkeypatch, optimizer):
    values = [f"--set={name}={0.5 if name != 'eps' else 1e-3}" for name in FAMILIES[optimizer].fields]
    plan = submitted(monkeypatch, "--optimizer", optimizer, *values, "--set", "clip_norm=2", "--decay-form", "half-life")
    assert plan.base.optimizer == optimizer and plan.base.run == {"clip_norm": 2.0}
    assert all(value == (0.5 if name != "eps" else 1e-3) for name, value in plan.base.hyperparameters.items())
    again = submitted(monkeypatch, *shlex.split(command(plan))[4:])
    assert again == plan


def test_arms_by_any_name(monkeypatch):
    plan = submitted(monkeypatch, "--arms", "without eps", "own: lr=3e-3 beta2=0.99", "svag 2", "--no-reuse")
    assert names(plan) == ["base", "scaled", "without eps", "svag 2", "own: lr=3e-3 beta2=0.99"]
    assert plan.config_of("own: lr=3e-3 beta2=0.99")["lr"] == 3e-3 and plan.arm("svag 2").svag == 2 and not plan.reuse


@pytest.mark.parametrize("options, early", [
    ([], True), (["--device", "cuda"], False), (["--no-stop-early"], False), (["--stop-early", "--device", "cuda:1"], True)])
def test_a_cpu_may_stop_early_and_a_gpu_trains_all_seeds_at_once(monkeypatch, options, early):
    plan = submitted(monkeypatch, "--seeds", "6", *(["--device", "cpu"] if "--device" not in options else []), *options)
    assert plan.stop_early == early and plan.looks == ((3, 5, 6) if early else (6,))
    assert ("--stop-early" if early else "--no-stop-early") in command(plan).split()


def test_targets_are_arms_and_the_largest_is_the_target_unless_one_is_named(monkeypatch):
    plan = submitted(monkeypatch, "--targets", "4", "32", "16", "--arms", "unscaled")
    assert (plan.target_batch, plan.targets) == (32, (4, 16, 32))
    assert names(plan) == ["base", "scaled", "scaled 1/2x", "scaled 2x", "unscaled"]
    plan = submitted(monkeypatch, "--targets", "4", "32", "--target", "16")
    assert (plan.target_batch, plan.targets) == (16, (4, 16, 32))


@pytest.mark.parametrize("text", ["cosine", "linear:0.1", "wsd:0.1,1-sqrt", "inverse-sqrt:0.3", "milestones:0.3,0.6,gamma=0.5"])
def test_a_schedule_is_the_plans_and_repeating_it_takes_the_same(monkeypatch, text):
    plan = submitted(monkeypatch, "--schedule", text)
    assert str(plan.schedule) == text
    assert build_parser().parse_args(shlex.split(command(plan))[1:]).schedule == text
    constant = submitted(monkeypatch)
    assert constant.schedule == CONSTANT and "--schedule" not in command(constant)
    assert constant == submitted(monkeypatch, "--schedule", "constant")


@pytest.mark.parametrize("arguments, message", [
    (["--schedule", "exponential"], "schedule = 'exponential' is not a schedule: give one of constant, cosine"),
    (["--schedule", "cosine:2"], "schedule = 'cosine:2' is not a schedule of kind cosine: give cosine, or cosine:FINAL"),
    (["--targets", "many"], "targets = 'many'"),
    (["--targets", "16", "1.5"], "targets = 1.5"),
    (["--arms", "own: speed=1"], "speed = 1.0 is not a field of Adam"),
    (["--set", "speed=1"], "speed = 1 is not a field of Adam"),
    (["--set", "ema_decay=0.9"], "optimizer = 'adam' cannot be trained here as it is"),
    (["--optimizer", "sgd", "--arms", "linear lr"], "arms = 'linear lr' is what the scaled arm is already: give another"),
])
def test_what_is_no_arm_and_no_target_is_named(monkeypatch, arguments, message):
    with pytest.raises(FieldError) as error:
        submitted(monkeypatch, *arguments)
    assert str(error.value).startswith(message)
