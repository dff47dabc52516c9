"""The command line as a user meets it: what is printed, exit codes, one line for bad input."""

import argparse
import json
import math
import subprocess
import sys
from collections import Counter
from contextlib import closing
from dataclasses import replace

import pytest

from sqrtscale import runner
from sqrtscale.cli import build_parser, main
from sqrtscale.cli.runs import record_text
from sqrtscale.plan import make_plan
from sqrtscale.rules import TrainingConfig
from sqrtscale.runner import snapshots
from sqrtscale.schedules import CONSTANT, schedule
from sqrtscale.store import ACTIVE_STATES, Store
from sqrtscale.training.events import Measured

ADAM = ["scale", "--optimizer", "adam", "--lr", "1e-3", "--betas", "0.9", "0.999", "--eps", "1e-8",
        "--weight-decay", "0", "--batch", "256", "--target", "1024"]


def process(*arguments):
    """The command as a process of its own."""
    return subprocess.run([sys.executable, "-m", "sqrtscale", *arguments], text=True, capture_output=True,
                          stdin=subprocess.DEVNULL)


def test_scale_prints_exact_digits_and_why(sqrtscale):
    done = sqrtscale(*ADAM[:-1], "2048")
    assert done.returncode == 0 and done.stderr == ""
    assert "kappa = 8" in done.stdout and "0.0028284271" in done.stdout and "3.5355339e-09" in done.stdout
    assert "lr' = sqrt(kappa) * lr" in done.stdout and "proved in the paper" in done.stdout


def test_scale_json_is_one_object_with_everything(sqrtscale):
    done = sqrtscale(*ADAM, "--steps", "100000", "--warmup", "2000", "--json")
    found = json.loads(done.stdout)
    assert found["kappa"] == 4
    assert found["scaled"] == {"optimizer": "adam", "lr": 2e-3, "betas": [0.6, 0.996], "eps": 5e-9, "weight_decay": 0.0,
                               "batch_size": 1024, "total_steps": 25000, "warmup_steps": 500}
    assert found["base"]["betas"] == [0.9, 0.999] and found["base"]["batch_size"] == 256
    assert {"name", "base", "scaled", "formula", "source", "status"} <= set(found["fields"][0])
    assert found["warnings"] == []


def test_scale_rmsprop_and_a_decay_without_a_number(sqrtscale):
    rmsprop = ["scale", "--optimizer", "rmsprop", "--lr", "1e-3", "--alpha", "0.99", "--eps", "1e-8", "--momentum", "0.5",
               "--batch", "256", "--json", "--target"]
    found = json.loads(sqrtscale(*rmsprop, "1024").stdout)
    assert found["scaled"]["alpha"] == pytest.approx(0.96) and found["scaled"]["momentum"] == 0.5
    beyond = json.loads(sqrtscale(*rmsprop, "51200").stdout)
    assert beyond["scaled"]["alpha"] is None and "half-life" in beyond["warnings"][0]
    kept = json.loads(sqrtscale(*rmsprop, "51200", "--decay-form", "half-life").stdout)
    assert kept["scaled"]["alpha"] == pytest.approx(0.99**200)


