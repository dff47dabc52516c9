"""The command that repeats a calibration, read by the command line's own parser, makes the very plan again."""

import hashlib
import shlex
from dataclasses import replace
from pathlib import Path

import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sqrtscale.arms import offered
from sqrtscale.cli import build_parser
from sqrtscale.cli.calibrate import plan_of
from sqrtscale.plan import CalibrationPlan, make_plan
from sqrtscale.report import command, version_note
from sqrtscale.rules import DECAY_FORMS, FAMILIES, MOMENTUM_FORMS, TrainingConfig, scale
from sqrtscale.schedules import schedule
from sqrtscale.tasks import TASKS, OwnFile, OwnTask, remember
from sqrtscale.tasks.own import Facts, add
from sqrtscale.training import saved
from sqrtscale.training.optimizers import TRAINED

FILES = sorted((Path(__file__).parents[1] / "recipes" / "own").glob("*.py"))

SCHEDULES = ["constant", "cosine", "linear:0.1", "wsd:0.1,1-sqrt", "milestones:0.3,0.6,gamma=0.5"]
NAMED_BY_HAND = ["own: lr=3e-3", "own: lr=1e-05 clip_norm=0.3", "svag 3", "unscaled 2x", "scaled 1/2x"]
DEVICES = ["auto", "cpu", "cuda", "cuda:1", "all", "cuda:0,cuda:2"]


def repeated(plan: CalibrationPlan) -> CalibrationPlan:
    """The plan that the command line makes of the command."""
    return plan_of(build_parser().parse_args(shlex.split(command(plan))[1:]))


@st.composite
def plans(draw) -> CalibrationPlan:
    """Plans with every field, every optimizer's hyperparameters and every field of the run that a calibration has."""
    name, optimizer = draw(st.sampled_from(list(TASKS))), draw(st.sampled_from(TRAINED))
    values = {field: draw(st.floats(0.9, 0.9999)) for field in FAMILIES[optimizer].fields}
    values |= {"lr": draw(st.floats(1e-8, 10))} | ({"eps": draw(st.floats(1e-12, 1e-3))} if "eps" in values else {})
    total = draw(st.none() | st.integers(100, 10**6))
    warmup = draw(st.none() | st.just(0) | st.integers(8, 100))
    run = {"clip_norm": clip} if (clip := draw(st.none() | st.floats(1e-3, 1e3))) else {}
    base = TrainingConfig(optimizer, 2 ** draw(st.integers(2, 5)), values, total, warmup, run)
    target = base.batch_size * draw(st.sampled_from([2, 4, 8]))
    decay_form, momentum_form = draw(st.sampled_from(DECAY_FORMS)), draw(st.sampled_from(MOMENTUM_FORMS))
    targets = draw(st.lists(st.sampled_from([base.batch_size * 2, base.batch_size * 4]), unique=True))
    can_be_corrected = all(scale(base, batch, decay_form, momentum_form).forecast is not None
                           for batch in (target, *targets, base.batch_size // 2, base.batch_size * 2))
    forms = decay_form, momentum_form, can_be_corrected and draw(st.booleans())
    kinds = [kind.name for kind in offered(scale(base, target, *forms)) if kind.name not in ("base", "scaled")]
    start = draw(st.sampled_from(["warm", "scratch"]))
    plan = make_plan(
        name, base, target, arms=draw(st.lists(st.sampled_from(kinds + NAMED_BY_HAND), max_size=5, unique=True)),
        targets=targets, seeds=draw(st.integers(1, 64)), samples=draw(st.integers(1_000, 100_000)),
        start=start, warm_samples=draw(st.integers(1, 100_000)) if start == "warm" else None,
        decay_form=forms[0], momentum_form=forms[1], correct_lr=forms[2], device=draw(st.sampled_from(DEVICES)),
        reuse=draw(st.booleans()),
        stop_early=draw(st.booleans()), size=draw(st.sampled_from(list(TASKS[name].sizes))),
        schedule=schedule(draw(st.sampled_from(SCHEDULES))), go_on=draw(st.booleans()))
    return replace(plan, evaluations=draw(st.integers(1, 200)))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(plans())
def test_the_command_makes_the_same_plan_again(plan):
    again = repeated(plan)
    assert again.as_dict() == plan.as_dict()
    assert again == plan


def test_a_task_goes_on_from_its_checkpoint_under_the_name_it_was_added_by(home, tmp_path):
    path, checkpoint = tmp_path / "my rows.py", tmp_path / "last.pt"  # a name that no task can have
    path.write_text(next(file for file in FILES if file.stem == "table").read_text())
    model = torch.nn.Sequential(torch.nn.Linear(10, 16), torch.nn.Tanh(), torch.nn.Linear(16, 1))
    optimizer = torch.optim.AdamW(model.parameters(), 2e-3)
    for _ in range(3):
        model(torch.ones(1, 10)).square().mean().backward()
        optimizer.step()
    torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict()}, checkpoint)
    file = OwnFile("my-rows", str(path), path.read_text(), Facts(193, 350, 92))
    add(file)
    seen = saved.look(checkpoint, OwnTask(file), None)
    facts = replace(file.facts, checkpoint=seen.checkpoint, configuration=seen.configuration)
    plan = make_plan(remember(replace(file, facts=facts), renew=True).name, seen.configuration.at(8), 32, start="checkpoint")
    again = repeated(plan)
    assert (again.task, again.base, again.checkpoint, again.own.facts) == (plan.task, plan.base, plan.checkpoint, facts)


def test_no_option_is_left_to_a_default_that_may_move():
    """Written out: the evaluations, whether stored runs are taken, and a warm-up of no steps."""
    plan = replace(make_plan("digits", TrainingConfig("adam", 8, warmup_steps=0), 32, reuse=False), evaluations=7)
    said = command(plan)
    assert "--no-reuse" in said and "--evaluations 7" in said and "--warmup 0" in said and repeated(plan) == plan


def test_a_task_of_ones_own_is_named_by_its_file_and_the_hash_of_its_text(home, tmp_path):
    text = '"""Rows."""\ndef model(): ...\ndef data(split): ...\ndef loss(model, batch): ...\n'
    path = tmp_path / "my rows.py"
    path.write_text(text)
    file = OwnFile("my-rows", str(path), text, Facts(193, 3500, 92))
    add(file)
    plan = make_plan(remember(file).name, TrainingConfig("adam", 8), 32)
    assert shlex.split(command(plan))[2:4] == ["--task", str(path)] and repeated(plan) == plan
    assert hashlib.sha256(text.encode()).hexdigest()[:12] in version_note(plan)
    assert version_note(make_plan("digits", TrainingConfig("adam", 8), 32)) == ""
