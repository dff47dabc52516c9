"""What the tests of pages leave as they found it."""

import sys

import pytest


@pytest.fixture(autouse=True)
def main_module(monkeypatch):
    """AppTest puts its script in the place of the main module, and processes spawned later would run it again."""
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])