@pytest.mark.parametrize("arguments, message", [
    ([], "sqrtscale: the following arguments are required: COMMAND"),
    (["scale"], "sqrtscale scale: the following arguments are required: --optimizer, --lr, --batch, --target"),
    ([*ADAM, "--speed", "9"], "sqrtscale: unrecognized arguments: --speed 9"),
    ([*ADAM, "--optimizer", "adamx"], "optimizer = 'adamx' is not known: give one of adam, "),
    ([*ADAM, "--optimizer", "lion"], "optimizer = 'lion' has no derived rule (it takes the sign of the update"),
    ([*ADAM, "--set", "ema_decay"], "--set = 'ema_decay' sets nothing: give FIELD=VALUE"),
    ([*ADAM, "--set", "ema_decay=2"], "ema_decay = 2 is not a factor per step: give a number above 0 and at most 1"),
    ([*ADAM, "--set", "speed=2"], "speed = 2 is not a field of Adam"),
    ([*ADAM, "--lr", "fast"], "lr = 'fast' is not allowed: give a finite number above 0, for example 0.001"),
    ([*ADAM, "--lr", "-1"], "lr = -1 is not allowed"),
    ([*ADAM, "--lr", "nan"], "lr = nan is not allowed"),
    ([*ADAM, "--lr", "-1e-3"], "lr = -0.001 is not allowed"),
    ([*ADAM, "--lr", "-inf"], "lr = -inf is not allowed"),
    ([*ADAM, "--lr", "1\n2"], "lr = '1\\n2' is not allowed"),
    ([*ADAM, "--betas", "-.5", "0.999"], "beta1 = -0.5 is not a decay rate"),
    ([*ADAM, "--betas", "0.9"], "sqrtscale scale: argument --betas: expected 2 arguments"),
    ([*ADAM, "--opt", "adam"], "sqrtscale: unrecognized arguments: --opt adam"),
    ([*ADAM, "--betas", "0.9", "1"], "beta2 = 1 is not a decay rate: give a number in [0, 1), for example 0.999"),
    ([*ADAM, "--eps", "inf"], "eps = inf is not allowed"),
    ([*ADAM, "--alpha", "0.9"], "alpha = 0.9 is not a field of Adam: it has lr, beta1, beta2, eps, weight_decay"),
    ([*ADAM, "--target", "0"], "target_batch = 0 is not allowed: give a whole number from 1"),
    ([*ADAM, "--batch", "1.5"], "batch_size = 1.5 is not allowed"),
    ([*ADAM, "--per-device", "8", "--accumulation", "4", "--devices", "4"],
     "--batch = 256 is not --per-device 8 x --accumulation 4 x --devices 4 = 128: "),
    ([*ADAM, "--devices", "7"], "--batch = 256 is no multiple of --devices 7: the global batch is the product of all three"),
    (["check", *ADAM[1:], "--devices", "3", "--per-device", "8"],
     "--batch = 256 is no multiple of --per-device 8 x --devices 3 = 24: "),
    ([*ADAM, "--devices", "0"], "devices = 0 is not allowed: give a whole number from 1"),
    ([*ADAM, "--steps", "10", "--warmup", "11"], "warmup_steps = 11 is longer than the run"),
    ([*ADAM, "--decay-form", "cubic"], "decay_form = 'cubic' is not known"),
    (["calibrate", "--task", "mnist"], "task = 'mnist' is not known: give one of digits, pydoc"),
    (["calibrate", "--task", "digits", "--target", "99999"], "target_batch = 99999 is more than the 1437 training samples"),
    (["calibrate", "--task", "digits", "--seeds", "0"], "seeds = 0 is not allowed: give a whole number from 1 to 64"),
    (["calibrate", "--task", "digits", "--name", "\udcff"], "sqrtscale calibrate: argument --name: '\\udcff' is not UTF-8 text"),
    (["calibrate", "--task", "digits", "--samples", "-1"], "samples = -1 is not allowed"),
    (["calibrate", "--task", "digits", "--start", "hot"], "start = 'hot' is not known: give one of warm, scratch"),
    (["calibrate", "--task", "digits", "--arms", "magic"], "arms = 'magic' is not an arm"),
    (["calibrate", "--task", "digits", "--device", "toaster"], "device = 'toaster' is not known"),
    (["runs", "show", "nothere"], "ID = 'nothere' is not a stored calibration"),
    (["runs", "delete", ""], "ID = '' is not a stored calibration"),
    (["app", "--port", "web"], "port = 'web' is not allowed: give a whole number from 1 to 65535, for example 8501"),
    (["runs", "export", "nothere", "--format", "xml"], "--format = 'xml' is not known: give one of csv, json"),
])
def test_bad_input_is_one_line_and_exit_code_2(home, capsys, arguments, message):
    code = main(arguments)
    out, said = capsys.readouterr()
    assert code == 2 and out == ""
    assert said.startswith(message) and said.count("\n") == 1


