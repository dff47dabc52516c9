"""How a result is looked at stands in its address, and the address decides how it is looked at."""

from __future__ import annotations

import math

import pytest
import stored
from streamlit.testing.v1 import AppTest

from .opening import ROOT
from .test_results_page import charts

WHOLE = {"metric": "val_accuracy", "band": "none", "seeds": "1", "log": "xy", "x": "steps"}


def opened(id: str, **view: str) -> AppTest:
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60).run()
    return at(app, id, **view)


def at(app: AppTest, id: str, **view: str) -> AppTest:
    """The page of a calibration by its address: a link, or the browser's Back and Forward."""
    app.query_params.clear()
    app.query_params.update({"id": id, **view})
    app.switch_page("pages/results.py").run()
    assert not app.exception
    return app


def address(app: AppTest) -> dict[str, str]:
    return {name: values if isinstance(values, str) else values[-1] for name, values in app.query_params.items()}


def axes(app: AppTest) -> tuple[str, str, str]:
    layout = charts(app)[0]["layout"]
    return layout["yaxis"]["title"]["text"], layout["xaxis"]["type"], layout["xaxis"]["title"]["text"].split(" since")[0]


def test_every_choice_goes_into_the_address_and_a_default_leaves_it(store):
    id = stored.calibration(store)
    app = opened(id)
    assert address(app) == {"id": id}
    app.segmented_control(key=f"metric-{id}").set_value("val_accuracy").run()
    app.segmented_control(key=f"band-{id}").set_value("none").run()
    for key in ("seeds", "log_x", "log_y", "steps"):
        app.toggle(key=f"{key}-{id}").set_value(True).run()
    assert address(app) == {"id": id, **WHOLE}
    app.toggle(key=f"log_x-{id}").set_value(False).run()
    app.segmented_control(key=f"metric-{id}").set_value("val_loss").run()
    assert address(app) == {"id": id, "band": "none", "seeds": "1", "log": "y", "x": "steps"}


def test_a_link_shows_the_same_picture(store):
    app = opened(id := stored.calibration(store), **WHOLE)
    assert axes(app) == ("Validation accuracy (share right)", "log", "Optimizer steps")
    assert len(charts(app)[0]["data"]) == 4 * 3  # two seeds and the mean of every arm, without bands
    assert address(app) == {"id": id, **WHOLE}


def test_an_older_address_that_comes_with_a_choice_undoes_none(store):
    app = opened(id := stored.calibration(store))
    app.toggle(key=f"steps-{id}").set_value(True).run()
    app.query_params.pop("x")
    app.toggle(key=f"log_x-{id}").set_value(True).run()
    assert axes(app)[1:] == ("log", "Optimizer steps") and address(app) == {"id": id, "x": "steps", "log": "x"}


def test_another_result_is_looked_at_as_its_own_address_says(store):
    app = opened(stored.calibration(store), **WHOLE)
    other = stored.calibration(store, chosen=stored.plan(task="pydoc"))
    assert axes(at(app, other)) == ("Validation loss (nats per byte)", "linear", "Samples seen")
    assert address(app) == {"id": other}


def test_what_a_browser_that_is_behind_sends_of_one_result_is_no_choice_of_another(store):
    first, other = stored.calibration(store), stored.calibration(store)
    app = opened(first, **WHOLE)
    keys = {widget.key for widget in [*app.segmented_control, *app.toggle]}
    at(app, other)
    assert len(keys) == 7 and not keys & {widget.key for widget in [*app.segmented_control, *app.toggle]}


@pytest.mark.parametrize("view", [
    {"metric": "no such"}, {"metric": "x" * 100_000}, {"x": "epochs", "log": "z", "seeds": "9" * 400},
    {"band": "± std", "range": ""}])
def test_what_an_address_may_not_ask_for_is_left_out_of_it(store, view):
    app = opened(id := stored.calibration(store), **view)
    assert axes(app) == ("Validation loss (nats per image)", "linear", "Samples seen")
    assert address(app) == {"id": id}


def test_the_axes_of_one_that_runs_have_their_length_from_the_first_point_on(store):
    chosen = stored.plan()
    early = [point for point in stored.points(chosen) if point.samples <= 600]
    id = stored.calibration(store, "RUNNING", chosen=chosen, measured=early)
    arms, warm = charts(opened(id))
    assert arms["layout"]["xaxis"]["range"] == [0, 6400] and warm["layout"]["xaxis"]["range"] == [0, 3200]
    assert charts(opened(id, x="steps"))[0]["layout"]["xaxis"]["range"] == [0, 800]
    low, high = charts(opened(id, log="x"))[0]["layout"]["xaxis"]["range"]
    assert low == pytest.approx(math.log10(chosen.evaluation_points[1])) and high == pytest.approx(math.log10(6400))


def test_one_that_was_stopped_is_as_long_as_it_got(store):
    id = stored.calibration(store, "CANCELLED", measured=stored.points(stored.plan(), 0.5))
    assert "range" not in charts(opened(id))[0]["layout"]["xaxis"]
