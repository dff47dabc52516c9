"""Walking away from a calibration: the tab's title on any page, and a notification for those who allow it."""

from __future__ import annotations

import json
import re
from datetime import timedelta

import pytest
import stored
from driving import until, wait_ready
from playwright.sync_api import Page, expect
from test_calibrations import launch

from sqrtscale.store import ACTIVE_STATES

RECORD = """
window.asked = 0;
window.notified = [];
window.Notification = class extends window.Notification {
  constructor(title, options) { super(title, options); window.notified.push([title, options.body]); }
  static requestPermission() { window.asked += 1; return super.requestPermission(); }
};
"""
SWITCH = "Notify me when it is done"


def notified(page: Page) -> list:
    return page.evaluate("window.notified")


def test_a_real_calibration_is_followed_from_another_page_to_its_notification(context, visit, store):
    context.grant_permissions(["notifications"])
    context.add_init_script(RECORD)
    page = visit("/calibrate")
    expect(page).to_have_title("sqrtscale")
    expect(page.get_by_text(SWITCH)).to_have_count(0)
    id = launch(page, 64_000)
    page.get_by_text(SWITCH).click()
    page.get_by_role("link", name="Scale", exact=True).click()
    expect(page).to_have_title(re.compile(r"^\d+% · sqrtscale$"), timeout=120_000)
    expect(page.get_by_role("switch", name=SWITCH)).to_be_checked()
    line = page.locator(f"a[href*='id={id}']")
    expect(line).to_contain_text(re.compile(r"RUNNING.*\d+% · about .* left"))
    seen = page.title()
    until(lambda: page.title() not in (seen, "sqrtscale"), "the percentage to grow", patience=120)
    expect(page).to_have_title("done · sqrtscale", timeout=240_000)
    first, _, rest = store.get(id).answer.partition(". ")
    assert first and rest
    until(lambda: notified(page) == [["done: digits: batch 8 → 64", first + "."]], "the notification")
    expect(line).to_contain_text("DONE")
    line.click()
    expect(page).to_have_url(re.compile(f"id={id}"))
    expect(page).to_have_title("sqrtscale")
    assert len(notified(page)) == 1  # what is drawn again is not told again


def test_where_the_browser_refuses_the_switch_says_so_and_nothing_is_told(context, visit, store):
    context.grant_permissions(["geolocation"])  # and no other
    context.add_init_script(RECORD)
    id = stored.calibration(store, "RUNNING", name="watched")
    page = visit("/")
    switch = page.get_by_role("switch", name=SWITCH)
    expect(page.get_by_text("RUNNING")).to_be_visible()
    assert page.evaluate("[Notification.permission, window.asked]") == ["denied", 0]
    expect(switch).to_be_disabled()
    expect(page.get_by_text("This browser blocks them: allow notifications in its settings for this address.")).to_be_visible()
    store.transition(id, "DONE", among=["RUNNING"])
    expect(page).to_have_title("done · sqrtscale")
    assert notified(page) == []


@pytest.mark.parametrize("given", ["granted", "denied"])
def test_a_click_asks_and_the_answer_holds(context, visit, store, given):
    context.add_init_script(f"""window.asked = 0; window.notified = [];
        window.Notification = class {{
          static permission = sessionStorage.getItem("permission") ?? "default";
          static async requestPermission() {{
            window.asked += 1; sessionStorage.setItem("permission", {json.dumps(given)});
            return (window.Notification.permission = {json.dumps(given)}); }}
          constructor(title, options) {{ window.notified.push([title, options.body]); }} }};""")
    id = stored.calibration(store, "RUNNING", name="watched")
    page = visit("/")
    switch = page.get_by_role("switch", name=SWITCH)
    expect(switch).not_to_be_checked()
    assert page.evaluate("window.asked") == 0
    switch.click()
    until(lambda: page.evaluate("window.asked") == 1, "the question")
    page.reload()
    wait_ready(page)
    expect(switch).to_be_checked(checked=given == "granted")
    expect(switch).to_be_enabled(enabled=given == "granted")
    store.transition(id, "FAILED", among=["RUNNING"], reason="killed by SIGKILL")
    expect(page).to_have_title("failed · sqrtscale")
    until(lambda: notified(page) == [["failed: watched", "killed by SIGKILL"]] * (given == "granted"), "the notification")


