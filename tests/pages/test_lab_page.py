"""The Lab page, run by Streamlit's own test harness."""

from __future__ import annotations

import json
from dataclasses import asdict

import pytest
import stored
from streamlit.testing.v1 import AppTest

from sqrtscale.lab import experiment, weak_error
from sqrtscale.lab.stored import PICTURES
from sqrtscale.runner import lab
from sqrtscale.store.lab import LabRuns
from sqrtscale.ui import lab_choices

from .opening import page_at
from .test_results_page import charts


def opened(**address: str) -> AppTest:
    return page_at("pages/lab.py", **address)


def box(app: AppTest, name: str):
    return app.selectbox(key=f"lab-{name}")


def field(app: AppTest, name: str):
    return app.text_input(key=f"lab-run-{name}")


def text(app: AppTest) -> str:
    return "\n".join(element.value for element in (*app.markdown, *app.caption)).replace("\\", "")


def test_it_opens_with_stored_results_and_the_default_configuration(home):
    app = opened()
    assert [box(app, name).value for name in lab_choices.NAMES] == ["adamw", "quadratic", "gauss", "0.9 0.999"]
    courses, errors, paths = charts(app)
    assert [trace["name"] for trace in courses["data"] if trace.get("showlegend", True)] == ["SDE", "η", "η/2", "η/4"]
    assert {"you are here", "κ = 4 times here", "slope 1", "E x, linear lr"} <= {trace["name"] for trace in errors["data"]}
    assert len(paths["frames"]) == 33
    assert "Scale's default configuration on this problem: you are here (1 − β2 = 0.001)" in text(app)
    assert "read off beyond" not in text(app) and "with another ratio" not in text(app)  # they are the default's own decay rates
    switched = list(app.table[0].value["Switched"])
    assert switched[0].startswith("nothing") and "decay rates 0.9, 0.999" in switched
    assert field(app, "betas").value == "0.9 0.999" and field(app, "kappa").value == "4"
    assert app.code[0].value == ("sqrtscale lab --algorithm adamw --problem quadratic --noise gauss --betas 0.9 0.999 --kappa 4 "
                                 "--seconds 60 --json --pictures > lab.json")


def test_the_current_configuration_is_where_you_are(home):
    app = opened(opt="rmsprop", b0="64", b1="1024", alpha="0.99")
    assert box(app, "algorithm").value == "rmsprop"
    assert "Your configuration on this problem: you are here (1 − β2 = 0.01)" in text(app)
    assert "κ = 16 times here (1 − β2 = 0.16)" in text(app) and "--betas 0.99 --kappa 16" in app.code[0].value


def test_a_configuration_without_a_second_moment_has_no_place(home):
    assert "has no second moment, so it has no place on this axis" in text(opened(opt="sgd"))


@pytest.mark.parametrize("betas, nearest", [("0.9 0.95", "0.9 0.95"), ("0.9 0.9", "0.98 0.98"), ("0.9 0.98", "0.95 0.99"),
                                            ("0.9 0.9999", "0.9 0.999"), ("0.9 1", "0.98 0.98"), ("much", "0.98 0.98")])
def test_of_the_decay_rates_that_were_measured_those_with_the_nearest_ratio_are_shown(betas, nearest):
    options = ["0.98 0.98", "0.9 0.95", "0.95 0.99", "0.9 0.999"]
    assert (lab_choices.nearest_betas(betas, options) or options[0]) == nearest


def test_texts_that_make_no_configuration_do_not_hide_the_lab(home):
    app = opened(b0="much")
    assert len(charts(app)) == 3 and "batch_size = 'much'" in text(app)


def test_choices_stand_in_the_address_and_come_from_it(home):
    app = opened(algorithm="rmsprop", law="student:2.9")  # as measured: the nearest that is stored
    assert [box(app, name).value for name in ("algorithm", "problem", "law")] == ["rmsprop", "quadratic", "student:3"]
    assert app.query_params["law"] in ("student:3", ["student:3"])
    box(app, "law").set_value("skewed").run()
    assert app.query_params["law"] in ("skewed", ["skewed"]) and "slope 0.5" in str(charts(app)[1])
    box(app, "algorithm").set_value("signsgd").run()
    assert not app.exception and box(app, "law").value == "gauss" and "signSGD has no β2" in text(app)
    app.switch_page("pages/scale.py").run()
    app.query_params.clear()
    app.switch_page("pages/lab.py").run()
    assert box(app, "algorithm").value == "signsgd"


@pytest.mark.parametrize("law", ["student:1", "stable:1.5"])
def test_a_law_that_is_not_stored_is_no_error(home, law):
    assert box(opened(law=law), "law").value == "gauss"


def test_a_file_of_the_command_line_is_shown(home):
    outcome = weak_error(algorithm="rmsprop", rule="linear lr", betas=(0.9,), chains=512)
    for left_out in ((), PICTURES):
        content = {name: value for name, value in outcome.as_dict().items() if name not in left_out}
        app = opened()
        app.file_uploader[0].upload("lab.json", json.dumps(content).encode(), "application/json").run()
        shown = app.info[0].value.replace("\\", "")
        assert not app.exception and "Shown: lab.json (rmsprop, quadratic, gauss, linear lr)" in shown
        assert len(charts(app)) == (1 if left_out else 3) and "lab-algorithm" not in {each.key for each in app.selectbox}
        assert "This run shows what a wrong rule does" in text(app)


