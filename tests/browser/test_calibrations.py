"""Calibrations in a real Chromium: launched, watched, cancelled, killed, restarted, with real processes."""

from __future__ import annotations

import csv
import json
import os
import re
import signal

import pytest
import stored
from driving import until, wait_ready
from playwright.sync_api import Page, expect

from sqrtscale.schedules import schedule
from sqrtscale.store import ACTIVE_STATES, Store


@pytest.fixture
def store(server):
    """The server's store, seen from beside it; what still runs at the end of a test is cancelled."""
    opened = Store.open(f"sqlite:///{server.home}/sqrtscale.db")
    yield opened
    for pid in calibration_processes(server):
        os.kill(pid, signal.SIGKILL)
    for record in opened.queue():
        opened.transition(record.id, "CANCELLED", among=ACTIVE_STATES, reason="the test is over")
    opened.close()


def calibration_processes(server, module="sqrtscale.runner"):
    """Supervisors and children of this server's home."""
    def command(pid):
        try:
            with open(f"/proc/{pid}/cmdline") as file:
                return file.read()
        except OSError:
            return ""

    return [pid for pid in server.processes() if f"-m\0{module}" in command(pid)]


def number(page: Page, label: str, value: int) -> None:
    box = page.get_by_role("spinbutton", name=label)
    box.fill(str(value))
    box.press("Enter")
    wait_ready(page)


def launch(page: Page, samples: int) -> str:
    """Launch base and its controls from scratch with one seed; returns the id in the address."""
    page.get_by_test_id("stButtonGroup").get_by_text("From scratch", exact=True).click()
    number(page, "Seeds", 1)
    number(page, re.compile("Samples per run"), samples)
    page.get_by_role("button", name="Launch").click()
    page.wait_for_url(re.compile(r"/results\?id=[0-9a-f]{12}"))
    return page.url.partition("id=")[2]


def state(page: Page, text: str):
    expect(page.get_by_test_id("stMain").get_by_text(text, exact=True).first).to_be_visible(timeout=120_000)


def cancel(page: Page) -> None:
    """End what runs, also where it has trained for so long that the page asks first."""
    page.get_by_role("button", name="Cancel").click()
    question = page.get_by_role("button", name="Cancel it")
    expect(question.or_(page.get_by_text("cancelled by the user")).first).to_be_visible()
    if question.is_visible():
        question.click()


def points(page: Page) -> int:
    """How many points of the base curve the browser shows."""
    return page.evaluate(
        "(document.querySelector('.live-plot')?._fullData ?? []).filter(t => t.name === 'base').map(t => t._length)[0] ?? 0")


def growing(page: Page, more_than: int) -> int:
    return until(lambda: (count := points(page)) > more_than and count, "the curve to grow", patience=120)


def test_an_empty_store_says_what_to_do_next(visit):
    page = visit("/results")
    expect(page.get_by_text("Nothing stored yet")).to_be_visible()
    page.get_by_role("link", name="Run the first calibration").click()
    expect(page.get_by_role("button", name="Launch")).to_be_visible()
    expect(page.get_by_role("link", name="Calibrate", exact=True)).to_be_visible()  # the app's own page list


def test_launch_watch_reload_and_find_it_done(visit, store):
    page = visit("/calibrate")
    expect(page.get_by_text(re.compile("At most about .* timed just now"))).to_be_visible(timeout=120_000)
    id = launch(page, 32_000)
    state(page, "RUNNING")
    expect(page.get_by_text(re.compile(r"\d+% · arms · [\d,]+ samples/s · about .* left"))).to_be_visible(timeout=120_000)
    seen = growing(page, 1)
    growing(page, seen)
    page.reload()
    wait_ready(page)
    growing(page, seen)
    state(page, "DONE")
    expect(page.get_by_text("one seed cannot tell a difference from chance").first).to_be_visible()
    record = store.get(id)
    assert record.state == "DONE" and until(lambda: points(page) == len(record.plan.evaluation_points), "the whole curve")
    page.get_by_role("link", name="All results").click()
    expect(page.get_by_text("1 calibration, newest first")).to_be_visible()


def test_cancel_ends_it_and_keeps_what_was_measured(visit, store, server):
    page = visit("/calibrate")
    id = launch(page, 32_000_000)
    until(lambda: store.curves_version(id) != "0", "the first points", patience=120)
    cancel(page)
    state(page, "CANCELLED")
    expect(page.get_by_text("cancelled by the user")).to_be_visible()
    assert len(store.curves(id)) > 0
    until(lambda: not calibration_processes(server), "its processes to end")