def test_bad_input_ends_the_process_with_exit_code_2():
    done = process(*ADAM, "--lr", "fast")
    assert (done.returncode, done.stdout) == (2, "") and done.stderr.startswith("lr = 'fast' is not allowed")


def test_parts_that_make_the_base_batch_are_those_of_the_target(capsys):
    assert main([*ADAM, "--per-device", "8", "--accumulation", "4", "--devices", "8", "--export", "huggingface"]) == 0
    assert "# global batch size: 1024 = 8 × 16 × 8" in capsys.readouterr().out


def test_a_store_that_cannot_be_used_is_one_line_and_exit_code_1(sqrtscale, monkeypatch):
    monkeypatch.setenv("SQRTSCALE_DATABASE_URL", "postgresql+psycopg://nobody@127.0.0.1:1/none")
    done = sqrtscale("runs", "list")
    assert done.returncode == 1 and done.stderr.startswith("cannot open the database") and done.stderr.count("\n") == 1


def parsers(parser):
    """A parser and all parsers of its commands."""
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            assert all(choice.help for choice in action._choices_actions)
            for nested in action.choices.values():
                yield from parsers(nested)


def test_every_command_and_option_has_help(sqrtscale):
    found = list(parsers(build_parser()))
    assert len(found) == 40  # the program, nine commands, four groups with six, eleven, five and five actions
    for parser in found:
        assert parser.format_help().startswith(f"usage: {parser.prog}")
        for action in parser._actions:
            assert action.help or isinstance(action, argparse._SubParsersAction), (parser.prog, action.dest)
    done = sqrtscale("calibrate", "--help")
    assert done.returncode == 0 and "--warm-samples" in done.stdout and done.stderr == ""


