"""Take the screenshots of docs/: ``python docs/screenshots.py [--dark] [--seeds N]``.

Starts the app on a free port with a temporary home, runs one short calibration there for the Results page,
and writes scale.png, calibrate.png and results.png beside this file.
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
from driving import CHROMIUM_ARGUMENTS, Server, find_chromium, wait_ready  # noqa: E402

WIDTH = 1280


def calibrate(home: Path, seeds: int) -> str:
    """Run one calibration of the digits task on that home, and return its id when it is done."""
    os.environ["SQRTSCALE_HOME"] = str(home)
    from sqrtscale.plan import make_plan
    from sqrtscale.runner import submit, wait
    from sqrtscale.store import Store
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
    """Open, wait until nothing moves any more and the estimate of time is there, and save."""
    page.set_viewport_size({"width": WIDTH, "height": height})
    page.goto(url)
    wait_ready(page)
    page.wait_for_load_state("networkidle")
    page.wait_for_function("!document.querySelector('[data-testid=stSkeleton]')")
    page.wait_for_function("!document.querySelector('.live-plot') || document.querySelector('.live-plot .main-svg')")
    page.wait_for_function("!document.body.innerText.includes('Timing a few steps')", timeout=180_000)
    page.screenshot(path=DOCS / name, animations="disabled")
    print(DOCS / name)


def main() -> None:
    """Parse the options and take the pictures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dark", action="store_true", help="in the dark theme")
    parser.add_argument("--seeds", type=int, default=3, help="seeds of the calibration on the Results page")
    options = parser.parse_args()
    chromium = find_chromium()
    if chromium is None:
        raise SystemExit("no chromium, chromium-browser or google-chrome on the PATH")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        server = Server(Path(folder))
        try:
            id = calibrate(server.home, options.seeds)
            server.start()
            browser = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_ARGUMENTS)
            page = browser.new_page(color_scheme="dark" if options.dark else "light")
            shoot(page, f"{server.url}/", "scale.png", 1080)
            shoot(page, f"{server.url}/calibrate", "calibrate.png", 720)
            shoot(page, f"{server.url}/results?id={id}", "results.png", 1320)
            browser.close()
        finally:
            server.end_everything()


if __name__ == "__main__":
    main()
