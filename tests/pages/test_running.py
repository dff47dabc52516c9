"""What runs is seen on every page, what has ended is told, and a question stands before what would be lost."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest
import stored
from sqlalchemy import update
from streamlit.testing.v1 import AppTest

from sqrtscale.home import home as home_folder
from sqrtscale.runner import process
from sqrtscale.store import Result
from sqrtscale.store.lab import LabRuns
from sqrtscale.store.models import Calibration, LabRun
from sqrtscale.ui.state import TAB

ROOT = Path(__file__).resolve().parents[2]
PAGES = ["pages/scale.py", "pages/calibrate.py", "pages/results.py", "pages/compare.py"]
ANSWER = "Yes: the scaled settings train like the base settings, to within 0.02 nats per image. The same test tells unscaled."


def opened(page: str = "pages/scale.py", id: str = "") -> AppTest:
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60).run()
    if id:
        app.query_params["id"] = id
    return app.switch_page(page).run()


def line(app: AppTest) -> list[tuple[str, str]]:
    """(label, address' query) of the links that the line on top has: all of them stand before those of the page."""
    links = [(link.proto.label, link.proto.query_string) for link in app.get("page_link")]
    return [link for link in links if "badge[" in link[0] or "more" in link[0]]


def told(app: AppTest) -> dict | None:
    """What the browser is asked to do about notifications; None where nothing is asked."""
    data = [json.loads(element.proto.json) for element in app.get("bidi_component") if "offered" in element.proto.json]
    return data[0] if data else None


@pytest.mark.parametrize("page", PAGES)
def test_nothing_is_shown_when_nothing_runs(page, store):
    stored.calibration(store)
    app = opened(page)
    assert line(app) == [] and told(app) is None and app.session_state[TAB] == "sqrtscale"


@pytest.mark.parametrize("page", PAGES)
def test_every_page_shows_the_one_that_trains_and_how_many_more(page, store):
    stored.calibration(store, "QUEUED")
    id = stored.calibration(store, "RUNNING", name="its *name*")
    app = opened(page)
    assert line(app) == [(r":blue-badge[RUNNING] **its \*name\*** 50% · about 4 s left", f"id={id}"), ("+1 more", "")]
    assert app.session_state[TAB] == "50% · sqrtscale"
    assert told(app) == {"offered": True, "ended": []} and not app.exception


def test_its_own_page_has_no_link_to_itself(store):
    id = stored.calibration(store, "RUNNING")
    app = opened("pages/results.py", id)
    assert line(app) == [] and told(app)["offered"] and app.session_state[TAB] == "50% · sqrtscale"


@pytest.mark.parametrize(("state", "words"), [
    ("DONE", ANSWER.partition(". ")[0] + "."), ("FAILED", "killed by SIGKILL"), ("TIMED_OUT", "killed by SIGKILL")])
def test_what_has_ended_is_told_until_the_user_goes_elsewhere(store, state, words):
    id = stored.calibration(store, "RUNNING", name="mine")
    app = opened()
    store.set_verdict(id, Result("matches", ANSWER))
    store.transition(id, state, among=["RUNNING"], reason="" if state == "DONE" else "killed by SIGKILL")
    for _ in range(2):
        app.run()
        ((label, query),) = line(app)
        assert label.replace("\\", "").endswith(f"-badge[{state}] **mine** {words}") and query == f"id={id}"
        ended = {"id": id, "title": f"{state.lower()}: mine", "words": words, "page": "results"}
        assert told(app) == {"offered": False, "ended": [ended]}
        assert app.session_state[TAB] == f"{state.lower()} · sqrtscale"
    app.switch_page("pages/calibrate.py").run()
    assert line(app) == [] and told(app) is None and app.session_state[TAB] == "sqrtscale"


def test_what_the_user_has_ended_or_nobody_can_read_is_not_told(store):
    cancelled, purged = stored.calibration(store, "QUEUED"), stored.calibration(store, "RUNNING")
    app = opened()
    store.request_cancel(cancelled)
    store.transition(purged, "DONE", among=["RUNNING"])
    store.delete(purged)
    store.purge()
    app.run()
    assert line(app) == [] and told(app) is None and app.session_state[TAB] == "sqrtscale"


def test_one_whose_process_is_gone_is_not_shown_as_running_on_any_page(store):
    id = stored.calibration(store, "RUNNING")
    store.set_process(id, host=process.host(), boot_id=process.boot_id(), pid=2**22, pid_started="1")
    assert line(opened()) == [] and store.get(id).state == "LOST"


def test_one_that_cannot_be_read_hides_no_other(store):
    unreadable, readable = stored.calibration(store, "RUNNING"), stored.calibration(store, "RUNNING", name="fine")
    with store._write.begin() as session:
        session.execute(update(Calibration).where(Calibration.id == unreadable).values(plan={"task": "gone"}))
    assert [query for _, query in line(opened())] == [f"id={readable}"]


def test_a_store_that_cannot_be_opened_leaves_a_page_that_needs_none_as_it_is():
    home_folder().mkdir(parents=True, exist_ok=True)
    (home_folder() / "sqrtscale.db").write_bytes(b"no database at all" * 100)
    app = opened()
    assert not app.error and not app.exception and app.text_input(key="lr").value and line(app) == []


def test_a_first_visit_opens_no_store():
    assert not opened().exception and not home_folder().exists()


def unescaped(app: AppTest) -> list[tuple[str, str]]:
    """The line, without what escapes its Markdown."""
    return [(label.replace("\\", ""), query) for label, query in line(app)]


def lab_run(store, **settings) -> str:
    return LabRuns(store).create({"algorithm": "adam", "problem": "double_well", "noise": "student:3", **settings})


def test_every_page_shows_the_run_of_the_lab_that_computes_and_the_one_that_waits(store):
    waits = lab_run(store)
    app = opened()
    assert unescaped(app) == [(":gray-badge[QUEUED] **Lab: adam, double well, student:3** ", f"id={waits}")]
    computes = lab_run(store, noise="gauss")
    LabRuns(store).begin(computes)
    LabRuns(store).beat(computes, 128, 512)
    LabRuns(store).set_process(computes, **vars(process.me()))
    app.run()
    ((label, query), more) = unescaped(app)
    assert query == f"id={computes}" and label.startswith(":blue-badge[RUNNING] **Lab: adam, double well, gauss** 25% · about ")
    assert more == ("+1 more", "") and app.session_state[TAB] == "25% · sqrtscale"
    LabRuns(store).end(waits, "CANCELLED", "cancelled by the user")
    LabRuns(store).end(computes, "DONE", answer="E x: slope 1.02 (0.97 to 1.07). More.", result="{}")
    app.run()
    ((label, query),) = unescaped(app)
    assert label.endswith("-badge[DONE] **Lab: adam, double well, gauss** E x: slope 1.02 (0.97 to 1.07).")
    (ended,) = told(app)["ended"]
    assert query == f"id={computes}" and ended["page"] == "lab"


def test_a_run_of_the_lab_with_damaged_settings_or_a_process_that_is_gone_hides_no_other(store):
    damaged, gone, fine = (lab_run(store) for _ in range(3))
    with store._write.begin() as session:
        session.execute(update(LabRun).where(LabRun.id == damaged).values(settings="{"))
    LabRuns(store).set_process(gone, host=process.host(), boot_id=process.boot_id(), pid=2**22, pid_started="1")
    app = opened("pages/lab.py", fine)
    assert not app.exception and unescaped(app)[0] == (f":gray-badge[QUEUED] **Lab: {damaged}** ", f"id={damaged}")
    assert LabRuns(store).get(gone).state == "INTERRUPTED"


def buttons(app: AppTest) -> dict[str, object]:
    return {button.label: button for button in app.button}


@pytest.mark.parametrize("trained", [timedelta(0), timedelta(seconds=40)])
def test_what_has_hardly_begun_is_cancelled_at_once(store, trained):
    id = stored.calibration(store, "RUNNING")
    store.transition(id, "RUNNING", among=["RUNNING"], started_at=store.now() - trained)
    buttons(opened("pages/results.py", id))["Cancel"].click().run()
    assert store.get(id).state == "CANCELLING"


def test_cancelling_asks_once_where_more_than_a_minute_would_be_lost(store):
    id = stored.calibration(store, "RUNNING")
    store.transition(id, "RUNNING", among=["RUNNING"], started_at=store.now() - timedelta(minutes=7, seconds=30))
    app = opened("pages/results.py", id)
    assert "Cancel" not in buttons(app)
    assert any("It has trained for **7 min 3" in text.value for text in app.markdown)
    buttons(app)["Let it train"].click().run()
    assert store.get(id).state == "RUNNING"
    buttons(app)["Cancel it"].click().run()
    assert store.get(id).state == "CANCELLING" and "Cancel it" not in buttons(app)
