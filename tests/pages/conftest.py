"""What the tests of pages leave as they found it."""

import gc
import sys

import pytest
from streamlit import error_util
from streamlit.runtime.pages_manager import PagesManager

from sqrtscale.store import Store
from sqrtscale.ui import state


@pytest.fixture
def store(home):
    """The store of the test's own home."""
    opened = Store.open()
    yield opened
    opened.close()


@pytest.fixture(autouse=True)
def main_module(monkeypatch):
    """AppTest puts its script in the place of the main module, and processes spawned later would run it again."""
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])


@pytest.fixture(scope="module", autouse=True)
def little_garbage():
    """Streamlit collects garbage after every run of a page; what other tests have loaded (jax, Keras ...) is none of it."""
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture
def navigated(monkeypatch):
    """The server is one that has called st.navigation before: the harness forgets it, and runs a page twice without the click."""
    begin = PagesManager.__init__

    def begun(self, *arguments, **options):
        begin(self, *arguments, **options)
        PagesManager.uses_pages_directory = False

    monkeypatch.setattr(PagesManager, "__init__", begun)


@pytest.fixture(autouse=True)
def failures(monkeypatch):
    """What reached the last boundary of the pages: nothing may, unless a test expects it and empties this list."""
    caught: list[BaseException] = []
    show = state.show_failure
    monkeypatch.setattr(error_util, "show_uncaught_app_exception", error_util.show_uncaught_app_exception)  # undone afterwards
    monkeypatch.setattr(state, "show_failure", lambda error: [caught.append(error), show(error)])
    yield caught
    assert caught == []
