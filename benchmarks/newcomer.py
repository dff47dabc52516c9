"""How far is it to a first answer? A newcomer's way through the app in a real browser, in clicks and seconds.

    python benchmarks/newcomer.py [--base 256] [--target 1024]

Starts the app with an empty store, opens it, types the two batches on Scale, goes on to Calibrate, takes the way out that the
page offers where the light says that nothing can be tested, launches, and waits for the verdict. Prints Markdown.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
import time
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), *(str(ROOT / "tests" / folder) for folder in ("", "browser"))]
from driving import CHROMIUM_ARGUMENTS, Server, find_chromium, wait_ready  # noqa: E402

LONGEST = 3_600_000  # milliseconds that a verdict may take
ANSWER = re.compile(r"^(Yes:|No:|Not decided|This run does not test)")


class Way:
    """The steps that were made: what, how many clicks and fields typed so far, and how many seconds."""

    def __init__(self) -> None:
        self.began = time.monotonic()
        self.clicks = 0
        print("| step | clicks and fields | seconds since the start |\n|---|---|---|")

    def step(self, what: str, clicks: int = 0) -> None:
        """Note a step that has been made."""
        self.clicks += clicks
        print(f"| {what} | {self.clicks} | {time.monotonic() - self.began:.1f} |", flush=True)


def walk(page: Page, url: str, way: Way, base: int, target: int) -> str:
    """From the first page to a verdict; returns its sentence."""
    page.goto(url)
    wait_ready(page)
    way.step("Scale is there")
    for label, batch in (("Base batch", base), ("Target batch", target)):
        box = page.get_by_label(label, exact=True)
        box.fill(str(batch))
        box.press("Enter")
        wait_ready(page)
    way.step(f"{base} and {target} typed, the scaled configuration read", 2)
    page.get_by_text("Calibrate this", exact=True).first.click()
    launch = page.get_by_role("button", name="Launch")
    launch.wait_for()
    wait_ready(page)
    way.step("Calibrate is there", 1)
    remedy = page.get_by_role("button", name=re.compile("^Test κ"))
    if remedy.count():
        said = remedy.first.inner_text().splitlines()[-1]
        remedy.first.click()
        remedy.first.wait_for(state="detached")
        launch.wait_for()
        wait_ready(page)
        way.step(f"“{said}” taken", 1)
    launch.click()
    page.wait_for_url(re.compile("/results"))
    way.step("launched", 1)
    answer = page.get_by_text(ANSWER).first
    answer.wait_for(timeout=LONGEST)
    way.step("first sentence of a verdict, while it still trains")
    page.get_by_text("DONE", exact=True).first.wait_for(timeout=LONGEST)
    answer.wait_for()
    way.step("the verdict")
    return answer.inner_text()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--base", type=int, default=256)
    parser.add_argument("--target", type=int, default=1024)
    options = parser.parse_args()
    chromium = find_chromium()
    if chromium is None:
        raise SystemExit("no chromium, chromium-browser or google-chrome on the PATH")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_ARGUMENTS)
        server = Server(Path(folder))
        try:
            way = Way()
            server.start()
            way.step("the app answers (from its command, everything installed)")
            print(f"\n{walk(browser.new_page(), server.url, way, options.base, options.target)}")
        finally:
            browser.close()
            server.end_everything()


if __name__ == "__main__":
    main()
