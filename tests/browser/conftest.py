"""Fixtures of the browser tests: a server per module, a watched context, and ``visit``."""

from __future__ import annotations

import os

import pytest
from driving import CHROMIUM_ARGUMENTS, PATIENCE, Server, Watch, find_chromium, wait_ready
from playwright.sync_api import expect

from sqrtscale.store import ACTIVE_STATES, Store

expect.set_options(timeout=PATIENCE * 1000)


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args):
    """The system's Chromium; without one the tests are skipped, but in CI they fail."""
    path = find_chromium()
    if path is None:
        why = "no chromium, chromium-browser or google-chrome on the PATH"
        if os.environ.get("CI") == "true":
            pytest.fail(why)
        pytest.skip(why)
    return {**browser_type_launch_args, "executable_path": path, "args": CHROMIUM_ARGUMENTS}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """The app with its own empty home; what it launched ends with the module."""
    server = Server(tmp_path_factory.mktemp("home"))
    try:
        server.start()
        yield server
    finally:
        server.end_everything()


@pytest.fixture
def store(server, monkeypatch):
    """The server's store, seen from beside it; nothing is left under way."""
    monkeypatch.setenv("SQRTSCALE_HOME", str(server.home))
    opened = Store.open()
    yield opened
    for record in opened.queue():
        opened.transition(record.id, "CANCELLED", among=ACTIVE_STATES, reason="the test is over")
    opened.close()


@pytest.fixture
def watch():
    """What the browser must not do; the test fails at its end when something was noted."""
    watch = Watch()
    yield watch
    assert watch.problems == []


@pytest.fixture
def context(context, server, watch):
    """The plugin's context (and so its ``page``) under watch."""
    watch.over(context, server)
    context.set_default_timeout(PATIENCE * 1000)
    return context


@pytest.fixture
def visit(page, server):
    """``visit("/results?id=...")`` opens that path of the server and returns the page when it is ready."""

    def go(path: str = "/"):
        page.goto(server.url + path)
        wait_ready(page)
        return page

    return go
