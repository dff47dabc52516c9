"""Charts in a real Chromium: what is saved and under which name, what the tools cover, and nothing that leaves this machine."""

from __future__ import annotations

import re
import struct
from pathlib import Path
from xml.etree import ElementTree

import pytest
import stored
from driving import until, wait_ready
from playwright.sync_api import Page, expect

CHART, FRAME = ".live-plot", ".live-plot-frame"
TOOLS = ["PNG", "SVG", "Reset zoom", "Full screen"]


def drawn(page: Page, charts: int) -> None:
    until(lambda: page.evaluate(f"[...document.querySelectorAll('{CHART}')].filter(box => box._fullData).length") == charts,
          "the charts")


def save(page: Page, chart: int, kind: str, folder: Path) -> Path:
    """The picture of one of the page's charts, under the name that the browser gives it."""
    with page.expect_download() as download:
        page.locator(FRAME).nth(chart).get_by_role("button", name=kind).click()
    path = folder / download.value.suggested_filename
    download.value.save_as(path)
    return path


@pytest.mark.parametrize("query", ["", "&seeds=1", "&seeds=1&band=std&x=steps&log=xy&metric=val_accuracy"])
def test_every_chart_is_saved_under_the_name_of_the_calibration_also_with_single_seeds(visit, store, tmp_path, query):
    id = stored.calibration(store, name="Monday’s run: κ = 8", chosen=stored.plan(seeds=3))
    page = visit(f"/results?id={id}{query}")
    drawn(page, 4)
    metric = "validation-accuracy" if "metric" in query else "validation-loss"
    names = [f"mondays-run-8-{metric}", "mondays-run-8-difference-to-base", "mondays-run-8-verdict"]
    for chart, name in enumerate(names):
        picture, drawing = save(page, chart, "PNG", tmp_path), save(page, chart, "SVG", tmp_path)
        assert (picture.name, drawing.name) == (f"{name}.png", f"{name}.svg")
        head = picture.read_bytes()[:24]
        assert head[:8] == b"\x89PNG\r\n\x1a\n" and struct.unpack(">I", head[16:20])[0] >= 2000
        root = ElementTree.fromstring(drawing.read_bytes())
        assert root.tag == "{http://www.w3.org/2000/svg}svg" and len(root.findall(".//{*}path")) > 10
    expect(page.locator(f"{FRAME} [role=status]").first).to_be_empty()


def test_a_picture_that_cannot_be_made_is_said(visit, store):
    page = visit(f"/results?id={stored.calibration(store)}")
    drawn(page, 4)
    page.evaluate("() => { window.Plotly.toImage = () => Promise.reject(new Error('no canvas')); }")
    page.locator(FRAME).first.get_by_role("button", name="PNG").click()
    expect(page.get_by_text("That did not work. (no canvas)")).to_be_visible()


@pytest.mark.parametrize("width", [390, 1440])
def test_the_tools_offer_no_upload_and_cover_nothing(visit, page, store, width):
    page.set_viewport_size({"width": width, "height": 900})
    id = stored.calibration(store, chosen=stored.plan(seeds=3))
    for path, charts in ((f"/results?id={id}", 4), ("/?b0=256&b1=1024", 1)):
        visit(path)
        if charts == 1:
            page.get_by_text("How far: every field over κ").click()
        drawn(page, charts)
        page.locator(CHART).first.hover()
        assert page.locator(".modebar-btn").count() == 0  # Plotly's own tools, with its upload
        assert page.locator(f"{FRAME} button").all_text_contents() == TOOLS * charts
        for frame in page.locator(FRAME).all():
            tools, chart = (frame.locator(part).bounding_box() for part in (".live-plot-tools", CHART))
            if chart["height"]:  # not in a closed box
                assert tools["y"] + tools["height"] <= chart["y"] + 1 and tools["x"] >= 0
                assert tools["x"] + tools["width"] <= width
    expect(page.get_by_text(re.compile("chart studio|share chart|cloud", re.IGNORECASE))).to_have_count(0)


def test_full_screen_and_back_and_a_zoom_undone(visit, page, store):
    page.set_viewport_size({"width": 1440, "height": 900})
    visit(f"/results?id={stored.calibration(store)}")
    drawn(page, 4)
    box = page.locator(f"{CHART} .nsewdrag").first.bounding_box()
    look = f"""() => {{ const plot = document.querySelector('{CHART}')._fullLayout;
        return [plot.xaxis.range[0], plot.height] }}"""
    start = page.evaluate(look)
    page.mouse.move(box["x"] + 300, box["y"] + 50)
    page.mouse.down()
    page.mouse.move(box["x"] + 600, box["y"] + 150, steps=5)
    page.mouse.up()
    until(lambda: page.evaluate(look)[0] > 100, "the zoom")
    frame = page.locator(FRAME).first
    frame.get_by_role("button", name="Full screen").click()
    until(lambda: page.evaluate(look)[1] > 700, "the chart to fill the screen")
    assert page.evaluate(look)[0] > 100
    frame.get_by_role("button", name="Reset zoom").click()
    until(lambda: page.evaluate(look)[0] == start[0], "the zoom to be undone")
    frame.get_by_role("button", name="Close").click()
    until(lambda: page.evaluate(look) == start, "the chart as it was")


def test_the_view_is_in_the_address_and_back_undoes_a_choice(visit, store):
    id = stored.calibration(store)
    page = visit(f"/results?id={id}")
    page.get_by_text("Validation accuracy", exact=True).click()
    expect(page).to_have_url(re.compile(rf"id={id}&metric=val_accuracy$"))
    page.get_by_text("none", exact=True).click()
    expect(page).to_have_url(re.compile(rf"id={id}&metric=val_accuracy&band=none$"))
    page.reload()
    wait_ready(page)
    title = page.locator(f"{CHART} .ytitle").first
    expect(title).to_have_text("Validation accuracy (share right)")
    expect(page.get_by_text("Mean over 2 seeds of every arm.")).to_be_visible()
    page.get_by_text("Validation loss", exact=True).first.click()
    expect(page).to_have_url(re.compile(rf"id={id}&band=none$"))
    page.go_back()
    expect(title).to_have_text("Validation accuracy (share right)")
