"""A narrow screen, on a telephone or not: the pages are a menu."""

from __future__ import annotations

import re

import pytest
from driving import wait_ready
from playwright.sync_api import expect


@pytest.mark.parametrize("device", ["Desktop Chrome", "Pixel 5"])
def test_the_menu_closes_after_a_choice(browser, playwright, server, watch, device):
    described = {name: value for name, value in playwright.devices[device].items() if name != "default_browser_type"}
    context = browser.new_context(**described | {"viewport": {"width": 390, "height": 844}})
    watch.over(context, server)
    page = context.new_page()
    page.goto(server.url)
    wait_ready(page)
    page.get_by_role("button", name="Expand sidebar").click()
    page.get_by_test_id("stSidebarNavLink").filter(has_text="Results").click()
    expect(page).to_have_url(re.compile("/results"))
    expect(page.get_by_test_id("stSidebar")).to_have_attribute("data-collapsed", "true")
    expect(page.get_by_text("Nothing stored yet")).to_be_in_viewport()
    context.close()
