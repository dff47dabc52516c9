"""What pages share: the way in through app.py, and one open store."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import streamlit as st
from streamlit.runtime.pages_manager import PagesManager

from ..home import home

if TYPE_CHECKING:
    from ..store import Store


def through_app() -> None:
    """Every page's first line: run again through app.py where Streamlit has left it out.

    Until st.navigation has been called once, a server that finds a folder ``pages/`` runs the file of the
    address by itself (Streamlit 1.67), without our page list and layout.
    """
    if PagesManager.uses_pages_directory:
        PagesManager.uses_pages_directory = False
        st.rerun()


def open_store() -> Store:
    """The store, opened (and migrated) once for the server."""
    return _open(os.environ.get("SQRTSCALE_DATABASE_URL", ""), str(home()))


@st.cache_resource(show_spinner=False)
def _open(url: str, home: str) -> Store:  # the home is part of the key: it decides where the database lies
    from ..store import Store  # the first page is there sooner without it

    return Store.open(url or None)
