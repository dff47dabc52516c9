"""What pages share between sessions: one open store."""

from __future__ import annotations

import os

import streamlit as st

from ..home import home
from ..store import Store


def open_store() -> Store:
    """The store, opened (and migrated) once for the server."""
    return _open(os.environ.get("SQRTSCALE_DATABASE_URL", ""), str(home()))


@st.cache_resource(show_spinner=False)
def _open(url: str, home: str) -> Store:  # the home is part of the key: it decides where the database lies
    return Store.open(url or None)
