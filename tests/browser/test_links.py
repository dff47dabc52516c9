"""Whatever an address holds, and in whatever state the server is: a page of ours, no page list or traceback of Streamlit's."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from driving import wait_ready
from playwright.sync_api import expect

NOTE_STREAMLITS_LIST = """
window.streamlitsList = false;
new MutationObserver(() => {
  if (document.querySelector('[data-testid="stSidebarNav"]')) window.streamlitsList = true;
}).observe(document, {childList: true, subtree: true});
"""


@pytest.mark.parametrize("path", ["/results", "/calibrate", "/"])
def test_a_fresh_server_shows_our_pages_alone_from_the_first_moment(page, server, path):
    server.restart()
    page.add_init_script(NOTE_STREAMLITS_LIST)
    page.goto(server.url + path)
    wait_ready(page)
    expect(page.get_by_test_id("stTopNavLink")).to_have_count(6)
    assert page.evaluate("window.streamlitsList") is False


@pytest.mark.parametrize("query", [
    "mform=x", "opt=lion&mform=x", "lr=1e999&b0=" + "9" * 400, "groups=" + quote("a" + " " * 3000 + "b"),
    "form=" + quote(" " * 3000),
])
@pytest.mark.parametrize("path", ["/", "/calibrate", "/results"])
def test_no_address_breaks_a_page(visit, path, query):
    page = visit(f"{path}?{query}")
    expect(page.get_by_test_id("stException")).to_have_count(0)
    expect(page.get_by_text("What to report")).to_have_count(0)
    expect(page.get_by_test_id("stTopNavLink")).to_have_count(6)


def test_a_damaged_database_is_said_in_one_sentence(visit, page, server):
    server.stop()
    for file in server.home.glob("sqrtscale.db*"):
        file.unlink()
    (server.home / "sqrtscale.db").write_bytes(b"no database at all" * 100)
    server.start()
    for path in ("/results", "/calibrate"):
        visit(path)
        expect(page.get_by_test_id("stAlert")).to_have_text(
            f"cannot open the database sqlite:///{server.home / 'sqrtscale.db'}: file is not a database")
        expect(page.get_by_test_id("stException")).to_have_count(0)
