"""Take the screenshots of docs/: ``python docs/screenshots.py [--dark] [--seeds N] [--all FOLDER]``.

Starts the app on a free port with a temporary home, runs one short calibration there for the Results page,
and writes scale.png, calibrate.png and results.png beside this file. With --all FOLDER it writes there instead every page in
every state, with stored calibrations that are made up: 1440 and 390 pixels wide, light and dark, each page in its whole height.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

DOCS = Path(__file__).resolve().parent
sys.path[:0] = [str(DOCS.parent), *(str(DOCS.parent / "tests" / folder) for folder in ("", "browser"))]
from driving import CHROMIUM_ARGUMENTS, Server, find_chromium  # noqa: E402
from page_states import EMPTY, PageState, fill, rest, states  # noqa: E402

from sqrtscale.store import Store  # noqa: E402

WIDTH = 1280
WIDTHS, SCHEMES = (1440, 390), ("light", "dark")  # of --all
TALLEST = 8000


def calibrate(home: Path, seeds: int) -> str:
    """Run one calibration of the digits task on that home, and return its id when it is done."""
    os.environ["SQRTSCALE_HOME"] = str(home)
    from sqrtscale.plan import make_plan
    from sqrtscale.runner import submit, wait
    from sqrtscale.tasks import task

    defaults = task("digits").defaults
    store = Store.open()
    try:
        plan = make_plan("digits", defaults.base, defaults.target_batch, seeds=seeds)
        record = wait(store, submit(store, plan, "Handwritten digits, eight times the batch"))
    finally:
        store.close()
    if record.state != "DONE":
        raise SystemExit(f"the calibration ended as {record.state}: {record.reason}")
    return record.id


def shoot(page: Page, url: str, name: str, height: int) -> None:
    """Open, wait until it is at rest, and save."""
    page.set_viewport_size({"width": WIDTH, "height": height})
    page.goto(url)
    rest(page)
    estimated(page)
    page.screenshot(path=DOCS / name, animations="disabled")
    print(DOCS / name)


def estimated(page: Page) -> None:
    """Wait for the estimate of a calibration's time, where there is one on the page."""
    page.wait_for_function("!document.body.innerText.includes('Timing a few steps')", timeout=180_000)


def shoot_whole(page: Page, url: str, state: PageState, folder: Path) -> None:
    """One page in one state, in every width and both themes."""
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        state.open(page, url)
        estimated(page)
        for scheme in SCHEMES:
            page.emulate_media(color_scheme=scheme)
            height = page.evaluate("document.querySelector('[data-testid=stMain]').scrollHeight")
            page.set_viewport_size({"width": width, "height": min(max(900, height), TALLEST)})
            rest(page)
            page.screenshot(path=folder / f"{state.name}-{width}-{scheme}.png", animations="disabled")
    print(state.name)


def shoot_all(page: Page, server: Server, folder: Path) -> None:
    """Every page in every state, the empty one before anything is stored."""
    folder.mkdir(parents=True, exist_ok=True)
    shoot_whole(page, server.url, EMPTY, folder)
    store = Store.open(f"sqlite:///{server.home}/sqrtscale.db")
    try:
        for state in states(fill(store)):
            shoot_whole(page, server.url, state, folder)
    finally:
        store.close()


def shoot_docs(page: Page, server: Server, seeds: int) -> None:
    """The three pictures of the README."""
    id = calibrate(server.home, seeds)
    shoot(page, f"{server.url}/", "scale.png", 1080)
    shoot(page, f"{server.url}/calibrate", "calibrate.png", 720)
    shoot(page, f"{server.url}/results?id={id}", "results.png", 1320)


def main() -> None:
    """Parse the options and take the pictures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dark", action="store_true", help="in the dark theme")
    parser.add_argument("--seeds", type=int, default=3, help="seeds of the calibration on the Results page")
    parser.add_argument("--all", type=Path, metavar="FOLDER", help="write every page in every state there")
    options = parser.parse_args()
    chromium = find_chromium()
    if chromium is None:
        raise SystemExit("no chromium, chromium-browser or google-chrome on the PATH")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        server = Server(Path(folder))
        try:
            server.start()
            browser = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_ARGUMENTS)
            page = browser.new_page(color_scheme="dark" if options.dark else "light")
            if options.all:
                shoot_all(page, server, options.all)
            else:
                shoot_docs(page, server, options.seeds)
            browser.close()
        finally:
            server.end_everything()


if __name__ == "__main__":
    main()
