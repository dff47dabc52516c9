"""What the tests of pages leave as they found it."""

import gc
import sys

import pytest


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
