"""The Results page, run by Streamlit's own test harness on stored calibrations of every kind."""

from __future__ import annotations

import json
import shlex
from dataclasses import replace

import pytest
import stored
from sqlalchemy import select, update
from streamlit.testing.v1 import AppTest

from sqrtscale import runner
from sqrtscale.arms import DEFAULT_ARMS as ARMS
from sqrtscale.cli import main
from sqrtscale.home import calibration_folder
from sqrtscale.plan import WARM_START
from sqrtscale.report import command
from sqrtscale.rules import TrainingConfig
from sqrtscale.store import STATES, Filter, Result
from sqrtscale.store.models import Calibration, Chunk
from sqrtscale.ui import runs

from .opening import page_at

pytestmark = [pytest.mark.filterwarnings("error::DeprecationWarning:sqrtscale"),
              pytest.mark.filterwarnings("error::FutureWarning")]


def opened(id: str = "") -> AppTest:
    return page_at("pages/results.py", **({"id": id} if id else {}))


def said(app: AppTest) -> str:
    """Everything that is written on the page."""
    kinds = (app.markdown, app.caption, app.title, app.info, app.warning, app.error, app.code)
    return "\n".join(element.value for kind in kinds for element in kind)


def charts(app: AppTest) -> list[dict]:
    """The figures that the page hands to its component."""
    data = [json.loads(element.proto.json) for element in app.get("bidi_component")]
    return [json.loads(chart["figure"]) for chart in data if "figure" in chart]


def frames(app: AppTest, column: str):
    return [frame.value for frame in (*app.dataframe, *app.table) if column in frame.value.columns]


def button(app: AppTest, label: str):
    (found,) = [one for one in app.button if one.label == label]
    return found


def test_empty_store_tells_what_to_do_next(store):
    app = opened()
    assert "Nothing stored yet" in said(app)
    links = [link.proto.label for link in app.get("page_link")]
    assert links == ["**Run the first calibration**", "You have curves already? Judge them", "Or scale a configuration first"]


def test_the_list_shows_configuration_state_and_difference(store):
    stored.calibration(store, name="first")
    stored.calibration(store, "RUNNING", measured=[])
    stored.calibration(store, "FAILED", chosen=stored.plan(task="pydoc", seeds=1), reason="out of memory")
    (frame,) = frames(opened(), "State")
    assert list(frame["State"]) == ["FAILED", "RUNNING 50%", "DONE"]
    assert list(frame["Name"]) == ["pydoc: batch 8 → 64", "digits: batch 8 → 64", "first"]
    assert list(frame["Batch"]) == ["8 → 64"] * 3 and list(frame["Optimizer"]) == ["Adam"] * 3
    assert frame["Difference"][2] == pytest.approx(0.01) and frame["Difference"][:2].isna().tolist() == [False, True]


def test_the_list_is_searched(store):
    for name, state in (("alpha", "DONE"), ("beta", "FAILED")):
        stored.calibration(store, state, name=name)
    app = opened()
    app.text_input(key="text").set_value("ALPH").run()
    assert list(frames(app, "State")[0]["Name"]) == ["alpha"]
    app.text_input(key="text").set_value("").run()
    app.multiselect(key="states").set_value(["FAILED", "LOST"]).run()
    assert list(frames(app, "State")[0]["Name"]) == ["beta"]
    app.multiselect(key="states").set_value([]).run()
    store.set_verdict(store.summaries(Filter(text="alpha"))[0].id, Result("not a test", "This run does not test the scaling."))
    app.multiselect(key="outcomes").set_value(["differs", "not a test"]).run()
    assert list(frames(app, "State")[0]["Name"]) == ["alpha"]
    app.multiselect(key="outcomes").set_value([]).run()
    app.multiselect(key="states").set_value(["FAILED"]).run()
    app.text_input(key="text").set_value("alpha").run()
    assert "No calibration fits" in said(app)


def test_a_deleted_calibration_leaves_the_list_and_comes_back(store):
    id = stored.calibration(store, name="mine")
    app = opened(id)
    button(app, "Delete").click().run()
    assert "Deleted. It stays stored until it is purged." in said(app) and store.get(id).deleted_at
    listed = opened()
    assert "All calibrations are deleted" in said(listed)
    listed.toggle(key="deleted").set_value(True).run()
    assert list(frames(listed, "State")[0]["Name"]) == ["mine"]
    button(app, "Undo").click().run()
    assert not store.get(id).deleted_at and "Deleted" not in said(app)