def test_a_killed_child_is_shown_as_failed_with_the_reason(visit, store, server):
    page = visit("/calibrate")
    id = launch(page, 32_000_000)
    until(lambda: store.curves_version(id) != "0", "the first points", patience=120)
    (child,) = calibration_processes(server, "sqrtscale.runner.child")
    os.kill(child, signal.SIGKILL)
    state(page, "FAILED")
    expect(page.get_by_text(re.compile("killed by SIGKILL"))).to_be_visible()
    expect(page.get_by_text(re.compile("training on"))).to_be_visible()  # the log stands open


def test_a_restarted_server_finds_the_run_going_on(visit, store, server, watch):
    page = visit("/calibrate")
    id = launch(page, 640_000)
    seen = growing(page, 0)
    watch.allow_outage()
    server.restart()
    assert store.get(id).state == "RUNNING"
    page = visit(f"/results?id={id}")
    state(page, "RUNNING")
    growing(page, seen)
    cancel(page)
    state(page, "CANCELLED")


@pytest.mark.parametrize(("label", "value", "message"), [
    ("Seeds", 0, "seeds = 0 is not allowed: give a whole number from 1"),
    ("Seeds", 65, "seeds = 65 is not allowed"),
    ("Samples per run (images)", -5, "samples = -5 is not allowed"),
    ("Warm-start samples", 0, "warm_samples = 0 is not allowed"),
])
def test_bad_numbers_are_named_and_cannot_be_launched(visit, label, value, message):
    page = visit("/calibrate")
    number(page, label, value)
    expect(page.get_by_text(message)).to_be_visible()
    expect(page.get_by_role("button", name="Launch")).to_have_count(0)


@pytest.mark.parametrize(("query", "message"), [
    ("b0=8&b1=5000&form=half-life", "target_batch = 5000 is more than the 1437 training samples"),
    ("b0=8&b1=800", "beta1 = 0.9 has no scaled value"),
    ("lr=fast", "The address carries no usable configuration: lr = 'fast'"),
])
def test_a_configuration_that_cannot_be_run_is_named(visit, query, message):
    expect(visit(f"/calibrate?{query}").get_by_text(message)).to_be_visible()


def test_a_configuration_is_carried_over_from_scale(visit):
    page = visit("/?b0=16&b1=64&lr=0.004&opt=rmsprop")
    page.get_by_role("button", name="Calibrate this").click()
    table = page.get_by_test_id("stTable")
    expect(table.get_by_role("row").filter(has_text="Learning rate")).to_contain_text("0.0040.0080.0040.016")
    expect(table.get_by_role("row").filter(has_text="Batch size")).to_contain_text("16646464")


def test_the_navigation_keeps_what_was_typed_and_a_reload_too(visit):
    page = visit("/?b0=16&b1=64")
    box = page.get_by_role("textbox", name="Learning rate")
    box.fill("4e-3")
    box.press("Enter")
    expect(page).to_have_url(re.compile("lr=4e-3"))
    page.get_by_role("link", name="Calibrate", exact=True).click()
    expect(page).to_have_url(re.compile(r"/calibrate\?b0=16&b1=64&lr=4e-3"))
    rate = page.get_by_test_id("stTable").get_by_role("row").filter(has_text="Learning rate")
    expect(rate).to_contain_text("0.0040.0080.0040.016")
    page.reload()
    expect(rate).to_contain_text("0.0040.0080.0040.016")
    page.get_by_text("The task's tested defaults").click()
    expect(rate).not_to_contain_text("0.0040.008")
    page.get_by_role("link", name="Scale", exact=True).click()
    expect(box).to_have_value("4e-3")


def test_calibrate_again_opens_the_whole_plan_also_after_a_reload(visit, store):
    plan = stored.plan(task="pydoc", seeds=3, start="scratch", warm_samples=None, arms=["unscaled"], schedule=schedule("cosine"))
    page = visit(f"/results?id={stored.calibration(store, chosen=plan)}")
    page.get_by_role("button", name="Calibrate again").click()
    for _ in range(2):
        expect(page.get_by_role("spinbutton", name="Seeds")).to_have_value("3")
        expect(page.get_by_role("spinbutton", name=re.compile("Samples per run"))).to_have_value(str(plan.samples))
        expect(page.get_by_role("spinbutton", name="Warm-start samples")).to_have_count(0)
        expect(page.get_by_text("the learning rate falls along a cosine to 0")).to_be_visible()
        expect(page.get_by_role("columnheader")).to_have_count(4)  # field, base, scaled, unscaled
        page.reload()
        wait_ready(page)


