"""The list of stored calibrations and the library, run by Streamlit's own test harness."""

from __future__ import annotations

import json

import pytest
import stored
from sqlalchemy import event
from streamlit.testing.v1 import AppTest

from sqrtscale.rules import TrainingConfig
from sqrtscale.store import Filter, Result
from sqrtscale.ui import browse, library_view, state

from .opening import page_at


def visit(**query: str | list[str]) -> AppTest:
    return page_at("pages/results.py", **query)


def names(app: AppTest) -> list[str]:
    """The rows of the list, by name; none where there is no list."""
    return [name for frame in app.dataframe for name in frame.value["Name"]]


def tick(app: AppTest, *rows: int) -> None:
    """Tick these rows and no others."""
    app.session_state[app.dataframe[0].key] = {"selection": {"rows": list(rows)}}
    app.run()
    assert not app.exception


def press(app: AppTest, label: str) -> None:
    (button,) = [button for button in app.button if button.label == label]
    assert not button.disabled
    button.click().run()
    assert not app.exception


def enabled(app: AppTest) -> set[str]:
    actions = {"Open", "Compare", "Delete", "Restore"}
    return {button.label for button in app.button if button.label in actions and not button.disabled}


@pytest.fixture
def three(store):
    """Oldest first: kappa 8, 2 and 4."""
    ids = [stored.calibration(store, state, name=name, measured=[], chosen=stored.plan(target=target, seeds=1))
           for name, target, state in (("alpha", 64, "DONE"), ("beta", 16, "FAILED"), ("gamma", 32, "DONE"))]
    store.set_verdict(ids[0], Result("matches", "Yes", 0.01, -0.02, 0.04, 0.05, 300.0, 200.0, 400.0, (0.025, -0.2)))
    store.set_verdict(ids[1], Result())
    store.set_verdict(ids[2], Result("differs", "No", -0.3, -0.4, -0.2, 0.05))
    store.tag(ids[:1], "to keep")
    return ids


def test_numbers_are_numbers_and_the_course_is_drawn_in_margins(store, three):
    frame = visit(order="oldest").dataframe[0].value
    assert list(frame["Verdict"].map(list)) == [["✓ matches"], [], ["✗ differs"]]
    assert list(frame["κ"]) == [8, 2, 4] and list(frame["lr"]) == [2e-3] * 3
    assert list(frame["Difference"].fillna(0)) == [0.01, 0, -0.3] and list(frame["±"].fillna(0)) == pytest.approx([0.03, 0, 0.1])
    assert list(frame["Course"][0]) == [0.5, -2.0]  # -0.2 is four margins, and two are shown
    assert list(frame["Tags"].map(list)) == [["to keep"], [], []]


@pytest.mark.parametrize("query, rows", [
    ({"text": "ALPH"}, ["alpha"]), ({"states": ["FAILED", "LOST"]}, ["beta"]), ({"outcomes": "differs"}, ["gamma"]),
    ({"tags": "to keep"}, ["alpha"]), ({"order": "kappa"}, ["alpha", "gamma", "beta"]), ({"deleted": "1"}, []),
    ({"outcomes": ["matches", "differs"], "order": "oldest"}, ["alpha", "gamma"]), ({"tags": "nobody's"}, []),
])
def test_an_address_holds_the_filter_and_keeps_it(store, three, query, rows):
    app = visit(**query)
    assert names(app) == rows
    assert dict(app.query_params) == query


@pytest.mark.parametrize("query", [
    {"states": "NOWHERE", "outcomes": "maybe", "order": "age", "deleted": "yes", "tags": "x" * 41, "mform": "x"},
    {"view": "shelf"}, {"tags": ""}, {"text": " " * 3000},
])
def test_what_an_address_says_wrong_is_left_out(store, three, query):
    app = visit(**query)
    assert names(app) == ["gamma", "beta", "alpha"] and not app.query_params


def test_the_widgets_write_the_address_and_clear_empties_it(store, three):
    app = visit()
    app.text_input(key="text").set_value("a").run()
    app.multiselect(key="outcomes").set_value(["matches"]).run()
    app.selectbox(key="order").set_value("kappa").run()
    assert dict(app.query_params) == {"text": "a", "outcomes": "matches", "order": "kappa"} and names(app) == ["alpha"]
    press(app, "Clear")
    assert not app.query_params and len(names(app)) == 3
    assert (app.text_input(key="text").value, app.multiselect(key="outcomes").value) == ("", [])