def test_a_calibration_says_which_executor_carried_out_its_steps(store):
    assert "by the executor `eager`." in said(opened(stored.calibration(store)))
    unknown = stored.calibration(store, environment={"device": "cpu"})
    assert "executor" not in said(opened(unknown))


def test_a_calibration_shows_its_tags(store):
    id = stored.calibration(store)
    assert "gray-badge" not in said(opened(id))
    store.tag([id], "to keep", "a [b]")
    assert r":gray-badge[a \[b\]] :gray-badge[to keep]" in [text.value for text in opened(id).markdown]


def test_the_list_judges_what_has_ended_and_nobody_has_judged(store):
    judged = stored.calibration(store, name="old")
    stored.calibration(store, "RUNNING", name="new")
    assert [list(chips) for chips in frames(opened(), "State")[0]["Verdict"]] == [[], ["✓ matches"]]
    app = opened(judged)
    app.text_input(key=f"margin-{judged}").set_value("0.001").run()  # a margin of one's own is shown, not stored
    assert app.error and store.get(judged).answer == opened(judged).success[0].value


@pytest.mark.parametrize(("table", "value", "text"), [
    (Chunk.data, b"junk", "cannot be read: it is shorter than its head"),
    (Calibration.plan, {"task": "gone"}, "task = 'gone' is not known")], ids=["damaged", "task gone"])
def test_one_that_cannot_be_judged_is_opened_and_listed(store, table, value, text):
    id = stored.calibration(store, name="odd")
    with store._write.begin() as session:
        old = session.scalar(select(Calibration.plan))
        session.execute(update(table.class_).values({table: old | value if isinstance(value, dict) else value}))
    assert any(text in one.value.replace("\\", "") for one in opened(id).error)
    assert [list(chips) for chips in frames(opened(), "State")[0]["Verdict"]] == [[]]


def test_unknown_id(store):
    app = opened("nowhere")
    assert "no calibration with the id" in said(app) and [link.proto.label for link in app.get("page_link")] == ["All results"]


def test_a_finished_calibration_whole(store):
    id = stored.calibration(store, name="A *name* with $marks$")
    app = opened(id)
    assert r"A \*name\* with \$marks\$" in said(app) and "DONE" in said(app)
    assert "**scaled** matches base within 0.011 nats per image" in said(app)
    assert app.success[0].value.startswith("Yes: the scaled settings train like the base settings, to within 0.011")
    (table,) = frames(app, "Difference to base")
    assert [end.split(" ")[0] for end in table["End validation loss"]] == ["0.316989", "0.326989", "0.236989", "0.416989"]
    assert list(table["Difference to base"])[:2] == ["", "+0.010000 (+0.010000 to +0.010000)"]
    assert [said.split("[")[-1].rstrip("]") for said in table["Against base"]] == ["", "matches", "differs", "differs"]
    arms, differences, forest, warm = charts(app)
    named = [trace["name"] for trace in differences["data"] if trace.get("showlegend") is not False]
    assert named == [trace["name"] for trace in forest["data"]] == ["scaled", "unscaled", "linear lr"]
    words = [note["text"] for note in forest["layout"]["annotations"]]
    assert words[:2] == ["<b>scaled</b>", "<b>✓ matches</b>"] and words[-1] == "<b>✗ differs</b>"
    assert [one["name"] for one in arms["data"] if one.get("showlegend") is not False] == list(ARMS)
    assert [one["name"] for one in warm["data"]] == [WARM_START]
    assert arms["layout"]["yaxis"]["title"]["text"] == "Validation loss (nats per image)"
    assert warm["layout"]["xaxis"]["title"]["text"] == "Samples seen since the initial weights"
    (every,) = frames(app, "Reason")
    assert len(every) == 9 and set(every["State"]) == {"DONE"}
    (configurations,) = frames(app, "Field")
    assert list(configurations.iloc[1]) == ["Learning rate", "0.002", "0.0056568542", "0.002", "0.016"]
    assert "`lr' = sqrt(κ) * lr`" in said(app)
    assert json.loads(app.json[0].value)["environment"] == stored.ENVIRONMENT
    assert "sqrtscale calibrate --task digits" in said(app)


def test_the_user_sets_the_margin(store):
    id = stored.calibration(store)
    app = opened(id)
    app.text_input(key=f"margin-{id}").set_value("0.001").run()
    assert "No: the scaled run ends 0.01 nats per image above" in app.error[0].value
    app.text_input(key=f"margin-{id}").set_value("-1").run()
    assert any("is no margin" in one.value for one in app.error) and app.success


