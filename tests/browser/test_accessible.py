"""Every page for everybody: axe-core finds nothing serious, headings are in order, and the keyboard alone does the main job."""

from __future__ import annotations

import re
from collections import defaultdict
from importlib import resources
from itertools import pairwise

import pytest
from driving import wait_ready
from page_states import EMPTY, PageState, fill, states
from playwright.sync_api import Locator, Page, expect

from sqrtscale.store import Store

AXE = (resources.files("axe_playwright_python") / "axe.min.js").read_text()  # axe-core as it comes with a package: no network
# Of every serious and critical finding its rule, the nearest element of Streamlit's with a name, and what axe says.
FINDINGS = """async () => (await axe.run(document, {resultTypes: ["violations"]})).violations
  .filter(violation => ["serious", "critical"].includes(violation.impact))
  .flatMap(violation => violation.nodes.map(node => [violation.id,
    document.querySelector(node.target[0])?.closest("[data-testid]")?.dataset.testid ?? "",
    node.failureSummary.replace(/\\s+/g, " ") + " " + node.html.slice(0, 200)]))"""
IN_SCHEME = """scheme => getComputedStyle(document.querySelector("[data-testid=stApp]")).colorScheme === scheme
  && document.getAnimations().every(one => one.effect.getComputedTiming().endTime === Infinity)"""
HEADINGS = "[...document.querySelectorAll('h1, h2, h3, h4, h5, h6')].map(heading => +heading.tagName[1])"
NOT_OURS = {  # (rule, element of Streamlit's) -> why it stays
    ("scrollable-region-focusable", "stTable"):
        "a wide table scrolls sideways on a narrow screen: browsers let the keyboard reach it, and st.table cannot say so",
}
CHOSEN = ("scale", "scale-refused", "scale-import", "scale-imported", "scale-unfolded", "calibrate-hopeless",
          "calibrate-unfolded", "judge", "judge-asked", "results-list", "results-library", "result-running", "result-queued",
          "result-failed", "result-unfolded", "compare-unchosen", "compare", "lab")
MOST_TABS = 80


@pytest.fixture(scope="module")
def found(server) -> dict[str, PageState]:
    """Every state by its name; the empty one is looked at before the store is filled."""
    store = Store.open(f"sqlite:///{server.home}/sqrtscale.db")
    yield {state.name: state for state in states(fill(store))}
    store.close()


def check(page: Page) -> None:
    """The page as it is, on a wide and a narrow screen, light and dark."""
    page.add_style_tag(content="[data-stale] {opacity: 1 !important; transition: none !important}")  # a slow rerun fades the page
    page.evaluate(AXE)
    findings = defaultdict(set)
    for width in (1440, 390):
        page.set_viewport_size({"width": width, "height": 900})
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            page.wait_for_function(IN_SCHEME, arg=scheme)
            for rule, element, what in page.evaluate(FINDINGS):
                if (rule, element) not in NOT_OURS:
                    findings[rule, element, what].add(f"{width} {scheme}")
    assert dict(findings) == {}


def check_headings(page: Page) -> None:
    expect(page.get_by_role("heading", level=1)).to_have_count(1)
    levels = page.evaluate(HEADINGS)
    assert levels[0] == 1 and all(after <= before + 1 for before, after in pairwise(levels)), levels


def test_before_anything_is_stored(page, server):
    EMPTY.open(page, server.url)
    check_headings(page)
    check(page)


@pytest.mark.parametrize("name", CHOSEN)
def test_axe_finds_nothing_serious_and_headings_are_in_order(page, server, found, name):
    page.set_viewport_size({"width": 1440, "height": 900})
    found[name].open(page, server.url)
    check_headings(page)
    check(page)


def tab_to(page: Page, target: Locator) -> None:
    """Press Tab until the target has the focus."""
    expect(target).to_be_visible()
    for _ in range(MOST_TABS):
        if target.evaluate("element => element === document.activeElement"):
            return
        page.keyboard.press("Tab")
    pytest.fail(f"{MOST_TABS} times Tab do not reach {target}")


def type_into(page: Page, role: str, name: str | re.Pattern, text: str) -> None:
    tab_to(page, page.get_by_role(role, name=name, exact=True))
    page.keyboard.press("ControlOrMeta+a")
    page.keyboard.type(text)
    page.keyboard.press("Tab")
    wait_ready(page)


def test_the_keyboard_alone_goes_from_a_configuration_to_a_calibration_under_way(visit):
    page = visit()
    for label, text in (("Base batch", "8"), ("Target batch", "32"), ("Learning rate", "2e-3")):
        type_into(page, "textbox", label, text)
    tab_to(page, page.get_by_role("button", name="Calibrate this"))
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Test the scaled configuration")).to_be_visible()
    wait_ready(page)
    for label, text in (("Seeds", "1"), (re.compile("^Samples per run"), "640"), ("Warm-start samples", "640")):
        type_into(page, "spinbutton", label, text)
    tab_to(page, page.get_by_role("button", name="Launch"))
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"/results\?id=[0-9a-f]{12}"))
    expect(page.get_by_test_id("stMain")).to_contain_text("8 → 32")