def test_all_results_leads_back_to_the_same_filter(store, three):
    app = visit(outcomes="matches", order="kappa")
    app.query_params["id"] = three[0]
    app.run()
    (back,) = [link.proto for link in app.get("page_link") if link.proto.label == "All results"]
    assert back.query_string == "outcomes=matches&order=kappa"


def test_a_filter_is_saved_chosen_and_forgotten(store, three):
    app = visit(outcomes="differs")
    app.text_input(key="filter name").set_value("what differs").run()
    press(app, "Save")
    assert store.saved_filters() == {"what differs": "outcomes=differs"}
    app = visit()
    assert len(names(app)) == 3
    press(app, "what differs")
    assert names(app) == ["gamma"] and dict(app.query_params) == {"outcomes": "differs"}
    press(app, "Save")
    assert "is no name of a filter" in app.error[0].value
    press(app, "Forget")
    assert store.saved_filters() == {} and not [button for button in app.button if button.label == "what differs"]


def test_ticked_rows_are_deleted_and_restored_together_with_a_way_back(store, three):
    app = visit()
    assert enabled(app) == set()
    tick(app, 0)
    assert enabled(app) == {"Open", "Delete"}
    tick(app, 0, 2)
    assert enabled(app) == {"Compare", "Delete"}
    press(app, "Delete")
    assert "2 calibrations deleted." in [info.value for info in app.info] and names(app) == ["beta"]
    press(app, "Undo")
    assert len(names(app)) == 3 and not app.info
    tick(app, 0, 1, 2)
    press(app, "Delete")
    assert any("All calibrations are deleted" in info.value for info in app.info)
    app = visit(deleted="1")
    tick(app, 1)
    press(app, "Restore")
    assert {row.id for row in store.summaries()} == {three[1]} and names(app) == ["gamma", "alpha"]


def test_what_still_runs_is_not_deleted_with_the_others(store, three):
    stored.calibration(store, "RUNNING", name="under way", measured=[])
    app = visit()
    tick(app, 0, 1)
    press(app, "Delete")
    assert names(app) == ["under way", "beta", "alpha"]
    tick(app, 0)
    assert enabled(app) == {"Open"}


def test_ticks_stay_with_their_calibrations_when_another_comes_on_top(store, three):
    app = visit()
    tick(app, 0, 2)
    stored.calibration(store, "FAILED", name="came meanwhile", measured=[])
    app.run()
    assert names(app)[0] == "came meanwhile"
    press(app, "Delete")
    assert {row.name for row in store.summaries(Filter(deleted=True))} == {"gamma", "alpha"}


def test_ticked_rows_are_tagged_and_the_new_tag_can_be_chosen(store, three):
    app = visit()
    tick(app, 0, 1)
    press(app, "Add")
    assert "is no tag" in app.error[0].value
    app.text_input(key="new tag").set_value(" of  today ").run()
    press(app, "Add")
    assert store.tags() == {"of today": 2, "to keep": 1} and not app.error
    app.multiselect(key="tags").set_value(["of today"]).run()
    assert names(app) == ["gamma", "beta"]
    tick(app, 1)
    app.get("button_group")[1].set_value(["of today"]).run()
    press(app, "Take off")
    assert store.tags_of(three[1]) == () and names(app) == ["gamma"]


def judged(store, optimizer, target, outcome, noise_scale=500.0):
    chosen = stored.plan(base=TrainingConfig(optimizer, 8, {"lr": 1e-3}), target=target, seeds=1)
    id = stored.calibration(store, name=f"{optimizer} {target}", measured=[], chosen=chosen)
    store.set_verdict(id, Result(outcome, "", noise_scale=noise_scale, noise_low=noise_scale, noise_high=noise_scale))


def test_the_library_answers_in_words_in_a_figure_and_in_rows(store):
    for target, outcome in ((16, "matches"), (32, "matches"), (64, "differs")):
        judged(store, "adamw", target, outcome)
    judged(store, "adamw", 64, "not a test", 40.0)
    judged(store, "rmsprop", 64, "matches")
    stored.calibration(store, "FAILED", measured=[])
    app = visit(view="library", optimizers="adamw", kappa_from="2", kappa_to="8")
    assert app.markdown[0].value == ("**4 calibrations: 2 match, 1 differs, 1 was not a test. The rule was seen to hold up to "
                                     "κ = 4; it was seen to fail at κ = 8.**")
    assert names(app) == ["adamw 64", "adamw 64", "adamw 32", "adamw 16"]
    (figure,) = [json.loads(json.loads(element.proto.json)["figure"]) for element in app.get("bidi_component")]
    assert {trace["name"]: trace["x"] for trace in figure["data"]} == {
        "✓ matches": [4, 2], "✗ differs": [8], "– not a test": [8]}
    app.number_input(key="kappa_to").set_value(4.0).run()
    assert names(app) == ["adamw 32", "adamw 16"]
    assert dict(app.query_params) == {"view": "library", "optimizers": "adamw", "kappa_from": "2", "kappa_to": "4"}


