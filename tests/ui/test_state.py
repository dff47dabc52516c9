"""The one open store of all pages: a failure is tried again by a page that needs it, and by nothing else."""

from __future__ import annotations

import socket

import pytest

from sqrtscale.home import database_file
from sqrtscale.store import StoreError
from sqrtscale.ui.state import open_store, something_stored


def test_a_database_is_opened_once_and_a_failure_is_tried_again_by_who_needs_it(home):
    home.mkdir()
    database_file().write_bytes(b"no database at all" * 100)
    for patience in (None, 5.0):
        with pytest.raises(StoreError, match="file is not a database"):
            open_store(patience)
    database_file().unlink()
    with pytest.raises(StoreError, match="file is not a database"):
        open_store(5.0)  # known already: a page that can do without it does not try
    store = open_store()
    assert store.queue() == [] and open_store() is store and open_store(5.0) is store
    store.close()


def test_nobody_waits_for_a_database_that_does_not_answer(monkeypatch):
    pytest.importorskip("psycopg")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("SQRTSCALE_DATABASE_URL", f"postgresql+psycopg://me@127.0.0.1:{silent.getsockname()[1]}/mine")
        with pytest.raises(TimeoutError):
            open_store(0.01)
    with pytest.raises(StoreError):  # it has been told that nobody is there
        open_store(60.0)


def test_a_first_visit_has_nothing_stored(home, monkeypatch):
    assert not something_stored()
    home.mkdir()
    database_file().touch()
    assert something_stored()
    database_file().unlink()
    monkeypatch.setenv("SQRTSCALE_DATABASE_URL", "postgresql://host/name")
    assert something_stored()
