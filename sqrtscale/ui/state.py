"""What pages share between sessions: one open store."""

from __future__ import annotations

import streamlit as st

from ..store import Store


@st.cache_resource(show_spinner=False)
def open_store() -> Store:
    """The store, opened (and migrated) once for the server."""
    return Store.open()