def test_a_filter_of_the_library_leads_to_the_library_and_is_cleared_there(store):
    for optimizer in ("adamw", "rmsprop"):
        judged(store, optimizer, 64, "matches")
    store.save_filter("AdamW", "optimizers=adamw&view=library")
    app = visit(text="rmsprop")
    press(app, "AdamW")
    assert names(app) == ["adamw 64"] and dict(app.query_params) == {"optimizers": "adamw", "view": "library"}
    press(app, "Clear")
    assert len(names(app)) == 2 and dict(app.query_params) == {"view": "library"}


@pytest.mark.parametrize("query", [{"optimizers": "lion"}, {"kappa_from": "1e999", "kappa_to": "-3"}, {"kappa_to": "x" * 500}])
def test_a_library_that_an_address_says_wrong_is_the_whole_one(store, query):
    judged(store, "adamw", 64, "matches")
    app = visit(view="library", **query)
    assert names(app) == ["adamw 64"] and dict(app.query_params) == {"view": "library"}


def test_the_library_says_that_it_looks_at_the_newest_alone(store, monkeypatch):
    for target in (16, 32, 64):
        judged(store, "adamw", target, "matches")
    monkeypatch.setattr(library_view, "MOST", 2)
    assert visit(view="library").markdown[0].value.startswith("**The newest 2 of 3 calibrations: 2 match.")


def test_the_library_has_what_was_not_judged_before_it_came(store):
    stored.calibration(store, name="of an earlier version")
    app = visit(view="library")
    assert app.markdown[0].value.startswith("**1 calibration: 1 matches.") and names(app) == ["of an earlier version"]
    assert store.unjudged() == []


@pytest.mark.parametrize("view", ["list", "library"])
def test_what_takes_longer_to_judge_is_followed_and_then_the_page_is_whole(store, monkeypatch, view):
    """No time at all for judging, and then enough."""
    stored.calibration(store, name="of an earlier version")
    monkeypatch.setattr(browse, "CATCH_UP", 0.0)
    app = visit(view=view)
    said = [element.value for element in (*app.info, *app.caption)]
    assert any("1 is still to be judged." in text for text in said)
    monkeypatch.setattr(browse, "CATCH_UP", 60.0)
    app.run()
    assert names(app) == ["of an earlier version"] and store.unjudged() == []
    assert not any("to be judged" in element.value for element in (*app.info, *app.caption))


def test_when_the_last_is_judged_the_page_is_drawn_once_more(store):
    def page() -> None:
        import streamlit as st

        from sqrtscale.store import Filter
        from sqrtscale.ui import browse, state

        st.session_state["drawn"] = st.session_state.get("drawn", 0) + 1
        browse.rows(state.open_store(), Filter(), key="rows", behind=st.session_state["drawn"] == 1)

    stored.calibration(store, name="of an earlier version")
    app = AppTest.from_function(page, default_timeout=60).run()
    assert not app.exception and app.session_state["drawn"] == 2 and names(app) == ["of an earlier version"]


def test_where_no_verdict_can_be_stored_the_page_says_what_it_has(store, three):
    """And it ends: it does not draw itself anew for ever."""
    stored.calibration(store, name="unjudged")
    server = state.open_store()  # the server's, as the page opens it
    server._engine.dispose()  # connections made from here on cannot write
    event.listen(server._engine, "connect", lambda connection, record: connection.execute("PRAGMA query_only=ON"))
    app = visit(view="library")
    assert names(app) == ["gamma", "alpha"] and app.markdown[0].value.startswith("**2 calibrations: 1 matches, 1 differs.")
    server.close()


def test_an_empty_shelf_says_so(store):
    judged(store, "adamw", 64, "matches")
    app = visit(view="library", optimizers="sgd")
    assert "No calibration of this kind has been judged yet." in app.markdown[0].value and not names(app)
