"""The lab in a browser: what only a browser shows is that its paths are played."""

from __future__ import annotations

from playwright.sync_api import Page

PATH = "[...document.querySelectorAll('.live-plot')].at(-1).data.at(-1).x.length"
DRAWN = "document.querySelectorAll('.live-plot .main-svg').length && document.querySelector('.updatemenu-button')"


def test_the_paths_are_played_over_time_to_their_end(visit):
    page: Page = visit("/lab")
    page.wait_for_function(DRAWN)
    whole = page.evaluate(PATH)
    page.locator(".updatemenu-button", has_text="Play").click()
    page.wait_for_function(f"{PATH} < {whole}")
    page.wait_for_function(f"{PATH} === {whole}")
