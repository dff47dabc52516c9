"""The Results page in a real Chromium: the list, the live chart under a real mouse, themes and telephones."""

from __future__ import annotations

import re

import pytest
import stored
from driving import until, wait_ready
from playwright.sync_api import Page, expect

ROW = 35  # pixels of a row of a dataframe, the heads' row included
CHART = ".live-plot"


def cell(page: Page, text: str):
    """A cell of the list, which is painted on a canvas: its text stands in a table inside the canvas."""
    return page.get_by_test_id("stDataFrame").locator("[role=gridcell]").filter(has_text=text)


def open_row(page: Page, name: str) -> None:
    """Click the name in the list."""
    expect(cell(page, name)).to_be_attached()
    box = page.get_by_test_id("stDataFrame").bounding_box()
    number = int(cell(page, name).locator("..").get_attribute("aria-rowindex")) - 1  # the heads are row 1
    page.mouse.move(box["x"] + 270, box["y"] + ROW * (number + 0.5))  # a grid that no pointer has entered forgets a click
    page.mouse.click(box["x"] + 280, box["y"] + ROW * (number + 0.5))


def tick(page: Page, name: str) -> None:
    """Tick the row of the list that has the name, by its box at the left."""
    box = page.get_by_test_id("stDataFrame").bounding_box()
    number = int(cell(page, name).locator("..").get_attribute("aria-rowindex")) - 1
    page.mouse.move(box["x"] + 10, box["y"] + ROW * (number + 0.5))
    page.mouse.click(box["x"] + 16, box["y"] + ROW * (number + 0.5))
    expect(cell(page, name).locator("..")).to_have_attribute("aria-selected", "true")


def drawn(page: Page) -> dict[str, int]:
    """Name of every line of the chart that counts in the legend -> its points."""
    return page.evaluate(f"""() => Object.fromEntries((document.querySelector('{CHART}')?._fullData ?? [])
        .filter(trace => trace.showlegend).map(trace => [trace.name, trace.y.length]))""")


def view(page: Page) -> dict:
    """What the user chose: ranges of the axes, and what is hidden."""
    return page.evaluate(f"""() => {{ const plot = document.querySelector('{CHART}');
        return {{x: plot._fullLayout.xaxis.range, y: plot._fullLayout.yaxis.range, element: plot.dataset.mine,
                 hidden: plot._fullData.filter(trace => trace.visible === 'legendonly').map(trace => trace.name).sort()}} }}""")


def test_a_click_on_a_name_opens_it_and_the_way_back_leads_to_the_list(visit, store):
    old, new = stored.calibration(store, name="the old one"), stored.calibration(store, name="the new one")
    page = visit("/results")
    open_row(page, "the old one")
    expect(page).to_have_url(re.compile(f"id={old}"))
    expect(page.get_by_role("heading", name="the old one")).to_be_visible()
    page.get_by_role("link", name="All results").click()
    expect(page.get_by_text("2 calibrations, newest first")).to_be_visible()
    wait_ready(page)
    expect(page).to_have_url(re.compile("/results$"))
    stored.calibration(store, name="came meanwhile")  # not yet in the list that the user sees
    open_row(page, "the new one")
    expect(page).to_have_url(re.compile(f"id={new}"))
    page.go_back()
    expect(page.get_by_text("3 calibrations, newest first")).to_be_visible()


def test_the_list_follows_what_runs(visit, store):
    id = stored.calibration(store, "RUNNING", name="followed")
    page = visit("/results")
    page.get_by_role("textbox", name="Search").fill("followed")
    page.keyboard.press("Enter")
    expect(page.get_by_text("1 calibration, newest first")).to_be_visible()
    expect(cell(page, "RUNNING 50%")).to_be_attached()
    store.transition(id, "DONE", among=["RUNNING"])
    expect(cell(page, "DONE")).to_be_attached()


def test_deleted_ones_are_found_and_brought_back(visit, store):
    id = stored.calibration(store, name="put away")
    store.delete(id)
    page = visit("/results")
    page.get_by_role("button", name="Filter", exact=False).first.click()
    page.get_by_text("Deleted", exact=True).click()
    expect(page.get_by_text("1 calibration, newest first")).to_be_visible()
    expect(page).to_have_url(re.compile("deleted=1$"))
    page.keyboard.press("Escape")
    open_row(page, "put away")
    expect(page.get_by_role("heading", name="put away")).to_be_visible()
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_role("button", name="Delete")).to_be_visible()
    assert store.get(id).deleted_at is None


