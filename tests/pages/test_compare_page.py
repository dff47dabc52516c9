"""The Compare page, run by Streamlit's own test harness on stored calibrations of every kind."""

from __future__ import annotations

import pytest
import stored
from sqlalchemy import insert, select
from streamlit.testing.v1 import AppTest

from sqrtscale.rules import TrainingConfig
from sqrtscale.store import ACTIVE_STATES
from sqrtscale.store.models import Calibration
from sqrtscale.ui.compare_link import MOST

from .opening import page_at
from .test_results_page import charts

PYDOC = {"task": "pydoc", "base": TrainingConfig("adamw", 32, {"lr": 1e-3, "weight_decay": 0.1})}
pytestmark = [pytest.mark.filterwarnings("error::DeprecationWarning:sqrtscale"),
              pytest.mark.filterwarnings("error::FutureWarning")]


def opened(**address: str) -> AppTest:
    return page_at("pages/compare.py", **address)


def address(app: AppTest) -> dict[str, str]:
    """The address as it stands now; AppTest has a list of texts for each name."""
    return {name: value[0] if isinstance(value, list) else value for name, value in app.query_params.items()}


def figure(app: AppTest) -> dict:
    (chart,) = charts(app)
    return chart


def lines(app: AppTest) -> list[str]:
    return [trace["name"] for trace in figure(app)["data"] if trace.get("showlegend", True)]


def warned(app: AppTest) -> list[str]:
    return [warning.value.replace("\\", "") for warning in app.warning]


def control(app: AppTest, label: str):
    """The segmented control of that label."""
    (group,) = [group for group in app.button_group if group.label == label]
    return group


def test_an_empty_store_tells_what_to_do_next(store):
    assert [box.value for box in opened().title] == ["Nothing stored yet"]


def test_opened_empty_it_lets_one_choose_on_the_spot(store):
    first, second = (stored.calibration(store, name=name) for name in ("first", "second"))
    app = opened()
    assert "Choose two or more calibrations above" in app.info[0].value and not app.get("bidi_component")
    box = app.multiselect(key="compare-ids")
    assert [option.split(" · ")[0] for option in box.options] == ["second", "first"]
    box.set_value([first]).run()
    assert address(app) == {"ids": first} and "Choose another calibration above" in app.caption[0].value
    app.multiselect(key="compare-ids").set_value([first, second]).run()
    assert address(app) == {"ids": f"{first},{second}"} and lines(app) == ["A", "B"]
    app.multiselect(key="compare-ids").set_value([]).run()
    assert address(app) == {} and "Choose two or more" in app.info[0].value


def test_three_of_two_tasks(store):
    ids = [stored.calibration(store, name="a *name*"), stored.calibration(store, chosen=stored.plan(**PYDOC)),
           stored.calibration(store, "CANCELLED", chosen=stored.plan(target=32))]
    app = opened(ids=",".join(ids))
    rows, fields = (table.value for table in app.table)
    assert list(rows[""]) == ["**A\xa0●**", "**B\xa0■**", "**C\xa0◆**"] and list(rows["κ"]) == ["8", "2", "4"]
    assert rows["Calibration"][0] == rf"[a \*name\*](results?id={ids[0]})"
    assert list(rows["Verdict"])[::2] == [":green-badge[matches]", ":green-badge[matches] :gray-badge[CANCELLED]"]
    assert list(rows["Optimizer"]) == ["Adam", "AdamW", "Adam"]
    assert list(fields.columns) == ["Field", "A\xa0●", "B\xa0■", "C\xa0◆"]
    assert {"task", "optimizer", "batch size", "kappa", "lr"} <= set(fields["Field"]) and "seeds" not in set(fields["Field"])
    assert lines(app) == ["A", "B", "C"] and figure(app)["layout"]["yaxis"]["title"]["text"] == "Difference (margins)"
    assert list(control(app, "Metric").options) == ["Validation loss", "Train loss"]
    assert "Validation accuracy" in control(app, "Metric").help and warned(app) == []


def test_every_choice_stands_in_the_address_and_comes_from_it(store):
    ids = ",".join([stored.calibration(store), stored.calibration(store, chosen=stored.plan(target=32))])
    app = opened(ids=ids)
    control(app, "Over").set_value("steps").run()
    control(app, "Metric").set_value("train_loss").run()
    control(app, "In").set_value("metric").run()
    app.multiselect(key="compare-arms-differences").set_value(["unscaled", "scaled"]).run()
    assert address(app) == {"ids": ids, "axis": "steps", "metric": "train_loss", "unit": "metric", "arms": "unscaled;scaled"}
    layout = figure(app)["layout"]
    assert layout["xaxis"]["title"]["text"] == "Optimizer steps since the branch point"
    assert layout["yaxis"]["title"]["text"] == "Difference (nats per image)"
    again = opened(**address(app))
    assert lines(again) == lines(app) == ["A unscaled", "A scaled", "B unscaled", "B scaled"]
    assert address(again) == address(app) and figure(again)["layout"] == layout
    control(app, "Show").set_value("curves").run()
    assert address(app) == {"ids": ids, "show": "curves", "axis": "steps", "metric": "train_loss", "unit": "metric"}
    assert lines(app) == ["A scaled", "A base", "B scaled", "B base"]
    app.multiselect(key="compare-arms-curves").set_value([]).run()
    assert address(app)["arms"] == "" and [info.value for info in app.info] == ["Choose an arm."]
    control(app, "Show").set_value("differences").run()
    assert control(app, "In").value == "metric"  # as it was before the curves


