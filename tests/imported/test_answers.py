"""What is guessed with its reason, what is refused, and what follows from the answers."""

from pathlib import Path

import pandas as pd
import pytest

from sqrtscale import FieldError
from sqrtscale.compared import ImportedPlan
from sqrtscale.imported import Answers, Selection, arms_of, batch_of, imported, metric_of, seeds_of, values_of
from sqrtscale.logs import Curve, Origin, Run


def run(name, metrics=("loss",), steps=(0, 10, 20), parameters=None, axis="step", window=None, sha=""):
    points = pd.DataFrame({axis: steps, "value": steps}, dtype=float)
    curves = {metric: Curve(metric, points, (axis,), window=window) for metric in metrics}
    return Run(name, (Origin(Path(f"{name}.csv"), sha or name, "csv", "test"),), curves, {}, parameters or {})


def selections(base=("b",), scaled=("s",), **kinds):
    return [Selection("base", tuple(run(name, **kinds) for name in base), 64),
            Selection("scaled", tuple(run(name, **kinds) for name in scaled), 256)]


@pytest.mark.parametrize("name, window, value, reason", [
    ("eval_loss", None, "evaluation", "the name eval_loss"), ("val/acc", None, "evaluation", "the name val/acc"),
    ("interval_loss", None, "batch", "the name interval_loss, and no word in the log of a mean over steps"),
    ("loss", 10, "window", "the log says over how many steps it is averaged"),
    ("train_loss", 1, "batch", "the name train_loss, and no word in the log of a mean over steps"),
    ("accuracy", None, "evaluation", "the name accuracy is not that of a loss")])
def test_what_values_are_is_guessed_by_the_name_and_by_the_log(name, window, value, reason):
    guess = values_of([run("a", (name,), window=window).curves[name]])
    assert (guess.value, guess.reason) == (value, reason)


def test_metrics_that_all_runs_have_and_the_most_likely_one():
    shared, likely = metric_of([run("a", ("lr", "loss", "eval_loss")), run("b", ("eval_loss", "loss", "lr", "other"))])
    assert list(shared) == ["eval_loss", "loss", "lr"] and likely == "eval_loss"


@pytest.mark.parametrize("parameters, batch, reason", [
    ({"args.per_device_train_batch_size": "8", "args.gradient_accumulation_steps": "4", "world_size": "2"}, 64,
     "per_device_train_batch_size x gradient_accumulation_steps x world_size of run a"),
    ({"global_batch_size": "256", "micro_batch_size": "8"}, 256, "global_batch_size of run a"),
    ({"batch_size": "32.0"}, 32, "batch_size of run a")])
def test_a_batch_is_guessed_from_the_configuration(parameters, batch, reason):
    guess = batch_of(run("a", parameters=parameters))
    assert (guess.value, guess.reason) == (batch, reason)
    assert batch_of(run("a", parameters={"batch_size": "many"})) is None


def test_seeds_by_configuration_by_name_and_by_place():
    arms = {"configured": [run("a", parameters={"seed": "7"}), run("b", parameters={"train.seed": "3"})],
            "named": [run("lr3-seed1-b64"), run("lr3-seed2-b64")], "placed": [run("one"), run("two")],
            "single": [run("scaled-1024-2")], "alone": [run("scaled-1024")]}
    assert {arm: guess.value for arm, guess in seeds_of(arms).items()} == {
        "configured": (7, 3), "named": (1, 2), "placed": (0, 1), "single": (2,), "alone": (0,)}


def test_arms_by_name_and_by_batch():
    names = arms_of([run("base-1"), run("big_scaled_2"), run("linear_lr-0"), run("database")])
    assert {name: guess.value for name, guess in names.items()} == {
        "base-1": "base", "big_scaled_2": "scaled", "linear_lr-0": "linear lr"}
    by_batch = arms_of([run("x", parameters={"batch_size": "64"}), run("y", parameters={"batch_size": "256"})])
    assert {name: guess.value for name, guess in by_batch.items()} == {"x": "base", "y": "scaled"}


def test_steps_become_samples_by_the_batch_of_the_arm():
    comparison = imported(selections(), Answers("steps"))
    assert comparison.curves.groupby("arm")["samples"].apply(list).to_dict() == {
        "base": [0, 640, 1280], "scaled": [0, 2560, 5120]}
    assert comparison.plan.base_batch == 64 and comparison.plan.target_batch == 256 and comparison.plan.rule == "scaled"
    assert comparison.notes[0].startswith("loss is taken for training losses of single batches (the name loss")