def test_scale_loads_nothing_heavy():
    code = (f"import sys; from sqrtscale.cli import main; main({ADAM!r}); "
            "print([m for m in ('torch', 'numpy', 'pandas', 'sqlalchemy', 'streamlit') if m in sys.modules])")
    done = subprocess.run([sys.executable, "-c", code], text=True, capture_output=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.fixture
def stored():
    """A finished calibration with a NaN, in the home of this test."""
    store = Store.open()
    id = store.create(make_plan("digits", TrainingConfig("adam", 8), 64, seeds=2, samples=640), "mine")
    for arm, loss in (("base", 1.0), ("scaled", 1.1), ("linear lr", math.nan)):
        for seed in (0, 1):
            store.write_points(id, [Measured(arm, seed, 8 * i, {"val_loss": loss + seed / 1000}) for i in range(3)])
    store.transition(id, "DONE", among=ACTIVE_STATES)
    store.close()
    return id


def test_a_schedule_is_shown_and_a_constant_learning_rate_is_not():
    plan = make_plan("digits", TrainingConfig("adam", 8), 64, seeds=2, samples=640, schedule=schedule("wsd:0.1,1-sqrt"))
    with closing(Store.open()) as store:
        shown = record_text(store, store.get(store.create(plan)))
        constant = record_text(store, store.get(store.create(replace(plan, schedule=CONSTANT))))
    assert ("schedule wsd:0.1,1-sqrt: the learning rate stays constant, and falls by 1 - sqrt to 0 over the last 10%"
            in shown.splitlines())
    assert "schedule" not in constant


@pytest.mark.process
def test_runs_are_listed_shown_exported_deleted_and_restored(sqrtscale, stored, tmp_path):
    assert stored in sqrtscale("runs", "list").stdout
    assert json.loads(sqrtscale("runs", "list", "--json").stdout)[0]["outcome"] == ""  # nobody has judged it yet
    shown = sqrtscale("runs", "show", stored[:6]).stdout
    assert "DONE" in shown and "+0.10000" in shown and "executor" not in shown  # nobody noted it
    assert "No: the scaled run ends 0.1 nats per image above the base run" in shown
    assert json.loads(sqrtscale("runs", "show", stored, "--json").stdout)["plan"]["target_batch"] == 64
    assert "differs" in sqrtscale("runs", "list", "--text", "differs").stdout
    (listed,) = json.loads(sqrtscale("runs", "list", "--json").stdout)
    assert (listed["id"], listed["outcome"]) == (stored, "differs") and listed["answer"].startswith("No: the scaled run")
    assert sqrtscale("runs", "export", stored, "--format", "html").stdout.startswith("<!doctype html>")
    assert sqrtscale("runs", "export", stored, "--format", "md").stdout.startswith("# ")
    lines = sqrtscale("runs", "export", stored, "--format", "csv").stdout.splitlines()
    assert lines[0] == "arm,seed,metric,samples,value" and "base,1,val_loss,16,1.001" in lines
    assert "linear lr,0,val_loss,0,nan" in lines
    file = tmp_path / "all.json"
    assert sqrtscale("runs", "export", stored, "--format", "json", "--output", str(file)).returncode == 0
    found = json.loads(file.read_text(), parse_constant=pytest.fail)
    assert found["id"] == stored and len(found["curves"]) == 6
    again = sqrtscale("runs", "export", stored, "--output", str(file))
    assert again.returncode == 2 and "cannot be written" in again.stderr
    assert sqrtscale("runs", "delete", stored).returncode == 0
    assert stored not in sqrtscale("runs", "list").stdout and stored in sqrtscale("runs", "list", "--deleted").stdout
    assert sqrtscale("runs", "restore", stored).returncode == 0 and stored in sqrtscale("runs", "list").stdout


def test_one_that_ended_before_it_was_done_is_queued_again_and_others_are_refused(home, capsys, monkeypatch):
    monkeypatch.setattr(runner, "_start", lambda store, id: None)  # no process
    with closing(Store.open()) as store:
        plan = make_plan("digits", TrainingConfig("adam", 8, {"lr": 1e-3}), 64, seeds=1, samples=640)
        with_one, without = store.create(plan), store.create(plan)
        for id in (with_one, without):
            store.transition(id, "FAILED", among=["QUEUED"], reason="a reason")
        snapshots.folder(with_one).mkdir(parents=True)
        (snapshots.folder(with_one) / "000000001.snapshot").touch()
        for id in (with_one, without):
            assert (f"go on    sqrtscale runs resume {id}" in record_text(store, store.get(id))) == (id == with_one)
        for id, how in ((with_one, "goes on from its last snapshot"), (without, "has no snapshot here and begins anew")):
            assert main(["runs", "resume", id]) == 0
            assert capsys.readouterr().out == f"{id} is queued again and {how}: sqrtscale runs show {id}\n"
            assert store.get(id).state == "QUEUED"
        assert main(["runs", "resume", without]) == 2
        assert f"calibration = '{without}' is QUEUED: give one that has ended before it was done" in capsys.readouterr().err


@pytest.mark.process
def test_runs_are_tagged_found_by_their_tags_and_untagged(sqrtscale, stored):
    done = sqrtscale("runs", "tag", stored[:6], "paper", "ablation of  beta2")
    assert done.stdout == f"{stored} has the tags ablation of beta2, paper\n"
    assert "ablation of beta2, paper" in sqrtscale("runs", "list", "--tag", "paper", "--tag", "ablation of beta2").stdout
    assert sqrtscale("runs", "list", "--tag", "paper", "--tag", "other").stdout == "no calibration fits\n"
    assert json.loads(sqrtscale("runs", "show", stored, "--json").stdout)["tags"] == ["ablation of beta2", "paper"]
    assert sqrtscale("runs", "tag", stored, "--remove", "paper", "ablation of beta2").stdout == f"{stored} has no tags\n"
    refused = sqrtscale("runs", "tag", stored, "x" * 41)
    assert refused.returncode == 2 and "is no tag: give 1 to 40 characters" in refused.stderr


@pytest.mark.process
def test_what_was_deleted_is_removed_for_good_only_when_told_to(sqrtscale, stored):
    assert sqrtscale("runs", "purge", "--yes").stdout == "nothing is deleted\n"
    sqrtscale("runs", "delete", stored)
    asked = sqrtscale("runs", "purge")
    assert asked.returncode == 2 and "would remove 1 deleted calibration for good" in asked.stderr
    assert stored in sqrtscale("runs", "list", "--deleted").stdout
    assert sqrtscale("runs", "purge", "--yes").stdout == f"{stored} is removed for good\n"
    assert "is not a stored calibration" in sqrtscale("runs", "show", stored).stderr


@pytest.mark.process
def test_runs_that_were_taken_over_are_marked(sqrtscale, stored):
    with closing(Store.open()) as store:
        store.add_event(stored, "reused", {"runs": [{"arm": arm, "seed": seed, "from": source} for arm, seed, source in (
            ("base", 0, "abc"), ("base", 1, "abc"), ("scaled", 1, "def"))]})
    shown = sqrtscale("runs", "show", stored).stdout.splitlines()
    assert [line for line in shown if "taken" in line] == ["base, seeds 0, 1: taken from calibration abc, not trained again",
                                                           "scaled, seed 1: taken from calibration def, not trained again"]
    runs = json.loads(sqrtscale("runs", "show", stored, "--json").stdout)["runs"]
    assert {(run["arm"], run["seed"]): run["taken_from"] for run in runs if run["taken_from"]} == {
        ("base", 0): "abc", ("base", 1): "abc", ("scaled", 1): "def"}
    assert all("taken_from" in run for run in runs)


@pytest.mark.process
def test_an_id_may_be_short_but_not_ambiguous(sqrtscale, stored):
    with closing(Store.open()) as store:
        plan = store.get(stored).plan
        others = [store.create(plan) for _ in range(17)]  # more than there are hexadecimal digits
        for id in others:
            store.transition(id, "DONE", among=ACTIVE_STATES)
    first = Counter(id[0] for id in [stored, *others]).most_common(1)[0]
    done = sqrtscale("runs", "show", first[0])
    assert done.returncode == 2 and done.stderr.startswith(f"ID = '{first[0]}' fits {first[1]} calibrations: give more of it")
    assert sqrtscale("runs", "delete", stored[:9]).stdout.startswith(f"{stored} is deleted")
    assert "DONE (deleted)" in sqrtscale("runs", "show", stored).stdout


def test_an_ended_calibration_cannot_be_cancelled(sqrtscale, stored):
    done = sqrtscale("runs", "cancel", stored)
    assert done.returncode == 2 and "has ended already: it is DONE" in done.stderr


def test_an_empty_store_says_what_to_do(sqrtscale):
    assert "sqrtscale calibrate" in sqrtscale("runs", "list").stdout


@pytest.mark.process
def test_calibrate_and_wait_ends_done_in_the_same_store():
    done = process("calibrate", "--task", "digits", "--target", "32", "--seeds", "1", "--samples", "320", "--start",
                     "scratch", "--arms", "base", "scaled", "--device", "cpu", "--name", "short", "--wait", "--json")
    assert done.returncode == 0, done.stderr
    record = json.loads(done.stdout)
    assert record["state"] == "DONE" and record["name"] == "short"
    assert [run["arm"] for run in record["runs"]] == ["base", "scaled"]
    assert record["environment"]["device"] == "cpu"
    assert {run["executor"] for run in record["runs"]} == {record["environment"]["executor"]} == {"compiled"}
    assert "\nexecutor compiled\n" in process("runs", "show", record["id"]).stdout
    curves = Store.open().curves(record["id"])
    losses = curves["metric"].isin(["val_loss", "train_loss", "val_accuracy"])
    assert losses.sum() == 2 * 3 * 11 and {"noise", "signal", "second_moment"} <= set(curves["metric"])


@pytest.mark.process
def test_calibrate_that_fails_has_exit_code_1(sqrtscale):
    done = sqrtscale("calibrate", "--task", "digits", "--lr", "1e9", "--eps", "1e-30", "--seeds", "1", "--samples", "640",
                     "--warm-samples", "800", "--wait")
    assert done.returncode == 1 and "FAILED" in done.stdout and "the warm start diverged" in done.stdout
