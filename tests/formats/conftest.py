"""Snippets run in a folder of their own: Trainer makes its output folder where it stands."""

import pytest


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
