"""The Compare page in a real Chromium: by the keyboard alone, its address with Back, the way to a result, a telephone."""

from __future__ import annotations

import re

import pytest
import stored
from driving import until, wait_ready
from playwright.sync_api import Page, expect

from sqrtscale.store import Store

CHART = ".live-plot"


@pytest.fixture(scope="module")
def calibrations(server):
    """Two that can be compared, by name."""
    store = Store.open(f"sqlite:///{server.home}/sqrtscale.db")
    ids = {"near": stored.calibration(store, name="near", chosen=stored.plan(target=16)),
           "far": stored.calibration(store, name="far")}
    yield ids
    store.close()


def drawn(page: Page) -> list[str]:
    """Names of the lines in the legend."""
    return page.evaluate(f"""() => (document.querySelector('{CHART}')?._fullData ?? [])
        .filter(trace => trace.showlegend).map(trace => trace.name)""")


def title(page: Page) -> str:
    return page.evaluate(f"() => document.querySelector('{CHART}')?._fullLayout?.xaxis.title.text ?? ''")


def test_the_keyboard_chooses_and_the_address_follows(visit, calibrations):
    page = visit("/compare")
    page.get_by_role("combobox", name="Calibrations").focus()
    for name in ("near", "far"):
        page.keyboard.type(name)
        page.keyboard.press("Enter")
        expect(page).to_have_url(re.compile(calibrations[name]))
    page.keyboard.press("Escape")
    until(lambda: drawn(page) == ["A", "B"], "both lines")
    assert page.url.partition("?")[2].replace("%2C", ",") == f"ids={calibrations['near']},{calibrations['far']}"
    for label, chosen in (("Show", "Curves"), ("Over", "Epochs")):
        group = page.get_by_test_id("stButtonGroup").filter(has_text=label)
        group.get_by_role("radio", checked=True).focus()
        for _ in range(("Show", "Over").index(label) + 1):
            page.keyboard.press("ArrowRight")
        page.keyboard.press("Space")
        expect(group.get_by_role("radio", name=chosen)).to_be_checked()
        wait_ready(page)
    until(lambda: title(page) == "Epochs since the branch point" and "B base" in drawn(page), "the curves over epochs")
    assert "show=curves" in page.url and "axis=epochs" in page.url
    page.go_back()
    until(lambda: title(page).startswith("Samples"), "the choice before")
    expect(page).to_have_url(re.compile("show=curves$"))


def test_a_link_opens_the_same_and_leads_to_a_result(visit, calibrations):
    page = visit(f"/compare?ids={calibrations['far']},{calibrations['near']}&axis=steps&arms=scaled;unscaled")
    until(lambda: drawn(page) == ["A scaled", "A unscaled", "B scaled", "B unscaled"], "the lines of the link")
    with page.expect_popup() as popup:
        page.get_by_role("link", name="far", exact=True).click()
    expect(popup.value).to_have_url(re.compile(rf"/results\?id={calibrations['far']}$"))
    expect(popup.value.get_by_role("heading", name="far")).to_be_visible()


def test_it_fits_on_a_telephone(visit, calibrations, page):
    page.set_viewport_size({"width": 390, "height": 844})
    visit(f"/compare?ids={','.join(calibrations.values())}")
    until(lambda: drawn(page) == ["A", "B"], "both lines")
    assert page.evaluate("document.querySelector('[data-testid=stMain]').scrollWidth") <= 390