def test_the_choices_of_the_view_change_the_figure(store):
    app = opened(id := stored.calibration(store))
    app.segmented_control(key=f"metric-{id}").set_value("val_accuracy").run()
    assert charts(app)[0]["layout"]["yaxis"]["title"]["text"] == "Validation accuracy (share right)"
    app.segmented_control(key=f"band-{id}").set_value("none").run()
    assert len(charts(app)[0]["data"]) == len(ARMS)
    for key in ("seeds", "log_x", "log_y", "steps"):
        app.toggle(key=f"{key}-{id}").set_value(True)
    app.run()
    arms = charts(app)[0]
    assert len(arms["data"]) == 3 * len(ARMS)
    assert arms["layout"]["xaxis"]["type"] == arms["layout"]["yaxis"]["type"] == "log"
    assert arms["layout"]["xaxis"]["title"]["text"].startswith("Optimizer steps")


def test_a_metric_of_one_task_does_not_break_another(store):
    app = opened(id := stored.calibration(store))
    app.segmented_control(key=f"metric-{id}").set_value("val_accuracy").run()
    app.query_params["id"] = stored.calibration(store, chosen=stored.plan(task="pydoc"))
    app.run()
    assert not app.exception
    assert charts(app)[0]["layout"]["yaxis"]["title"]["text"] == "Validation loss (nats per byte)"


def test_from_scratch_there_is_no_branch_point(store):
    arms, differences, _ = charts(opened(stored.calibration(store, chosen=stored.plan(start="scratch"))))
    for figure in (arms, differences):
        assert figure["layout"]["xaxis"]["title"]["text"] == "Samples seen since the initial weights"


@pytest.mark.parametrize(("measured", "text"), [
    ([], "No points were measured."),
    (stored.points(stored.plan())[:1], ""),
    (stored.all_nan(stored.plan()), "There are not yet both a base and a scaled run"),
    (stored.points(stored.plan(), upto=0.4), "It did not run to its end"),
    ([one for one in stored.points(stored.plan()) if one.arm == WARM_START], ""),
    ([one for one in stored.points(stored.plan()) if one.arm == "base"], "There are not yet both a base"),
], ids=["none", "one", "all nan", "some", "warm start only", "base only"])
@pytest.mark.parametrize("state", ["CANCELLED", "FAILED", "LOST", "TIMED_OUT"])
def test_odd_data_do_not_break_the_page(store, state, measured, text):
    app = opened(stored.calibration(store, state, measured=measured, reason="the reason with <b>marks</b>"))
    assert state in said(app) and r"the reason with \<b\>marks\</b\>" in said(app) and text in said(app)
    judged = 2 * (text == "It did not run to its end")  # the differences and the forest plot, where there are pairs
    assert len(charts(app)) == len({one.arm == WARM_START for one in measured}) + judged


def test_a_cancelled_calibration_says_which_arms_stopped_and_compares_where_both_have_been(store):
    chosen = stored.plan(seeds=3)
    cut = [point for point in stored.points(chosen) if point.arm != "unscaled" or point.samples <= chosen.samples / 2]
    app = opened(stored.calibration(store, "CANCELLED", chosen=chosen, measured=cut))
    assert "Stopped before 6,400 samples: unscaled at 3,200." in said(app)
    (table,) = frames(app, "Difference to base")
    assert table["Difference to base"][2].startswith("-0.080000 ")  # as in the whole curves, which lie 0.08 apart throughout


def test_a_diverged_arm_is_told_and_does_not_squeeze_the_others(store):
    chosen = stored.plan(seeds=3)
    app = opened(id := stored.calibration(
        store, chosen=chosen, measured=stored.diverged(chosen, "linear lr"),
        ended={("linear lr", seed): ("DIVERGED", "training loss reached 23.5 before 3200 samples") for seed in (0, 1)}))
    assert "**linear lr** diverged on 2 of 3 seeds: training loss reached 23.5 before 3200 samples." in said(app)
    (every,) = frames(app, "Reason")
    assert list(every["State"]).count("DIVERGED") == 2
    assert charts(app)[0]["layout"]["yaxis"]["range"][1] < 2
    app.toggle(key=f"whole_range-{id}").set_value(True).run()
    assert "range" not in charts(app)[0]["layout"]["yaxis"]


def test_a_long_log_is_cut_for_the_screen(store):
    id = stored.calibration(store, "FAILED", reason="boom")
    folder = calibration_folder(id)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "train.log").write_text("".join(f"line {i}\n" for i in range(9_000)))
    app = opened(id)
    (log,) = [one.value for one in app.code if "line 8999" in one.value]
    assert len(log.splitlines()) == 200
    assert next(one for one in app.expander if one.label == "Log").proto.expanded


