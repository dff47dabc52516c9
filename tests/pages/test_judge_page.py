"""The judge page: uploads are read, what they do not say is asked, and the comparison is stored and opened."""

from __future__ import annotations

import tomllib

import pytest

from sqrtscale.compared import ImportedArm

from .opening import ROOT, page_at
from .uploaded import BATCHES, answer, button, curve, files, meter, read, said

pytestmark = pytest.mark.usefixtures("navigated")


def test_uploads_are_assigned_answered_judged_and_opened(store):
    app = read(files())
    arms = {box.label.removeprefix("Arm of "): box.value for box in app.selectbox if box.label.startswith("Arm of ")}
    assert arms == {f"{arm.replace(' ', '-')}-{seed}": arm for arm in BATCHES for seed in range(3)}
    assert "what the logs count" in said(app.info) and button(app, "Judge").disabled
    answer(app, scaled="8 x 4 x 32")
    app.radio(key="judge-paired").set_value(True).run()
    assert [box.value for box in app.number_input] == [0, 1, 2] * 3  # the rows stand in the order of the files
    app.text_input(key="judge-name").set_value("my runs")
    button(app, "Judge").click().run()
    assert not app.exception and "train like the base settings" in said(app.success)
    [summary] = store.summaries()
    plan = store.record(summary.id).plan
    assert "The seeds were typed" not in said(app.caption)
    assert (summary.title, summary.outcome, summary.task, summary.optimizer) == ("my runs", "matches", "imported", "")
    assert app.query_params["id"] == summary.id
    assert plan.arms == (
        ImportedArm("base", 256, "base"),
        ImportedArm("scaled", 1024, "rule"),
        ImportedArm("linear lr", 1024, "control"),
    )
    assert (plan.paired, plan.axis, plan.metric, plan.values, plan.since, plan.margin) == (
        True,
        "steps",
        "eval_loss",
        "evaluation",
        0,
        None,
    )


def test_what_was_answered_is_what_is_judged(store):
    app = answer(read(files(seeds=4)))
    app.selectbox(key="judge-arm-linear-lr-0").set_value("leave out").run()
    app.selectbox(key="judge-arm-linear-lr-1").set_value("leave out")
    app.selectbox(key="judge-arm-linear-lr-2").set_value("leave out")
    app.selectbox(key="judge-arm-linear-lr-3").set_value("unscaled").run()
    app.text_input(key="judge-batch-unscaled").set_value("512").run()
    app.selectbox(key="judge-metric").set_value("train_loss").run()
    assert app.radio(key="judge-values-train_loss").value == "batch"
    app.radio(key="judge-values-train_loss").set_value("evaluation").run()
    app.radio(key="judge-paired").set_value(True).run()
    app.number_input(key="judge-seed-base-base-0").set_value(4294967295).run()
    app.number_input(key="judge-seed-unscaled-linear-lr-3").set_value(3)
    app.text_input(key="judge-since").set_value("102400")
    app.text_input(key="judge-margin").set_value("0.5").run()
    button(app, "Judge").click().run()
    assert not app.exception and not app.error
    [summary] = store.summaries()
    plan = store.record(summary.id).plan
    assert {(run.arm, run.seed) for run in plan.runs} == {
        *(("base", seed) for seed in (4294967295, 1, 2, 3)),
        *(("scaled", seed) for seed in range(4)),
        ("unscaled", 3),
    }
    assert "The seeds were typed" in said(app.caption) and "Seeds of scaled: 0, 1, 2, 3 (the number" in said(app.markdown)
    assert plan.batch_of("unscaled") == 512 and plan.since == 102_400 and plan.margin == 0.5
    assert (plan.metric, plan.values) == ("train_loss", "evaluation")


def test_seeds_that_are_given_twice_are_refused():
    app = answer(read(files(("base", "scaled"))))
    app.radio(key="judge-paired").set_value(True).run()
    app.number_input(key="judge-seed-base-base-0").set_value(1).run()
    button(app, "Judge").click().run()
    assert "give every run of an arm a seed of its own" in said(app.error)


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("empty.csv", b"", "is empty"),
        ("picture.png", bytes(range(256)) * 20, "is no log that is known"),
        ("twice.csv", b"step,loss,loss\n1,2,3\n2,1,2\n", "has two columns named 'loss'"),
        ("columns.csv", b"step,loss\n", "has column names and no rows"),
        ("../../evil.csv", b"step,loss\n1,2\n", "is no name of a file that can be kept"),
    ],
)
def test_a_file_that_cannot_be_read_gets_one_sentence(name, content, sentence):
    app = read({name: content, "base-0.csv": curve("base", 0)})
    [error] = app.error
    assert sentence in error.value.replace("\\", "") and "\n" not in error.value
    assert not [box for box in app.selectbox if box.label.startswith("Arm of")]