def test_rows_that_are_ticked_go_to_compare_and_stay_ticked_while_the_list_grows(visit, store):
    ids = [stored.calibration(store, name=f"ticked {number}") for number in range(2)]
    stored.calibration(store, "RUNNING", name="under way", measured=[])
    page = visit("/results?text=ticked")
    tick(page, "ticked 0")
    stored.calibration(store, "FAILED", name="ticked not", measured=[])
    expect(cell(page, "ticked not")).to_be_attached()  # or it might move the row away between a look at it and the click
    expect(cell(page, "ticked 0").locator("..")).to_have_attribute("aria-selected", "true")
    tick(page, "ticked 1")
    compare = page.locator(".st-key-actions").get_by_role("button", name="Compare")
    expect(compare).to_be_enabled()
    compare.click()
    expect(page).to_have_url(re.compile(f"/compare.ids={ids[1]}(,|%2C){ids[0]}$"))


def test_the_keyboard_moves_through_the_list_ticks_and_opens(visit, store):
    first, _ = stored.calibration(store, name="by keyboard 0"), stored.calibration(store, name="by keyboard 1")
    page = visit("/results?text=by keyboard")
    page.get_by_test_id("stDataFrame").locator("canvas").first.focus()
    for key in ("ArrowDown", "ArrowDown", "ArrowRight"):
        page.keyboard.press(key)
    wait_ready(page)
    expect(page).to_have_url(re.compile("text="))  # to move is not to open
    page.keyboard.press("Shift+Space")
    expect(cell(page, "by keyboard 0").locator("..")).to_have_attribute("aria-selected", "true")
    button = page.locator(".st-key-actions").get_by_role("button", name="Open")
    expect(button).to_be_enabled()
    button.focus()
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(f"id={first}"))


def test_the_way_back_and_the_browsers_back_keep_the_filter(visit, store):
    stored.calibration(store, name="kept")
    page = visit("/results?text=kept&order=kappa")
    open_row(page, "kept")
    expect(page.get_by_role("heading", name="kept")).to_be_visible()
    page.get_by_role("link", name="All results").click()
    expect(page.get_by_text("1 calibration, largest κ first")).to_be_visible()
    expect(page).to_have_url(re.compile(r"/results\?text=kept&order=kappa$"))
    page.get_by_text("Library", exact=True).click()
    expect(page).to_have_url(re.compile(r"\?view=library$"))
    page.go_back()
    expect(page.get_by_text("1 calibration, largest κ first")).to_be_visible()