@pytest.mark.parametrize(("state", "text"), [
    ("STARTING", ""), ("RUNNING", "Curves appear here"), ("CANCELLING", "The processes are being ended")])
def test_one_that_runs_shows_its_progress(store, state, text):
    app = opened(stored.calibration(store, state, measured=[]))
    assert state in said(app) and text in said(app)
    progress = app.get("progress")[0].proto.text
    assert progress.startswith("Loading torch and the data …" if state == "STARTING" else "50% · arms · 6,800 samples/s · about ")
    assert [one.label for one in app.button if one.label == "Cancel"] == ["Cancel"] * (state != "CANCELLING")
    assert not [one for one in app.button if one.label == "Delete"]


def test_the_place_in_the_queue(store):
    ids = [stored.calibration(store, "QUEUED") for _ in range(3)]
    assert "Waiting for its turn: 2 ahead of it." in said(opened(ids[2]))
    app = opened(ids[1])
    button(app, "Cancel").click().run()
    assert store.get(ids[1]).state == "CANCELLED"
    assert "1 ahead of it" in said(opened(ids[2]))
    elsewhere = store.create(replace(stored.plan(), device="cuda:3"))  # nobody else waits for that one
    assert "Starting" in said(opened(elsewhere))


def test_name_and_note(store):
    id = stored.calibration(store)
    app = opened(id)
    app.text_input(key=f"name-{id}").set_value("  Monday's  ")
    app.text_area(key=f"note-{id}").set_value("A **note**")
    button(app, "Save").click().run()
    assert store.get(id).note == "A **note**"
    assert "A **note**" in said(app) and not app.error
    app.text_area(key=f"note-{id}").set_value("Another")
    button(app, "Save").click().run()
    assert (store.get(id).note, store.get(id).name) == ("Another", "Monday's")


def test_two_people_who_write_a_note_at_once(store):
    id = stored.calibration(store, name="old")
    app = opened(id)
    store.set_note(id, "theirs", store.get(id).note_version)
    app.text_area(key=f"note-{id}").set_value("mine")
    button(app, "Save").click().run()
    assert store.get(id).note == "theirs" and app.text_area(key=f"note-{id}").value == "mine"
    assert "Somebody else has saved this note meanwhile" in said(app) and "theirs" in said(app)
    button(app, "Save").click().run()
    assert store.get(id).note == "mine" and not app.error


def test_a_new_name_alone_leaves_somebody_elses_note(store):
    id = stored.calibration(store, name="old")
    app = opened(id)
    store.set_note(id, "theirs", store.get(id).note_version)
    app.text_input(key=f"name-{id}").set_value("new")
    button(app, "Save").click().run()
    assert (store.get(id).name, store.get(id).note) == ("new", "theirs")
    assert app.text_area(key=f"note-{id}").value == "theirs" and not app.error


@pytest.mark.parametrize("chosen", [
    stored.plan(), stored.plan(task="pydoc", arms=["linear lr"], start="scratch", device="cpu"),
    stored.plan(base=TrainingConfig("rmsprop", 8, {"lr": 1e-3, "alpha": 0.999, "momentum": 0.1}, 1000, 10),
                decay_form="half-life", target=16)])
def test_the_command_makes_the_same_plan(store, monkeypatch, chosen):
    monkeypatch.setattr(runner, "submit", lambda store, plan, name, resume_after_restart=False: store.create(
        plan, name, resume_after_restart=resume_after_restart))
    id = stored.calibration(store, chosen=chosen)
    program, *arguments = shlex.split(command(store.get(id).plan))
    assert program == "sqrtscale" and main(arguments) == 0
    assert store.get(store.summaries()[0].id).plan == chosen and len(store.summaries()) == 2


@pytest.mark.parametrize(("values", "expected"), [
    ([0.3131, 0.4], 6), ([2.5, 1.25], 5), ([12.5, float("nan")], 4), ([1e-9, 1.0], 10), ([float("nan")], 6),
    ([float("inf")], 6), ([0.0], 6), ([123456789.0], 0)])
def test_decimals_show_six_digits_of_the_smallest(values, expected):
    assert runs.places(values) == expected


def test_numbers_as_text():
    assert runs.fixed(0.1, 6) == "0.100000" and runs.fixed(0.1, 3, "+") == "+0.100" and runs.fixed(float("nan"), 3) == ""
    assert runs.fixed(float("inf"), 3) == "inf" and runs.fixed(1.5e30, 6) == "1.5e+30"


def test_every_state_has_a_badge():
    assert set(runs.STATE_COLOURS) == set(STATES)
