"""What a page puts into its widgets, where the next click breaks the run off before the browser has heard of it."""

from __future__ import annotations

import pytest
import stored
from streamlit.proto.WidgetStates_pb2 import WidgetStates
from streamlit.runtime.scriptrunner_utils.exceptions import StopException
from streamlit.testing.v1 import AppTest
from streamlit.testing.v1.local_script_runner import LocalScriptRunner

from .opening import ROOT, page_at
from .test_view_address import WHOLE


def broken_off(app: AppTest, at: str) -> AppTest:
    """Run the page up to the widget of that key, which the browser gets no more."""
    send = LocalScriptRunner._enqueue_forward_msg

    def until(runner, message):
        if message.HasField("delta") and f'-{at}"' in str(message.delta.new_element):
            raise StopException
        send(runner, message)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LocalScriptRunner, "_enqueue_forward_msg", until)
        app.run()
    assert not any(widget.key == at for widget in widgets(app))
    return app


def widgets(app: AppTest) -> list:
    """Those that a page may put values into."""
    kinds = (app.text_input, app.text_area, app.number_input, app.selectbox, app.multiselect, app.segmented_control, app.toggle)
    return [widget for kind in kinds for widget in kind if widget.key]


def scale(**address: str) -> AppTest:
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
    app.query_params.update(address)
    return app.run()


def again(app: AppTest, page: str, at: str, **address: str) -> AppTest:
    """Go to another page and back, where the run is broken off, and the next one is not."""
    app.query_params.clear()
    app.switch_page("pages/judge.py").run()
    app.query_params.clear()
    app.query_params.update(address)
    app.switch_page(page)
    app = broken_off(app, at).run()
    assert not app.exception
    return app


def told(app: AppTest, *keys: str) -> dict:
    """Key -> value of those widgets; the browser has all of them as the server has."""
    found = {widget.key: widget for widget in widgets(app) if widget.key in keys}
    assert found.keys() == set(keys)
    assert all(widget.proto.set_value for widget in found.values()), [key for key, it in found.items() if not it.proto.set_value]
    return {key: found[key].value for key in keys}


def test_scale_shows_what_was_typed():
    app = again(scale(lr="3e-4", b1="2048", form="half-life"), "pages/scale.py", "b0")
    assert told(app, "b0", "b1", "lr", "form") == {"b0": "256", "b1": "2048", "lr": "3e-4", "form": "half-life"}
    assert app.query_params == {"lr": "3e-4", "b1": "2048", "form": "half-life"}


def test_a_browser_that_is_behind_hears_of_it_still():
    """The run has come to its end, and the browser has drawn nothing of it when it is clicked again."""
    app = scale(lr="3e-4")._run(WidgetStates())
    assert told(app, "b0", "lr") == {"b0": "256", "lr": "3e-4"}


def test_what_is_typed_after_it_counts():
    app = scale(lr="3e-4", b1="2048")
    app.query_params.clear()
    app.switch_page("pages/judge.py").run()
    broken_off(app.switch_page("pages/scale.py"), "lr").text_input(key="b1").set_value("4096").run()
    assert told(app, "lr", "beta1") == {"lr": "3e-4", "beta1": "0.9"}
    b0, b1 = (app.text_input(key=key) for key in ("b0", "b1"))
    assert (b0.value, b1.value) == ("256", "4096")
    assert not b0.proto.set_value and not b1.proto.set_value  # the browser has them, and somebody may be typing there
    app.run()
    assert not any(widget.proto.set_value for widget in widgets(app))


def test_a_click_that_carries_what_stood_there_before_does_not_undo_a_button():
    app = scale(b1="8192")
    before = app._tree
    button = next(button for button in app.button if button.label == "Use the half-life form").click()
    broken_off(app, "b0")
    app._tree = before  # as the browser has it still
    button.set_value(False)
    app.segmented_control(key="form").set_value("linear")
    app.text_input(key="lr").set_value("5e-4").run()
    assert app.segmented_control(key="form").value == "half-life" and app.text_input(key="lr").value == "5e-4"


def test_the_form_of_the_lab_is_that_of_what_is_shown():
    app = page_at("pages/lab.py")
    keys = [f"lab-run-{name}" for name in ("algorithm", "problem", "noise", "betas", "kappa", "seconds", "seed", "rule")]
    values = {widget.key: widget.value for widget in widgets(app) if widget.key in keys}
    assert told(again(app, "pages/lab.py", "lab-run-algorithm"), *keys) == values


def test_a_list_that_is_filtered_says_so(store):
    stored.calibration(store)
    address = {"text": "digits", "order": "oldest", "states": "DONE"}
    app = again(page_at("pages/results.py", **address), "pages/results.py", "text", **address)
    assert told(app, "text", "order", "states") == {"text": "digits", "order": "oldest", "states": ["DONE"]}


def test_a_list_of_which_the_browser_knows_the_search_alone_keeps_it(store):
    """Broken off, opened again and once more before that has ended."""
    stored.calibration(store)
    app = page_at("pages/results.py", states="DONE")
    for block in [app.main, *(node for node in app.main if hasattr(node, "children"))]:
        block.children = {place: node for place, node in block.children.items() if getattr(node, "key", None) != "states"}
    del app.session_state["states"]
    app.text_input(key="text").set_value("digits").run()
    assert not app.exception and app.query_params == {"text": "digits", "states": "DONE"}


def test_a_result_keeps_its_view_name_and_note(store):
    id = stored.calibration(store, name="kept")
    store.set_note(id, "measured at night", 0)
    app = again(page_at("pages/results.py", id=id, **WHOLE), "pages/results.py", f"metric-{id}", id=id, **WHOLE)
    assert all(told(app, *(f"{name}-{id}" for name in ("seeds", "log_x", "log_y", "steps"))).values())
    app = again(app, "pages/results.py", f"name-{id}", id=id)
    assert told(app, f"name-{id}", f"note-{id}") == {f"name-{id}": "kept", f"note-{id}": "measured at night"}


def test_a_plan_that_is_run_again_stays_that_plan(store):
    address = {"again": stored.calibration(store, chosen=stored.plan(seeds=3, targets=[16]))}
    app = again(page_at("pages/calibrate.py", **address), "pages/calibrate.py", "more-arms", **address)
    assert told(app, "seeds-digits", "targets") == {"seeds-digits": 3, "targets": "16"}
