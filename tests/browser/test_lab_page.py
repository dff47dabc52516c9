"""The lab in a browser: results without computing, its paths played, and a run of one's own from the button to the bin."""

from __future__ import annotations

import re
from pathlib import Path

import stored
from driving import until, wait_ready
from playwright.sync_api import Page, expect

from sqrtscale.lab.stored import read
from sqrtscale.store.lab import LabRuns

PATH = "[...document.querySelectorAll('.live-plot')].at(-1).data.at(-1).x.length"
DRAWN = "document.querySelectorAll('.live-plot .main-svg').length && document.querySelector('.updatemenu-button')"


def all_drawn(page: Page) -> None:
    """Until the three figures are there, the last with its buttons."""
    expect(page.locator(".live-plot")).to_have_count(3)
    page.wait_for_function(DRAWN)


def started(page: Page, seconds: str) -> str:
    """Press the button of a run of so many seconds; returns its id, which is in the address."""
    box = page.get_by_label("Seconds on two idle cores")
    box.fill(seconds)
    box.press("Enter")
    expect(page.get_by_text(re.compile("chains of .* fine steps, about"))).to_be_visible()
    page.get_by_role("button", name="Run this experiment").click()
    expect(page).to_have_url(re.compile("id="))
    return page.url.split("id=")[1]


def downloaded(page: Page, name: str) -> tuple[str, str]:
    """The name and the text of the file that a button gives."""
    with page.expect_download() as download:
        page.get_by_role("button", name=name).click()
    return download.value.suggested_filename, Path(download.value.path()).read_text()


def test_it_opens_without_computing_and_plays_its_paths_to_their_end(visit, server):
    page: Page = visit("/lab")
    all_drawn(page)
    assert server.processes() == [server.process.pid]
    whole = page.evaluate(PATH)
    page.locator(".updatemenu-button", has_text="Play").click()
    page.wait_for_function(f"{PATH} < {whole}")
    page.wait_for_function(f"{PATH} === {whole}")


def test_a_run_of_ones_own_is_shown_by_its_address_downloaded_deleted_and_brought_back(visit, store, page):
    page = visit("/lab?algorithm=rmsprop&law=student:3")
    id = started(page, "0.001")
    expect(page.get_by_text("DONE", exact=True)).to_be_visible()
    all_drawn(page)
    page.goto("about:blank")
    page = visit(f"/lab?id={id}")  # by whoever has the address
    expect(page.get_by_role("heading", name="RMSprop, quadratic, heavy tails (Student's t, ν = 3)")).to_be_visible()
    all_drawn(page)
    name, text = downloaded(page, "Download JSON")
    made = read(text).outcome.experiment
    assert name == f"lab-{id}.json" and (made.algorithm, made.noise, made.chains) == ("rmsprop", "student:3", 512)
    name, text = downloaded(page, "Report HTML")
    assert name == f"lab-{id}.html" and "RMSprop and its SDE" in text and f"--chains {made.chains}" in text
    page.get_by_role("button", name="Delete", exact=True).click()
    expect(page.get_by_text("It stays stored until it is purged")).to_be_visible()
    assert LabRuns(store).count(deleted=True) == 1
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_role("button", name="Delete", exact=True)).to_be_visible()
    expect(page.get_by_text("It stays stored until it is purged")).to_have_count(0)
    assert LabRuns(store).count() == 1


def test_a_long_run_shows_that_it_goes_on_and_ends_when_it_is_cancelled(visit, store, server):
    page = visit("/lab")
    id = started(page, "600")
    runs = LabRuns(store)
    expect(page.get_by_text("It runs in a process of its own")).to_be_visible()
    child = runs.get(id).pid
    page.get_by_role("button", name="Cancel", exact=True).click()
    expect(page.get_by_text("CANCELLED", exact=True)).to_be_visible()
    assert runs.get(id).state == "CANCELLED"
    until(lambda: child not in server.processes(), "the end of its process")


def test_a_calibration_leads_to_the_lab_with_its_configuration_and_back(visit, store):
    id = stored.calibration(store, chosen=stored.plan())
    page = visit(f"/results?id={id}")
    page.get_by_role("link", name="See this configuration in the lab").click()
    expect(page).to_have_url(re.compile("/lab"))
    expect(page.get_by_text("Your configuration on this problem: you are here")).to_be_visible()
    all_drawn(page)
    page.go_back()
    wait_ready(page)
    expect(page.get_by_text("DONE", exact=True)).to_be_visible()
    expect(page).to_have_url(re.compile(f"/results.*id={id}"))
