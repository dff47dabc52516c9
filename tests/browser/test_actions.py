"""What a result offers to do next, in a real Chromium: on a telephone, by the keyboard, and a launch by one click."""

from __future__ import annotations

import re

import stored
from driving import until
from playwright.sync_api import expect


def test_actions_and_the_table_of_arms_fit_on_a_telephone(visit, store, page):
    page.set_viewport_size({"width": 390, "height": 844})
    page = visit(f"/results?id={stored.calibration(store, chosen=stored.plan(seeds=3))}")
    for name in ("Use these values", "Copy them", "Compare with …", "Calibrate again"):
        box = page.get_by_role("button", name=name).bounding_box()
        assert box["x"] >= 0 and box["x"] + box["width"] <= 390, name
    table = page.get_by_role("table").filter(has_text="Difference to base").first
    expect(table).to_be_visible()
    assert table.evaluate("table => table.parentElement.scrollWidth - table.parentElement.clientWidth") <= 1
    assert page.evaluate("document.querySelector('[data-testid=stMain]').scrollWidth") <= 390


def test_more_seeds_are_one_press_away_and_really_start(visit, store):
    id = stored.calibration(store, chosen=stored.plan(seeds=1, samples=64, warm_samples=8))
    page = visit(f"/results?id={id}")
    more = page.get_by_role("button", name="Add 2 seeds")
    more.focus()
    page.keyboard.press("Enter")
    expect(page).not_to_have_url(re.compile(id))
    expect(page.get_by_text(re.compile("3 seeds, warm start"))).to_be_visible()
    new_id = page.url.split("id=")[1]
    until(lambda: store.get(new_id).final, "the end of the new one", 120)
    expect(page.get_by_text("DONE", exact=True)).to_be_visible()
    new = store.get(new_id)
    assert len(new.plan.seeds) == 3 and {run.state for run in new.runs} == {"DONE"}