def test_the_limit_is_said_before_an_upload_and_is_the_servers():
    config = tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text())
    app = page_at("pages/judge.py")
    assert f"up to {config['server']['maxUploadSize']} MB each" in said(app.caption)
    assert {uploader.proto.max_upload_size_mb for uploader in app.file_uploader} == {config["server"]["maxUploadSize"]}


def test_reading_nothing_says_what_to_do():
    app = page_at("pages/judge.py")
    button(app, "Read").click().run()
    assert "choose the logs" in said(app.error)


def test_runs_that_share_no_metric_are_told_apart():
    app = read({"base-0.csv": b"step,loss\n1,2\n2,1\n", "scaled-0.csv": b"step,accuracy\n1,2\n2,1\n"})
    assert "is shared by none of these runs: they have loss, accuracy" in said(app.error)
    app.selectbox(key="judge-arm-scaled-0").set_value("leave out").run()
    assert not app.error and "which runs are scaled" in said(app.info)


def test_a_batch_and_a_margin_that_are_none_are_marked_where_they_stand():
    app = answer(read(files(("base", "scaled"))), base="2.5")
    app.text_input(key="judge-margin").set_value("-1").run()
    marks = said(app.markdown)
    assert "batch_size = 2.5" in marks and "margin = -1 is no margin" in marks
    assert "the batch of base; the margin" in said(app.info) and button(app, "Judge").disabled


def test_answers_outlive_another_page_and_are_forgotten_with_the_logs():
    app = answer(read(files(("base", "scaled"))))
    app.selectbox(key="judge-arm-scaled-1").set_value("leave out").run()
    app.switch_page("pages/scale.py").run()
    app.switch_page("pages/judge.py").run()
    assert app.text_input(key="judge-batch-base").value == "256" and app.radio(key="judge-axis").value == "steps"
    assert app.selectbox(key="judge-arm-scaled-1").value == "leave out"
    button(app, "Put aside").click().run()
    read({"base-0.csv": curve("base", 0), "scaled-1.csv": curve("scaled", 1)}, app)
    assert app.text_input(key="judge-batch-base").value == "" and app.selectbox(key="judge-arm-scaled-1").value == "scaled"


def test_files_can_be_added_and_a_file_that_is_there_counts_once():
    app = read(files(("base",)))
    read(files(("base", "scaled"), seeds=1), app)
    runs = [box.label.removeprefix("Arm of ") for box in app.selectbox if box.label.startswith("Arm of ")]
    assert runs == ["base-0", "base-1", "base-2", "scaled-0"]


def test_a_table_whose_columns_are_unknown_is_read_with_their_names():
    logs = {
        f"{arm}-0.csv": f"tick,loss\n{''.join(f'{tick},{2 / tick}{chr(10)}' for tick in range(1, 9))}".encode()
        for arm in ("base", "scaled")
    }
    app = read(logs)
    assert "has no column that counts steps" in said(app.error)
    app.text_input(key="log columns").set_value("step=tick")
    read(logs, app)
    assert not app.error and app.selectbox(key="judge-metric").value == "loss"


def test_a_meters_file_says_what_dominates():
    """Noise scale 9000 at a target of 1024: noise dominates."""
    app = answer(read(files(("base", "scaled")) | {"base-0.noise.jsonl": meter(9000.0)}))
    button(app, "Judge").click().run()
    assert "Noise dominates: the noise scale is 9e+03 samples" in said(app.markdown)


def test_a_single_run_is_paired_with_the_run_whose_number_it_has(store):
    logs = files(("base",)) | {"scaled-1.csv": curve("scaled", 1)}
    app = answer(read(logs))
    app.radio(key="judge-paired").set_value(True).run()
    assert [box.value for box in app.number_input] == [0, 1, 2, 1]
    button(app, "Judge").click().run()
    [summary] = store.summaries()
    assert [(run.arm, run.seed) for run in store.record(summary.id).plan.runs][-1] == ("scaled", 1)


def test_runs_that_diverged_are_counted_as_runs():
    broken = {}
    for seed in range(2):
        lines = curve("scaled", seed).splitlines()
        nothing = [line.split(b",")[0] + b",nan,nan" for line in lines[-9:]]
        broken[f"scaled-{seed}.csv"] = b"\n".join([*lines[:-9], *nothing])
    app = answer(read(files(("base",), seeds=4) | broken))
    button(app, "Judge").click().run()
    assert not app.exception and "scaled** diverged on 2 of 2 runs" in said(app.markdown)


def test_one_run_an_arm_is_no_verdict(store):
    app = answer(read(files(("base", "scaled"), seeds=1)))
    button(app, "Judge").click().run()
    assert not app.exception and "one run" in said(app.warning)
    [summary] = store.summaries()
    assert summary.outcome == "cannot tell"