@pytest.mark.parametrize("path", ["/results", "/results?view=library"])
def test_list_and_library_fit_a_telephone(visit, page, store, path):
    id = stored.calibration(store, name="A long name that goes on until the end of the line and then further still")
    store.tag([id], "a tag of many words to be read")
    page.set_viewport_size({"width": 390, "height": 900})
    visit(path)
    expect(page.get_by_test_id("stDataFrame")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_zoom_by_mouse_and_hidden_arms_survive_growing_curves(visit, store):
    chosen = stored.plan()
    every = stored.points(chosen)
    batches = [[one for one in every if low <= one.samples / chosen.samples < high]
               for low, high in ((0, 0.3), (0.3, 0.6), (0.6, 2))]
    first = [one for one in batches[0] if one.arm in ("warm start", "base", "unscaled")]  # the others come later
    id = stored.calibration(store, "RUNNING", chosen=chosen, measured=first)
    page = visit(f"/results?id={id}")
    until(lambda: drawn(page).keys() == {"base", "unscaled"}, "the first curves")
    page.evaluate(f"document.querySelector('{CHART}').dataset.mine = 'the same element'")
    page.locator(f"{CHART} .traces").filter(has_text="unscaled").first.locator(".legendtoggle").click()
    until(lambda: "unscaled" in view(page)["hidden"], "the arm to be hidden")
    box = page.locator(f"{CHART} .nsewdrag").first.bounding_box()
    page.mouse.move(box["x"] + 0.2 * box["width"], box["y"] + 0.2 * box["height"])
    page.mouse.down()
    page.mouse.move(box["x"] + 0.7 * box["width"], box["y"] + 0.8 * box["height"], steps=5)
    page.mouse.up()
    before = until(lambda: (seen := view(page))["x"][0] > 100 and seen, "the zoom")
    assert before["hidden"] == ["unscaled", "unscaled band"] and before["element"] == "the same element"
    rest = [one for one in batches[0] if one not in first]
    for batch, seen in ((rest + batches[1], 10), (batches[2], 20)):
        store.write_points(id, batch)
        until(lambda seen=seen: len(drawn(page)) == 4 and min(drawn(page).values()) > seen, "the curves to grow")
        assert view(page) == before
    page.reload()
    wait_ready(page)
    until(lambda: min(drawn(page).values(), default=0) == 25, "the whole curves after a reload")
    store.transition(id, "DONE", among=["RUNNING"])
    expect(page.get_by_text("Yes: the scaled settings train like the base settings")).to_be_visible()  # without a reload


def test_the_choices_of_the_view(visit, store):
    page = visit(f"/results?id={stored.calibration(store, chosen=stored.plan(seeds=3))}")
    until(lambda: len(drawn(page)) == 4, "the curves")
    page.get_by_text("Validation accuracy", exact=True).click()
    expect(page.locator(f"{CHART} .ytitle").first).to_have_text("Validation accuracy (share right)")
    page.get_by_role("button", name="View").click()
    page.get_by_text("Single seeds", exact=True).click()
    page.get_by_text("Log x", exact=True).click()
    page.get_by_text("Optimizer steps instead of samples", exact=True).click()
    expect(page.locator(f"{CHART} .xtitle").first).to_have_text("Optimizer steps since the branch point")
    until(lambda: page.evaluate(f"document.querySelector('{CHART}')._fullData.length") == 4 * 5, "the single seeds")
    assert page.evaluate(f"document.querySelector('{CHART}')._fullLayout.xaxis.type") == "log"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_is_wider_than_the_screen_and_the_chart_has_the_pages_colours(visit, page, store, width, scheme):
    name = "A long name that goes on until the end of the line and then further still"
    id = stored.calibration(store, "CANCELLED", name=name, measured=stored.points(stored.plan(), 0.5), reason="why " * 60)
    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(color_scheme=scheme)
    visit(f"/results?id={id}")
    until(lambda: len(drawn(page)) == 4, "the curves")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    for element in (page.locator(CHART).first, page.get_by_test_id("stTable").first):
        box = element.bounding_box()
        assert box["x"] >= 0 and box["x"] + box["width"] <= width
    plot, legend = (page.locator(f"{CHART} {part}").first.bounding_box() for part in (".nsewdrag", ".legend"))
    assert legend["y"] + legend["height"] <= plot["y"] + 1  # above the curves, not over them
    ink = {"light": "rgb(17, 24, 39)", "dark": "rgb(230, 232, 236)"}
    title = page.locator(f"{CHART} .ytitle").first
    expect(title).to_have_css("fill", ink[scheme])
    other = "dark" if scheme == "light" else "light"
    page.emulate_media(color_scheme=other)  # while the page is open
    expect(title).to_have_css("fill", ink[other])


def test_a_long_log_shows_its_end_and_downloads_whole(visit, store, server, tmp_path):
    id = stored.calibration(store, "FAILED", reason="boom", measured=[])
    folder = server.home / "calibrations" / id
    folder.mkdir(parents=True)
    lines = [f"line {i} of a long log" for i in range(20_000)]
    (folder / "train.log").write_text("\n".join(lines) + "\n")
    page = visit(f"/results?id={id}")
    expect(page.get_by_text("The last 200 lines")).to_be_visible()
    expect(page.get_by_test_id("stCode").first).to_contain_text("line 19999")
    box = page.get_by_test_id("stCode").first
    until(lambda: page.evaluate("""box => { while (box && box.scrollHeight <= box.clientHeight + 1) box = box.parentElement;
        return box.scrollTop > 0 }""", box.element_handle()), "the log to be scrolled to its end")
    with page.expect_download() as download:
        page.get_by_role("button", name="Download log").click()
    download.value.save_as(tmp_path / "log")
    assert (tmp_path / "log").read_text().splitlines() == lines
