"""Whatever a slow browser still asks for of the page before, the page that it came to stays; and what was set, stays set."""

from __future__ import annotations

import re
from collections import Counter

import pytest
import stored
from driving import until
from playwright.sync_api import expect
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg


def asking(message: bytes):
    """The request for a run in a message of the browser; empty in other messages."""
    return BackMsg.FromString(message).rerun_script


class Wire:
    """What a page's timers ask the server for; one message of theirs can be sent once more, late.

    late: sent as soon as the server says that another page than the one that asks is shown, or begins any run where ``soon``.
    """

    def __init__(self, page):
        self._page = page
        self.asked: list[bytes] = []
        self.late: bytes | None = None
        self.soon = False
        self.shown: list[str] = []
        self._server = None
        page.route_web_socket(re.compile("_stcore/stream"), self._connect)

    def until_asked(self, times: int) -> list[bytes]:
        """What timers ask for from now on, once each of them has asked so many times."""
        self.asked.clear()

        def often_enough() -> bool:
            self._page.wait_for_timeout(50)  # lets messages through
            count = Counter(asking(message).fragment_id for message in self.asked)
            return bool(count) and min(count.values()) >= times

        until(often_enough, "timers of the page to ask")
        return list(self.asked)

    def _connect(self, browser) -> None:
        self._server = browser.connect_to_server()
        browser.on_message(self._sent)
        self._server.on_message(lambda message: self._received(browser, message))

    def _sent(self, message) -> None:
        if isinstance(message, bytes) and asking(message).is_auto_rerun:
            self.asked.append(message)
        self._server.send(message)

    def _received(self, browser, message) -> None:
        if isinstance(message, bytes) and (told := ForwardMsg.FromString(message)).HasField("new_session"):
            self.shown.append(told.new_session.page_script_hash)
            if self.late and (self.soon or asking(self.late).page_script_hash != self.shown[-1]):
                self._server.send(self.late)
                self.late = None
        browser.send(message)


@pytest.mark.parametrize("old", ["/", "/calibrate"])
def test_a_late_timer_of_the_page_before_does_not_take_the_page_away(page, server, store, old):
    id = stored.calibration(store, "RUNNING", name="followed")
    wire = Wire(page)
    page.goto(server.url + old)
    link = page.get_by_test_id("stMain").locator(f"a[href*='{id}']")  # in the line on top, whose timer every page has
    expect(link).to_be_visible()
    *_, wire.late = wire.until_asked(1)
    link.click()
    heading = page.get_by_role("heading", name="followed")
    expect(heading).to_be_visible()
    wire.until_asked(2)
    assert wire.late is None
    expect(heading).to_be_visible()
    expect(page.get_by_text("50%").first).to_be_visible()
    before, after = wire.shown[0], wire.shown[-1]
    assert before != after
    assert wire.shown == sorted(wire.shown, key=lambda page: page == after)  # it was never told to go back


def test_a_timer_that_has_not_heard_of_a_change_does_not_undo_it(page, server, store):
    id = stored.calibration(store, "RUNNING")
    wire = Wire(page)
    page.goto(f"{server.url}/results?id={id}")
    switch = page.get_by_role("switch", name="Go on by itself after a restart")
    expect(switch).not_to_be_checked()
    *_, old = wire.until_asked(1)
    store.set_resume_after_restart(id, True)  # as another user does, or a command
    wire.soon, wire.late = True, old
    expect(switch).to_be_checked()
    wire.until_asked(2)
    assert wire.late is None and store.get(id).resume_after_restart
    expect(switch).to_be_checked()