def test_a_schedule_is_carried_over_from_scale_and_typed_with_its_settings(visit):
    page = visit("/?b0=16&b1=64&lr=0.004&opt=rmsprop&schedule=cosine&min_lr=0.0004")
    page.get_by_role("button", name="Calibrate this").click()
    box = page.get_by_role("combobox", name="Learning rate over a run")
    expect(box).to_have_value("cosine:0.1")
    expect(page.get_by_text("the learning rate falls along a cosine to 10% of its peak")).to_be_visible()
    for text, said in (("wsd:0.1,1-sqrt", "stays constant, and falls by 1 - sqrt to 0 over the last 10%"),
                       ("cosine:3", "schedule = 'cosine:3' is not a schedule of kind cosine")):
        box.fill(text)
        box.press("Enter")
        expect(page.get_by_text(said)).to_be_visible()
        expect(box).to_have_value(text)
    expect(page.get_by_role("button", name="Launch")).to_have_count(0)


def test_rename_note_delete_and_undo(visit, store):
    id = stored.calibration(store)
    page = visit(f"/results?id={id}")
    page.get_by_text("Note and name").click()
    page.get_by_role("textbox", name="Name").fill("a better name")
    page.get_by_role("textbox", name="Note (Markdown)").fill("seen on **Monday**")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("heading", name="a better name")).to_be_visible()
    assert (store.get(id).name, store.get(id).note) == ("a better name", "seen on **Monday**")
    page.get_by_role("button", name="Delete").click()
    expect(page.get_by_text("Deleted. It stays stored until it is purged.")).to_be_visible()
    assert store.get(id).deleted_at
    page.get_by_role("button", name="Undo").click()
    until(lambda: store.get(id).deleted_at is None, "the calibration to be back")
    expect(page.get_by_text("Deleted. It stays stored until it is purged.")).to_have_count(0)


def test_downloads_hold_what_is_stored(visit, store, tmp_path):
    chosen = stored.plan()
    id = stored.calibration(store, chosen=chosen, measured=stored.diverged(chosen, "linear lr"))
    page = visit(f"/results?id={id}")
    for kind in ("CSV", "JSON"):
        with page.expect_download() as download:
            page.get_by_role("button", name=f"Download {kind}").click()
        download.value.save_as(tmp_path / kind)
    rows = list(csv.DictReader((tmp_path / "CSV").open()))
    assert len(rows) == len(store.curves(id)) and {"nan"} < {row["value"] for row in rows}
    found = json.loads((tmp_path / "JSON").read_text(), parse_constant=pytest.fail)
    assert found["id"] == id and found["plan"] == store.get(id).plan.as_dict() and len(found["curves"]) == 27


@pytest.mark.parametrize(("end", "measured"), [
    ("CANCELLED", []), ("FAILED", stored.points(stored.plan(), 0.0)), ("DONE", stored.all_nan(stored.plan())),
    ("DONE", stored.diverged(stored.plan(), "base"))])
def test_odd_results_are_shown_without_error(visit, store, end, measured):
    page = visit(f"/results?id={stored.calibration(store, end, measured=measured)}")
    state(page, end)
    expect(page.get_by_test_id("stException")).to_have_count(0)
    expect(page.get_by_role("button", name="Download CSV")).to_be_visible()


def test_an_unknown_id_is_said(visit):
    expect(visit("/results?id=nothere").get_by_text("There is no calibration with the id of this address")).to_be_visible()


def test_zoom_and_hidden_arms_survive_new_points(visit, store):
    chosen = stored.plan()
    every = stored.points(chosen)
    early = [one for one in every if one.samples <= chosen.samples / 2]
    id = stored.calibration(store, "RUNNING", chosen=chosen, measured=early)
    page = visit(f"/results?id={id}")
    seen = growing(page, 3)
    page.locator(".legend .traces").filter(has_text="unscaled").locator(".legendtoggle").click()
    area = page.locator(".live-plot .nsewdrag").first.bounding_box()
    for share, act in ((0.2, page.mouse.down), (0.6, page.mouse.up)):
        page.mouse.move(area["x"] + share * area["width"], area["y"] + area["height"] * (0.2 + share))
        act()
    look = """() => { const plot = document.querySelector('.live-plot'); plot.dataset.mine ??= String(Math.random());
        return JSON.stringify([plot._fullLayout.xaxis.range, plot._fullData.find(t => t.name === 'unscaled').visible,
                               plot.dataset.mine]) }"""
    until(lambda: (now := json.loads(page.evaluate(look)))[1] == "legendonly" and now[0][0] > 0, "the zoom and the hidden arm")
    before = page.evaluate(look)
    store.write_points(id, [one for one in every if one.samples > chosen.samples / 2])
    growing(page, seen)
    assert page.evaluate(look) == before