def test_after_another_page_it_is_as_it_was(store):
    ids = ",".join([stored.calibration(store), stored.calibration(store)])
    app = opened(ids=ids, show="curves", axis="epochs")
    app.switch_page("pages/results.py").run()
    app.query_params.clear()
    app.switch_page("pages/compare.py").run()
    assert address(app) == {"ids": ids, "show": "curves", "axis": "epochs"} and lines(app)[-1] == "B base"
    app.switch_page("pages/results.py").run()
    app.query_params.clear()
    app.query_params["ids"] = ids.partition(",")[0]  # a link to another comparison
    app.switch_page("pages/compare.py").run()
    assert address(app) == {"ids": ids.partition(",")[0]} and lines(app) == ["A"]


def test_bad_ids_and_choices_are_named_and_the_rest_is_shown(store):
    first, second = stored.calibration(store), stored.calibration(store)
    store.delete(second)
    app = opened(ids=f"nowhere,{first},{second},{first}", show="sideways", metric="nothing", arms="scaled;no arm")
    assert warned(app) == [
        "show = 'sideways' is not known here: it shows differences. Possible are differences, curves.",
        "There is no calibration 'nowhere': it may have been removed for good.",
        "Not all of these have a metric 'nothing': validation loss is shown.",
        "None of these has an arm 'no arm' to show here."]
    assert lines(app) == ["A", "B"] and address(app) == {"ids": f"{first},{second}"}
    assert [option.rsplit(" (")[-1] for option in app.multiselect(key="compare-ids").options][-1:] == ["deleted)"]
    none_left = opened(ids="nowhere")
    assert len(warned(none_left)) == 1 and "Choose two or more" in none_left.info[0].value and address(none_left) == {}


def test_no_more_than_can_be_told_apart(store):
    chosen = stored.plan(seeds=1)
    ids = [stored.calibration(store, chosen=chosen) for _ in range(MOST + 1)]
    app = opened(ids=",".join(ids), show="curves")
    assert len(app.multiselect(key="compare-ids").value) == MOST == len(app.table[0].value)
    assert warned(app) == [f"At most {MOST} calibrations are shown at once: these are the first {MOST} of this address."]
    assert any("Bands are left out" in caption.value for caption in app.caption)


@pytest.mark.parametrize("state", [*ACTIVE_STATES, "FAILED", "CANCELLED"])
def test_what_has_no_points_yet_does_not_hide_the_other(store, state):
    whole, other = stored.calibration(store), stored.calibration(store, state, measured=[])
    app = opened(ids=f"{other},{whole}", arms="scaled;unscaled")
    assert lines(app) == ["B scaled", "B unscaled"]
    assert any("Nothing to draw of A: no points" in caption.value for caption in app.caption)
    assert f"badge[{state}]" in app.table[0].value["Verdict"][0]
    alone = opened(ids=other)
    assert [info.value for info in alone.info] == ["There is nothing to draw yet: no points were measured."]


def test_it_follows_what_still_runs(store):
    id = stored.calibration(store, "RUNNING")
    app = opened(ids=id)
    assert "badge[RUNNING]" in app.table[0].value["Verdict"][0] and lines(app) == ["A"]
    store.transition(id, "DONE", among=["RUNNING"])
    app.run()
    assert app.table[0].value["Verdict"][0] == ":green-badge[matches]"


def test_one_seed_and_mixed_starts(store):
    scratch = stored.plan(seeds=1, start="scratch", warm_samples=None)
    ids = [stored.calibration(store, chosen=scratch), stored.calibration(store)]
    app = opened(ids=",".join(ids))
    assert figure(app)["layout"]["xaxis"]["title"]["text"] == "Samples seen since the arms began"
    assert app.table[0].value["Difference at the end"][0] == "+0.01"
    alone = figure(opened(ids=ids[0]))
    assert alone["layout"]["xaxis"]["title"]["text"] == "Samples seen since the initial weights"


def test_two_of_one_name_can_be_told_apart_where_they_are_chosen(store):
    ids = [stored.calibration(store, name="same"), stored.calibration(store, name="same")]
    for id in ids:
        app = opened()
        app.multiselect(key="compare-ids").set_value([id]).run()
        assert address(app) == {"ids": id}


def test_one_that_is_older_than_those_to_choose_from_is_not_called_deleted(store):
    id = stored.calibration(store, name="the first", chosen=stored.plan(seeds=1))
    with store._write.begin() as session:  # a thousand rows like it, and no more are to choose from
        row = dict(session.execute(select(Calibration.__table__).where(Calibration.id == id)).mappings().one())
        session.execute(insert(Calibration), [row | {"id": f"copy{number}", "number": number, "name": ""}
                                              for number in range(row["number"] + 1, row["number"] + 1001)])
    options = opened(ids=id).multiselect(key="compare-ids").options
    assert len(options) == 1001 and options[0] == "the first"


def test_the_same_configuration_twice(store):
    ids = [stored.calibration(store), stored.calibration(store)]
    app = opened(ids=",".join(ids))
    assert len(app.table) == 1 and "All fields are the same." in [caption.value for caption in app.caption]
    app.toggle(key="compare-whole").set_value(True).run()
    assert "lr" in set(app.table[1].value["Field"]) and not any("≠" in field for field in app.table[1].value["Field"])