def test_a_switch_that_is_off_tells_nothing(context, visit, store):
    context.grant_permissions(["notifications"])
    context.add_init_script(RECORD)
    id = stored.calibration(store, "RUNNING")
    page = visit("/")
    switch = page.get_by_role("switch", name=SWITCH)
    switch.click()
    expect(switch).to_be_checked()
    switch.click()
    expect(switch).not_to_be_checked()
    store.transition(id, "DONE", among=["RUNNING"])
    expect(page).to_have_title("done · sqrtscale")
    assert notified(page) == []


def test_the_line_leads_from_one_result_to_another_and_back(visit, store):
    first, runs = stored.calibration(store, name="the first"), stored.calibration(store, "RUNNING", name="it runs")
    page = visit(f"/results?id={first}&metric=val_accuracy")
    for start in (page.url, None):
        if start is None:  # from the list
            page.get_by_role("link", name="All results").click()
            expect(page).to_have_url(re.compile("/results$"))
        page.locator(f"a[href*='id={runs}']").click()
        expect(page.get_by_role("heading", name="it runs")).to_be_visible()
        expect(page).to_have_url(re.compile(rf"/results\?id={runs}$"))
        expect(page.locator(".live-plot .ytitle").first).to_have_text("Validation loss (nats per image)")
        if start:
            page.go_back()
            expect(page.get_by_role("heading", name="the first")).to_be_visible()
            expect(page).to_have_url(start)
            expect(page.locator(".live-plot .ytitle").first).to_have_text("Validation accuracy (share right)")


@pytest.mark.parametrize("width", [390, 1440])
def test_the_line_fits_the_screen_and_takes_no_place_when_nothing_runs(visit, page, context, store, width):
    page.set_viewport_size({"width": width, "height": 900})
    ids = [stored.calibration(store, "RUNNING", name="A long name that goes on until the end of the line and further"),
           stored.calibration(store, "QUEUED")]
    visit("/")
    expect(page.get_by_text("+1 more")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    for id in ids:
        store.request_cancel(id)
        store.transition(id, "CANCELLED", among=ACTIVE_STATES)
    expect(page.get_by_text("+1 more")).to_have_count(0)
    never = context.new_page()  # has seen nothing run; both are measured again until fonts and pages have settled
    never.set_viewport_size({"width": width, "height": 900})
    never.goto(page.url)
    until(lambda: top(page) == top(never), "the line to be gone")


def top(page: Page) -> float:
    """Where the first caption begins, which stands below the line."""
    return page.get_by_test_id("stCaptionContainer").first.bounding_box()["y"]


def test_cancelling_what_has_trained_for_long_asks_and_stays_open_while_the_page_follows(visit, store):
    id = stored.calibration(store, "RUNNING")
    store.transition(id, "RUNNING", among=["RUNNING"], started_at=store.now() - timedelta(minutes=7, seconds=10))
    page = visit(f"/results?id={id}")
    asked = page.get_by_text(re.compile("It has trained for .* and cannot go on from there"))
    page.get_by_role("button", name="Cancel").click()
    expect(asked).to_be_visible()
    seen = asked.inner_text()
    until(lambda: asked.inner_text() != seen, "the page to look again")
    page.get_by_role("button", name="Let it train").click()
    expect(asked).to_have_count(0)
    assert store.get(id).state == "RUNNING"
    page.get_by_role("button", name="Cancel").click()
    page.get_by_role("button", name="Cancel it").click()
    expect(page.get_by_text("The processes are being ended.")).to_be_visible()
    assert store.get(id).cancel_requested_at