def test_a_plan_comes_back_from_its_json():
    plan = imported(selections(("b-1", "b-2"), ("s-2", "s-1")), Answers("steps", paired=True, since=100, margin=0.5)).plan
    assert ImportedPlan.from_dict(plan.as_dict()) == plan
    assert [(member.arm, member.seed) for member in plan.runs] == [("base", 1), ("base", 2), ("scaled", 2), ("scaled", 1)]
    with pytest.raises(FieldError, match="is no imported comparison of this version"):
        ImportedPlan.from_dict({"metric": "loss"})


@pytest.mark.parametrize("chosen, answers, words", [
    (selections(metrics=("loss", "eval_loss")), Answers("steps"), "is not named, and the runs share several: give one of ev"),
    (selections(metrics=("loss", "eval_loss")), Answers("steps", "los"), "metric = 'los' is not known"),
    (selections(axis="tokens"), Answers("steps"), "x = 'steps' was not logged with loss of base: give tokens"),
    (selections(axis="epoch"), Answers("steps"), "give logs that count steps, samples or tokens"),
    (selections(("same",), ("same",)), Answers("steps"), "runs = 'same' is given twice, for base and for scaled"),
    (selections(), Answers("steps", since=10**6), "has no finite value of base where the others have some beyond 1,000,000"),
    (selections(), Answers("steps", margin=0), "margin = 0 is no margin"),
    (selections(("b-1", "b-2"), ("s-7", "s-8")), Answers("steps", paired=True), "whole runs of base have seeds [1, 2]"),
    ([*selections()[:1], Selection("scaled", (run("c", ("acc",)),), 256)], Answers("steps"), "metric = '' is not in every run"),
    ([*selections(), Selection("sgd", (), 256)], Answers("steps"), "arms = 'sgd' has no run with a curve"),
    ([selections()[0], Selection("linear", (run("l"),), 256)], Answers("steps"), "has none to judge"),
])
def test_what_cannot_be_compared_is_refused_in_a_sentence(chosen, answers, words):
    with pytest.raises(FieldError) as refused:
        imported(chosen, answers)
    assert words in str(refused.value)


def test_a_meter_in_a_file_of_its_own_goes_to_the_run_in_the_same_place():
    points = pd.DataFrame({"samples": [5.0, 10.0], "value": [1.0, 2.0]})
    measured = {name: Curve(name, points, ("samples",)) for name in ("signal", "noise")}
    meters = [Run(name, (Origin(Path(f"{name}.jsonl"), name, "meter", "test"),), {}, measured) for name in ("m1", "m2")]
    chosen = selections(("b-1", "b-2"))
    chosen[0] = Selection("base", (*meters, *chosen[0].runs), 64)
    curves = imported(chosen, Answers("steps")).curves
    noise = curves[curves["metric"] == "noise"]
    assert sorted(set(zip(noise["arm"], noise["seed"], strict=True))) == [("base", 0), ("base", 1)]


def test_a_copy_of_a_file_is_no_run_of_its_own():
    with pytest.raises(FieldError, match="has a file that is a copy of one of run b"):
        imported([Selection("base", (run("b"),), 64), Selection("scaled", (run("s", sha="b"),), 256)], Answers("steps"))


@pytest.mark.parametrize("metric", ["noise", "second_moment", "loss\0", "x" * 81])
def test_names_that_cannot_be_kept_are_refused(metric):
    with pytest.raises(FieldError, match="metric = "):
        imported(selections(metrics=(metric,)), Answers("steps"))


def test_an_arm_is_a_control_by_its_words_and_the_warm_start_is_no_arm():
    assert [Selection(name, (), 1).group for name in ("linear_lr", "Linear-LR", "linear", "sgd", "base")] == [
        "control", "control", "control", "rule", "base"]
    with pytest.raises(FieldError, match="has a meaning of its own"):
        imported([selections()[0], Selection("warm start", (run("w"),), 256)], Answers("steps"))


def test_the_frontier_has_one_arm_for_each_batch():
    batches = {"other": 256, "scaled": 256, "far": 512}
    chosen = [selections()[0], *(Selection(name, (run(name),), batch) for name, batch in batches.items())]
    assert imported(chosen, Answers("steps")).plan.frontier == ((4.0, "scaled"), (8.0, "far"))


def test_a_single_run_is_paired_by_the_seed_that_its_name_shares():
    chosen = [Selection("base", tuple(run(f"base-64-{seed}") for seed in range(3)), 64),
              Selection("scaled", (run("scaled-256-2"),), 256)]
    assert [member.seed for member in imported(chosen, Answers("steps", paired=True)).plan.runs] == [0, 1, 2, 2]
    single = [Selection("base", (run("base-64"),), 64), Selection("scaled", (run("scaled-256"),), 256)]
    assert [member.seed for member in imported(single, Answers("steps", paired=True)).plan.runs] == [0, 0]
