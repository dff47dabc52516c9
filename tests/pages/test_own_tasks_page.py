"""Tasks of the user's own on the Calibrate page: read, shown, and never run by the server."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from pages.opening import ROOT, page_at
from sqrtscale import runner
from sqrtscale.tasks import OwnFile, remember
from sqrtscale.tasks.own import Facts, Finding, add
from sqrtscale.ui import timing
from sqrtscale.ui.tables import escaped

TEXT = '''"""My *rows* in a line.

Words that [say](more)."""
print("this must not run")
SAMPLE = "row"
MICRO = 8
def model(): ...
def data(split): ...
def loss(model, batch): ...
'''
FINDINGS = (Finding("good", "the loss is a mean"), Finding("warning", "a step takes 1 s"))


def file(text=TEXT, findings=FINDINGS):
    return OwnFile("my-rows", "/nowhere/at_all/rows.py", text, Facts(193, 3500, 92, ("accuracy",)), findings)


@pytest.fixture
def launched(navigated, monkeypatch):
    """Launching stores the plan and starts no process; only built-in tasks are timed."""
    monkeypatch.setattr(runner, "submit", lambda store, plan, name, resume_after_restart=False: store.create(
        plan, name, resume_after_restart=resume_after_restart))
    asked = []
    monkeypatch.setattr(timing, "estimate", lambda plan: asked.append(plan) or runner.Estimate(1.0, "a test", {}))
    timing.timings.clear()
    yield
    timing.timings.clear()
    assert all(plan.own is None for plan in asked)  # a timing would run the file


def said(app):
    return "\n".join(element.value for element in (*app.caption, *app.markdown))


def test_a_task_that_was_added_stands_beside_the_built_in_ones_and_is_launched(launched, store, capsys):
    add(file())
    app = page_at("pages/calibrate.py")
    assert len(app.button_group(key="task").options) == 3
    app.button_group(key="task").set_value("my-rows").run()
    assert not app.exception
    assert escaped("Words that [say](more).") in said(app) and "nowhere" not in said(app)
    assert next(expander.label for expander in app.expander) == "What the check found: 1 to look at"
    assert {":material/check: the loss is a mean", ":material/warning: a step takes 1 s"} <= {line.value for line in app.caption}
    assert "Adam with learning rate 0.001" in said(app) and "Not timed, because your file runs only after Launch" in said(app)
    next(button for button in app.button if button.label == "Launch").click().run()
    (summary,) = store.summaries()
    plan = store.get(summary.id).plan
    assert plan.own == file() and plan.task == file().key and plan.base.batch_size == 32
    assert "must not run" not in capsys.readouterr().out
    assert "own_task_my_rows" not in sys.modules


def test_a_calibration_of_an_earlier_version_is_run_again_as_it_was(launched, store):
    from sqrtscale.plan import make_plan

    earlier = remember(file(TEXT + "# earlier\n"))
    defaults = earlier.defaults
    id = store.create(make_plan(earlier.name, defaults.base, defaults.target_batch), "")
    add(file())
    app = page_at("pages/calibrate.py", again=id)
    task = app.button_group(key="task")
    assert task.value == earlier.name and len(task.options) == 4
    again = store.create(make_plan(file().key, defaults.base, defaults.target_batch), "")
    assert page_at("pages/calibrate.py", again=again).button_group(key="task").value == "my-rows"


def test_a_file_that_has_changed_since_it_was_checked_is_said(launched, tmp_path):
    path = tmp_path / "rows.py"
    path.write_text(TEXT)
    add(replace(file(), path=str(path)))
    app = page_at("pages/calibrate.py")
    app.button_group(key="task").set_value("my-rows").run()
    assert "has changed since" not in said(app) and "not where it was" not in said(app)
    path.write_text(TEXT + "# newer\n")
    app.run()
    assert "The file has changed since it was added" in said(app)
    path.unlink()
    app.run()
    assert "The file is not where it was" in said(app) and "has changed since" not in said(app) and not app.exception


def test_a_task_that_its_check_refuses_is_not_offered(launched):
    add(file(findings=(Finding("bad", "the loss is a sum"),)))
    assert len(page_at("pages/calibrate.py").button_group(key="task").options) == 2


def test_results_of_a_task_whose_file_is_gone_can_be_read(launched, store):
    from sqrtscale.plan import make_plan

    about = remember(file())
    id = store.create(make_plan(about.name, about.defaults.base, about.defaults.target_batch), "")
    app = page_at("pages/results.py", id=id)
    assert not app.exception and not Path(about.file.path).exists()
    assert any("My" in element.value and "in a line" in element.value for element in (*app.title, *app.header, *app.caption))
    assert "a model of 193 parameters" in said(app) and "tiny" not in said(app)


def test_library_and_scale_page_know_calibrations_of_own_tasks_by_their_name(launched, store):
    from stored import BASE, calibration, plan

    from sqrtscale.store import Result

    ids = []
    for text in (TEXT, TEXT + "# another version\n"):
        about = remember(file(text))
        ids.append(calibration(store, chosen=plan(task=about.name, base=BASE, target=32, seeds=3)))
        store.set_verdict(ids[-1], Result("matches", "Yes", 0.01, -0.02, 0.04, 0.05, 300.0, 200.0, 400.0))
    calibration(store)
    app = page_at("pages/results.py", view="library")
    tasks = next(choice for choice in app.multiselect if choice.label == "Task")
    assert tasks.options[-1] == "my-rows"
    tasks.set_value(["my-rows@"]).run()
    assert not app.exception and "2 calibrations: 2 match" in said(app)
    assert page_at("pages/results.py", view="library", tasks="my-rows@").multiselect(key="tasks").value == ["my-rows@"]
    scale = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
    scale.session_state["Noise scales that were measured"] = True
    labels = scale.run().selectbox(key="measured-noise").options
    assert [label.startswith("300 (200 to 400): my-rows, adam, batch 8") for label in labels] == [True, True]