def test_a_file_that_is_none_is_refused_and_the_stored_results_stay(home):
    app = opened()
    app.file_uploader[0].upload("notes.json", b'{"a": 1}', "application/json").run()
    assert "is no result of the lab" in app.error[0].value and len(charts(app)) == 3


def test_a_stored_calibration_leads_to_it(store):
    id = stored.calibration(store)
    app = page_at("pages/results.py", id=id)
    (link,) = [link for link in app.get("page_link") if link.proto.label == "See this configuration in the lab"]
    assert link.proto.page == "lab" and "b0=" in link.proto.query_string


def test_an_experiment_of_ones_own_runs_is_listed_shown_and_deleted(store, navigated):
    app = opened(algorithm="rmsprop")
    field(app, "betas").set_value("0.9")
    field(app, "seconds").set_value("0.001").run()
    assert "512 chains of 2,048 fine steps" in text(app)
    app.button(key="lab-run-start").click().run()
    (record,) = LabRuns(store).newest(9)
    assert app.query_params["id"] in (record.id, [record.id])
    assert lab.wait(store, record.id, lambda record: None).state == "DONE"
    listed = [link.proto.label for link in opened().get("page_link")]
    assert sum("DONE" in label and "RMSprop, quadratic, normal noise" in label for label in listed) == 1
    app = opened(id=record.id)
    assert len(charts(app)) == 3 and "RMSprop, quadratic, normal noise" in app.title[0].value
    assert field(app, "betas").value == "0.9" and "--chains 512 --seed 0" in app.code[0].value
    assert [each.proto.label for each in app.get("download_button")] == ["Download JSON", "Report HTML", "Report MD"]
    app.button(key="lab-delete").click().run()
    assert LabRuns(store).count() == 0 and app.toast[0].value == "Deleted. Undo brings it back." and not app.exception
    assert "It stays stored until it is purged" in app.warning[0].value and "lab-delete" not in {each.key for each in app.button}
    app.button(key="lab-undo").click().run()
    assert LabRuns(store).count() == 1 and not app.warning and app.button(key="lab-delete")


def test_what_cannot_be_run_is_marked_and_not_started(home):
    app = opened(algorithm="rmsprop")
    for name, value, sentence in (
            ("seed", "1.5", "seed = 1.5 is not allowed"), ("seconds", "soon", "seconds = 'soon' is no time"),
            ("betas", "2", "betas = (2,) are no decay rates"), ("kappa", "0", "κ = 0.0 is no ratio of batch sizes")):
        usual = field(app, name).value
        assert not app.button(key="lab-run-start").disabled
        field(app, name).set_value(value).run()
        assert sentence in text(app) and app.button(key="lab-run-start").disabled
        field(app, name).set_value(usual).run()


def test_the_form_follows_the_algorithm(home):
    app = opened(algorithm="rmsprop")
    app.selectbox(key="lab-run-algorithm").set_value("adam").run()
    assert field(app, "betas").value == "0.95 0.99" and not app.button(key="lab-run-start").disabled
    app.selectbox(key="lab-run-algorithm").set_value("signsgd").run()
    assert [each.key for each in app.text_input] == ["lab-run-kappa"] and "The law of signSGD is computed" in text(app)
    app.selectbox(key="lab-run-noise").set_value("stable").run()
    assert "has an SDE only in one dimension and for symmetric noise" in text(app)


def test_one_that_waits_is_cancelled_by_its_button_and_says_so(store):
    runs = LabRuns(store)
    id = runs.create(asdict(experiment()))
    app = opened(id=id)
    assert "QUEUED" in text(app) and "Starting" in app.info[0].value and not charts(app)
    app.button(key="lab-cancel").click().run()
    assert "CANCELLED" in text(app) and "cancelled before it started" in text(app)


def test_a_run_that_is_not_there_or_cannot_be_read_is_a_sentence(store):
    assert "There is no lab run with the id of this address" in opened(id="nothing").error[0].value
    id = LabRuns(store).create({"algorithm": "sgd"})
    LabRuns(store).end(id, "FAILED", "reason")
    assert "algorithm = 'sgd' is not known" in opened(id=id).error[0].value.replace("\\", "")
    app = opened()
    assert any(id in link.proto.label for link in app.get("page_link")) and not app.toggle
    damaged = LabRuns(store).create(asdict(experiment()))
    LabRuns(store).end(damaged, "DONE", result="{")
    assert "is no result of the lab" in opened(id=damaged).error[0].value
    for each in (id, damaged):
        LabRuns(store).delete(each)
    app.run()
    assert app.info[0].value == "All runs are deleted: “Deleted” shows them."
    app.toggle(key="lab-deleted").set_value(True).run()
    assert any(id in link.proto.label for link in app.get("page_link")) and not app.exception
