"""The store that most of these tests share: open, empty, on each kind of database."""

import pytest

from sqrtscale.store import Store


@pytest.fixture
def store(database_url):
    opened = Store.open(database_url)
    yield opened
    opened.close()
